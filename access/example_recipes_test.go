package access_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// recipe is an API for the examples below. Its guard is an ordinary one, but for a clock and a key set that are
// fixed so that each example has one outcome.
type recipe struct {
	*access.Guard
	store *revocation.Memory // [revocation.Open] keeps the same in a file, which outlives a restart
	clock *poptest.Clock
}

func newRecipe(changes ...func(*access.Guard, *revocation.Memory)) recipe {
	clock := poptest.NewClock()
	origins, err := dpop.NewOrigins([]string{"https://api.example.com"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := revocation.NewMemory(revocation.Options{Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	guard := &access.Guard{
		Tokens:     &access.JWT{Issuers: []access.Issuer{staticIssuer()}, Now: clock.Now},
		DPoP:       &dpop.Verifier{Origins: origins, InsecureForgetAtStart: true, Now: clock.Now},
		Revocation: store,
		Now:        clock.Now,
	}
	for _, change := range changes {
		change(guard, store)
	}
	if err := guard.Validate(); err != nil {
		log.Fatal(err)
	}
	return recipe{guard, store, clock}
}

// login is a login at the authorization server, on a device with its own key. The claims are sub, sid and others.
func (r recipe) login(device *poptest.Key, claims map[string]any) string {
	return poptest.Token{JKT: device.Thumbprint(), IssuedAt: r.clock.Now(), Claims: claims}.String()
}

// withPolicy gives the guard a policy.
func withPolicy(policy access.Policy) func(*access.Guard, *revocation.Memory) {
	return func(g *access.Guard, _ *revocation.Memory) { g.Policies = []access.Policy{policy} }
}

// call sends a request from a device, and prints how it is answered.
func (r recipe) call(who string, device *poptest.Key, token string) {
	request := httptest.NewRequest("GET", "https://api.example.com/accounts", nil)
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", poptest.Proof{Key: device, Token: token, URL: "https://api.example.com/accounts", IssuedAt: r.clock.Now()}.String())
	_, err := r.Check(request)
	var refused *access.Error
	if errors.As(err, &refused) {
		fmt.Printf("%s: %d %s\n", who, refused.Status, refused.Reason())
		return
	}
	fmt.Printf("%s: welcome\n", who)
}

func (r recipe) revoke(e revocation.Entry) {
	e.Issuer = poptest.Issuer // of the user's tokens
	if err := r.store.Revoke(context.Background(), e); err != nil {
		log.Fatal(err) // it is not in force: say so to whoever asked for it, and try again
	}
}

var laptop, phone = poptest.Keyed("ES256", "laptop"), poptest.Keyed("ES256", "phone")

// A password was changed: whatever was issued before is refused, but for the session in which it was changed. A
// token's iat has whole seconds, so tokens of the same second are refused too. Where the issuer's clock may be ahead
// of this one, add by how much to Before.
func Example_passwordChange() {
	api := newRecipe()
	old := api.login(phone, map[string]any{"sub": "alice", "sid": "phone"})
	own := api.login(laptop, map[string]any{"sub": "alice", "sid": "laptop"})
	api.call("phone", phone, old)

	api.revoke(revocation.Entry{
		By: revocation.BySubject, Value: "alice", Before: api.clock.Now(), ExceptSession: "laptop",
	})
	api.call("phone", phone, old)
	api.call("laptop", laptop, own)

	api.clock.Advance(time.Minute)
	api.call("phone, after a new login", phone, api.login(phone, map[string]any{"sub": "alice", "sid": "phone-2"}))
	// Output:
	// phone: welcome
	// phone: 401 subject_revoked
	// laptop: welcome
	// phone, after a new login: welcome
}

// The same by a version of the password that the issuer writes into its tokens. The API compares it with the
// version that it knows; a look-up in memory, which the change of a password updates.
func Example_credentialVersion() {
	var versions sync.Map // subject → version
	versions.Store("alice", 1)
	api := newRecipe(withPolicy(func(_ *http.Request, grant *access.Grant) error {
		var claims struct {
			Version int `json:"credential_version"`
		}
		if err := grant.Claims(&claims); err != nil {
			return access.ErrTokenInactive
		}
		if current, known := versions.Load(grant.Subject); !known || claims.Version != current {
			return access.ErrTokenInactive
		}
		return nil
	}))
	old := api.login(phone, map[string]any{"sub": "alice", "credential_version": 1})
	api.call("version 1", phone, old)
	versions.Store("alice", 2)
	api.call("version 1, after the change", phone, old)
	api.call("version 2", phone, api.login(phone, map[string]any{"sub": "alice", "credential_version": 2}))
	api.call("no version", phone, api.login(phone, map[string]any{"sub": "alice"}))
	// Output:
	// version 1: welcome
	// version 1, after the change: 401 token_inactive
	// version 2: welcome
	// no version: 401 token_inactive
}

// A user is locked: no token of hers is accepted, whenever it was issued. The entry ends by itself when the tokens
// issued so far have expired, by when her issuer must have stopped to issue new ones.
func Example_lockUser() {
	api := newRecipe()
	token := api.login(laptop, map[string]any{"sub": "alice"})
	other := api.login(phone, map[string]any{"sub": "bob"})
	api.call("alice", laptop, token)
	api.revoke(revocation.Entry{By: revocation.BySubject, Value: "alice"})
	api.call("alice", laptop, token)
	api.call("alice, with a new token", laptop, api.login(laptop, map[string]any{"sub": "alice"}))
	api.call("bob", phone, other)
	// Output:
	// alice: welcome
	// alice: 401 subject_revoked
	// alice, with a new token: 401 subject_revoked
	// bob: welcome
}

// One session a user: each login ends the sessions before it. The entry names the new session, whose own token is of
// the same second. Two logins within one second end each other: what was taken back stays so.
func Example_oneSession() {
	api := newRecipe()
	login := func(device *poptest.Key, session string) string {
		api.revoke(revocation.Entry{
			By: revocation.BySubject, Value: "alice", Before: api.clock.Now(), ExceptSession: session,
		})
		return api.login(device, map[string]any{"sub": "alice", "sid": session})
	}
	first := login(laptop, "s-1")
	api.call("laptop", laptop, first)
	api.clock.Advance(time.Second)
	second := login(phone, "s-2")
	api.call("laptop", laptop, first)
	api.call("phone", phone, second)
	// Output:
	// laptop: welcome
	// laptop: 401 subject_revoked
	// phone: welcome
}

// Log out here ends one session; log out everywhere, all of them.
func Example_logOutEverywhere() {
	api := newRecipe()
	here := api.login(laptop, map[string]any{"sub": "alice", "sid": "s-1"})
	there := api.login(phone, map[string]any{"sub": "alice", "sid": "s-2"})
	api.revoke(revocation.Entry{By: revocation.BySession, Value: "s-1"})
	api.call("laptop, logged out", laptop, here)
	api.call("phone", phone, there)
	api.revoke(revocation.Entry{By: revocation.BySubject, Value: "alice", Before: api.clock.Now()})
	api.call("phone, logged out everywhere", phone, there)
	// Output:
	// laptop, logged out: 401 session_revoked
	// phone: welcome
	// phone, logged out everywhere: 401 subject_revoked
}

// A phone was lost. The thumbprint of its key, from the record of the tokens in use for example, takes back every
// token on it, whosever it is; the other devices go on.
func Example_lostPhone() {
	api := newRecipe()
	lost := api.login(phone, map[string]any{"sub": "alice"})
	kept := api.login(laptop, map[string]any{"sub": "alice"})
	api.revoke(revocation.Entry{By: revocation.ByKey, Value: phone.Thumbprint()})
	api.call("phone", phone, lost)
	api.call("laptop", laptop, kept)
	// Output:
	// phone: 401 key_revoked
	// laptop: welcome
}

// The user is looked up with every third request of a token, or when a tenth of the token's life has passed. A data
// base that does not answer refuses, and so does a user who is not active, for the rest of the token's life.
func ExampleRecheck() {
	active, down := true, false
	policy, err := access.Recheck{
		Lookup: func(_ context.Context, token *access.Token) error {
			fmt.Println("  look up", token.Subject)
			switch {
			case down:
				return errors.New("no connection")
			case !active:
				return access.ErrAccount
			}
			return nil
		},
		Requests: 3, Percent: 10,
	}.Policy()
	if err != nil {
		log.Fatal(err)
	}
	api := newRecipe(withPolicy(policy))
	token := api.login(laptop, map[string]any{"sub": "alice"})
	for i := 1; i <= 4; i++ {
		api.call(fmt.Sprint("request ", i), laptop, token)
	}
	down = true
	for i := 5; i <= 7; i++ {
		api.call(fmt.Sprint("request ", i), laptop, token)
	}
	down, active = false, false
	for i := 8; i <= 9; i++ {
		api.call(fmt.Sprint("request ", i), laptop, token)
	}
	// Output:
	//   look up alice
	// request 1: welcome
	// request 2: welcome
	// request 3: welcome
	//   look up alice
	// request 4: welcome
	// request 5: welcome
	// request 6: welcome
	//   look up alice
	// request 7: 503 unavailable
	//   look up alice
	// request 8: 401 account_not_active
	// request 9: 401 account_not_active
}

// A token is good only where it was asked for, if its issuer writes the address into it.
func ExampleCompareAddress() {
	policy, err := access.CompareAddress("ip", nil) // behind proxies, give access.ForwardedAddress
	if err != nil {
		log.Fatal(err)
	}
	api := newRecipe(withPolicy(policy))
	api.call("from 192.0.2.1", laptop, api.login(laptop, map[string]any{"ip": "192.0.2.1"})) // as httptest has it
	api.call("from elsewhere", laptop, api.login(laptop, map[string]any{"ip": "198.51.100.7"}))
	api.call("without the claim", laptop, api.login(laptop, nil))
	// Output:
	// from 192.0.2.1: welcome
	// from elsewhere: 401 address_mismatch
	// without the claim: 401 token_claim_missing
}

// Your devices: the tokens of a user that are in use, and one of them taken back.
func ExampleGuard_tokensInUse() {
	var register revocation.Register
	api := newRecipe(func(g *access.Guard, store *revocation.Memory) { register, g.Register = store, store })
	onPhone := api.login(phone, map[string]any{"sub": "alice", "jti": "token of the phone"})
	onLaptop := api.login(laptop, map[string]any{"sub": "alice", "jti": "token of the laptop"})
	api.call("phone", phone, onPhone)
	api.clock.Advance(time.Minute)
	api.call("laptop", laptop, onLaptop)

	uses, err := register.InUse(context.Background(), poptest.Issuer, "alice")
	if err != nil {
		log.Fatal(err)
	}
	for _, use := range uses {
		fmt.Printf("  %s, last seen %s at %s\n", use.ID, use.LastSeen.UTC().Format("15:04:05"), use.Address)
	}
	if err := revocation.TakeBack(context.Background(), api.store, register, uses[1]); err != nil {
		log.Fatal(err)
	}
	api.call("phone", phone, onPhone)
	api.call("laptop", laptop, onLaptop)
	// Output:
	// phone: welcome
	// laptop: welcome
	//   token of the laptop, last seen 03:05:05 at 192.0.2.1
	//   token of the phone, last seen 03:04:05 at 192.0.2.1
	// phone: 401 token_revoked
	// laptop: welcome
}
