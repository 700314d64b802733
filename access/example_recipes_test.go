package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/revocation"
)

// recipe is an API for the examples below. Its guard is an ordinary one, but for a clock that is set by hand and an
// authorization server that is a table of tokens, so that each example has one outcome.
type recipe struct {
	*access.Guard
	store  *revocation.Memory // [revocation.Open] keeps the same in a file, which outlives a restart
	now    time.Time
	tokens map[string]*access.Token
}

const issuer = "https://login.example.com"

func newRecipe(changes ...func(*access.Config, *revocation.Memory)) *recipe {
	api := &recipe{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), tokens: map[string]*access.Token{}}
	clock := func() time.Time { return api.now }
	var err error
	if api.store, err = revocation.NewMemory(revocation.Options{Now: clock}); err != nil {
		log.Fatal(err)
	}
	config := access.Config{
		Origins: []string{"https://api.example.com"},
		Tokens: access.ValidatorFunc(func(_ context.Context, token string) (*access.Token, error) {
			if t := api.tokens[token]; t != nil {
				return t, nil
			}
			return nil, access.ErrTokenInactive
		}),
		Revocation:            api.store,
		InsecureForgetAtStart: true,
		Log:                   slog.New(slog.DiscardHandler),
		Now:                   clock,
	}
	for _, change := range changes {
		change(&config, api.store)
	}
	if api.Guard, err = access.New(config); err != nil {
		log.Fatal(err)
	}
	return api
}

// login is a login at the authorization server, on a device with its own key. The claims are sub, sid and others.
func (api *recipe) login(device *dpop.Signer, claims map[string]any) string {
	all := map[string]any{
		"iss": issuer, "sub": "alice", "jti": rand.Text(), "iat": api.now.Unix(), "exp": api.now.Add(5 * time.Minute).Unix(),
		"cnf": map[string]any{"jkt": device.Thumbprint()},
	}
	maps.Copy(all, claims)
	token, err := access.NewToken(all)
	if err != nil {
		log.Fatal(err)
	}
	text := rand.Text()
	api.tokens[text] = token
	return text
}

// withPolicy gives the guard a policy.
func withPolicy(policy access.Policy) func(*access.Config, *revocation.Memory) {
	return func(c *access.Config, _ *revocation.Memory) { c.Policies = []access.Policy{policy} }
}

// call sends a request from a device, and prints how it is answered.
func (api *recipe) call(who string, device *dpop.Signer, token string) {
	const url = "https://api.example.com/accounts"
	proof, err := device.Sign(dpop.ProofOptions{Method: "GET", URL: url, AccessToken: token, IssuedAt: api.now})
	if err != nil {
		log.Fatal(err)
	}
	request := httptest.NewRequest("GET", url, nil)
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", proof)
	_, err = api.Check(request)
	var refused *access.Error
	if errors.As(err, &refused) {
		fmt.Printf("%s: %d %s\n", who, refused.Status, refused.Reason())
		return
	}
	fmt.Printf("%s: welcome\n", who)
}

func (api *recipe) revoke(e revocation.Entry) {
	e.Issuer = issuer // of the user's tokens
	if err := api.store.Revoke(context.Background(), e); err != nil {
		log.Fatal(err) // it is not in force: say so to whoever asked for it, and try again
	}
}

var laptop, phone = newDevice(), newDevice()

// newDevice is a device with a key of its own.
func newDevice() *dpop.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	device, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	return device
}

// A password was changed: whatever was issued before is refused, but for the session in which it was changed. A
// token's iat has whole seconds, so tokens of the same second are refused too. Where the issuer's clock may be ahead
// of this one, add by how much to Before.
func Example_passwordChange() {
	api := newRecipe()
	old := api.login(phone, map[string]any{"sub": "alice", "sid": "phone"})
	own := api.login(laptop, map[string]any{"sub": "alice", "sid": "laptop"})
	api.call("phone", phone, old)

	api.revoke(revocation.Entry{
		By: revocation.BySubject, Value: "alice", Before: api.now, ExceptSession: "laptop",
	})
	api.call("phone", phone, old)
	api.call("laptop", laptop, own)

	api.now = api.now.Add(time.Minute)
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
	login := func(device *dpop.Signer, session string) string {
		api.revoke(revocation.Entry{
			By: revocation.BySubject, Value: "alice", Before: api.now, ExceptSession: session,
		})
		return api.login(device, map[string]any{"sub": "alice", "sid": session})
	}
	first := login(laptop, "s-1")
	api.call("laptop", laptop, first)
	api.now = api.now.Add(time.Second)
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
	api.revoke(revocation.Entry{By: revocation.BySubject, Value: "alice", Before: api.now})
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
	// request 7: 503 policy_failed
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
	api := newRecipe(func(c *access.Config, store *revocation.Memory) { register, c.Register = store, store })
	onPhone := api.login(phone, map[string]any{"sub": "alice", "jti": "token of the phone"})
	onLaptop := api.login(laptop, map[string]any{"sub": "alice", "jti": "token of the laptop"})
	api.call("phone", phone, onPhone)
	api.now = api.now.Add(time.Minute)
	api.call("laptop", laptop, onLaptop)

	uses, err := register.Uses(context.Background(), issuer, "alice")
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

// How long a token may live is the API's decision too: one that lives longer is refused from its first second.
func Example_lifetime() {
	api := newRecipe(func(config *access.Config, _ *revocation.Memory) {
		config.MaxTokenLifetime = 5 * time.Minute
	})
	hour := api.login(laptop, map[string]any{"exp": api.now.Add(time.Hour).Unix()})
	api.call("for five minutes", laptop, api.login(laptop, nil))
	api.call("for an hour", laptop, hour)
	// Output:
	// for five minutes: welcome
	// for an hour: 401 token_lifetime_too_long
}
