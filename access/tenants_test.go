package access_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// directory is what an application knows of its tenants.
type directory struct {
	mu      sync.Mutex
	tenants map[string]*access.Issuer // by iss
	err     error
	asked   []string
}

func (d *directory) Find(_ context.Context, iss string) (*access.Issuer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, iss)
	if d.err != nil && d.tenants[iss] == nil {
		return nil, d.err
	}
	return d.tenants[iss], nil
}

// times is how often the directory was asked since the last time.
func (d *directory) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.asked)
	d.asked = nil
	return n
}

// tenantOf is an issuer with the key of poptest's.
func tenantOf(iss string) *access.Issuer {
	i := staticIssuer()
	i.URL = iss
	return &i
}

func issuedBy(iss string) string { return bound(claim("iss", iss)) }

const acme, globex = "https://acme.example", "https://login.example/globex/"

// tenanted is a guard of a directory with acme and globex.
func tenanted(t *testing.T, change func(*access.Tenants)) (*setup, *directory) {
	d := &directory{tenants: map[string]*access.Issuer{acme: tenantOf(acme), globex: tenantOf(globex)}}
	s := newGuard(t, func(s *setup) {
		s.Tenants = &access.Tenants{Find: d.Find}
		if change != nil {
			change(s.Tenants)
		}
	})
	return s, d
}

func (s *setup) passes(t *testing.T, token string) {
	t.Helper()
	if _, err := s.Check(s.request(token)); err != nil {
		t.Fatal(err)
	}
	s.WaitForCache()
}

// request is the owner's, by the clock of the guard.
func (s *setup) request(token string) *http.Request {
	return get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String())
}

var stranger = refusal{401, "invalid_token", "token_issuer_unknown"}

// Who is taken for a tenant, and who is not even asked about.
func TestTenants(t *testing.T) {
	s, d := tenanted(t, nil)
	for range 2 {
		s.passes(t, issuedBy(acme))
		s.passes(t, issuedBy(globex))
		s.passes(t, bound()) // of Issuers
	}
	if n := d.times(); n != 2 {
		t.Errorf("asked %d times about two tenants", n)
	}
	d.tenants["https://alias.example"] = tenantOf(acme)
	for _, iss := range []string{"https://nobody.example", acme + "/", "https://ACME.example", "https://alias.example"} {
		for range 2 {
			_, err := s.Check(owner(issuedBy(iss)))
			expect(t, err, stranger)
		}
	}
	if n := d.times(); n != 4 {
		t.Errorf("asked %d times about four strangers", n)
	}
	for _, iss := range []string{
		"", "acme", "http://acme.example", "http://127.0.0.1", "http://localhost", "file:///etc/passwd", "https:///", "https://",
		"https://a:b@acme.example", acme + "?a", acme + "?", acme + "#a", acme + " ", "https://ä.example", acme + "/" + strings.Repeat("a", 1024),
	} {
		_, err := s.Check(owner(issuedBy(iss)))
		expect(t, err, stranger)
	}
	if n := d.times(); n != 0 {
		t.Errorf("asked %d times about what no issuer is called", n)
	}
	// The key of one is not that of another, where they differ.
	other := tenantOf("https://other.example")
	other.JWKS = poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.Keyed("ES256", "other")})
	d.tenants[other.URL] = other
	_, err := s.Check(owner(issuedBy(other.URL)))
	expect(t, err, refusal{401, "invalid_token", "token_signature_invalid"})
}

// What goes wrong in looking up is our own trouble, is not remembered, and does not touch others.
func TestTenantsTrouble(t *testing.T) {
	ours := refusal{503, "", "tenants_unreachable"}
	s, d := tenanted(t, nil)
	d.err = errors.New("no data base")
	for range 2 {
		_, err := s.Check(owner(issuedBy("https://nobody.example")))
		expect(t, err, ours)
	}
	if n := d.times(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	s.passes(t, issuedBy(acme))
	d.tenants[globex].Audience = ""
	_, err := s.Check(owner(issuedBy(globex)))
	if e := expect(t, err, ours); !strings.Contains(e.Error(), "Audience is empty") {
		t.Error(e)
	}
	panics, _ := tenanted(t, func(c *access.Tenants) {
		c.Find = func(context.Context, string) (*access.Issuer, error) { panic("oh") }
	})
	_, err = panics.Check(owner(issuedBy(acme)))
	expect(t, err, refusal{503, "", "panic"})
}

// An answer has a lifetime, for tokens that are cached too. A tenant that goes takes its tokens along.
func TestTenantGoes(t *testing.T) {
	s, d := tenanted(t, func(c *access.Tenants) { c.Lifetime = time.Minute })
	token := issuedBy(acme)
	s.passes(t, token)
	s.clock.Advance(time.Minute - 1)
	s.passes(t, token)
	if n := d.times(); n != 1 {
		t.Errorf("asked %d times within the lifetime", n)
	}
	s.clock.Advance(1)
	for known := range 2 { // it is judged anew, and known from then on
		if grant, err := s.Check(s.request(token)); err != nil || grant.TokenKnown() != (known == 1) {
			t.Errorf("%v, known %t", err, known == 0)
		}
		s.WaitForCache()
	}
	if n := d.times(); n != 1 {
		t.Errorf("asked %d times after it", n)
	}
	d.tenants[acme].Audience = "https://elsewhere.example"
	s.passes(t, token) // until the answer has had its time
	changed := *d.tenants[acme]
	d.tenants[acme] = &changed
	s.clock.Advance(time.Minute)
	_, err := s.Check(s.request(token))
	expect(t, err, refusal{401, "invalid_token", "token_audience_wrong"})

	d.tenants[acme] = tenantOf(acme)
	s.clock.Advance(time.Minute)
	s.passes(t, token)
	delete(d.tenants, acme)
	s.clock.Advance(time.Minute)
	for range 2 {
		_, err = s.Check(s.request(token))
		expect(t, err, stranger)
	}
	d.tenants[acme] = tenantOf(acme)
	s.clock.Advance(time.Minute - 1)
	_, err = s.Check(s.request(token))
	expect(t, err, stranger)
	s.clock.Advance(1)
	s.passes(t, token) // a tenant again
}

// A list of a tenant that is changed where it stands is a change too, from the next answer on.
func TestTenantChangesInPlace(t *testing.T) {
	s, d := tenanted(t, func(c *access.Tenants) { c.Lifetime = time.Minute })
	here := d.tenants[acme]
	here.Audience, here.MoreAudiences = "https://elsewhere.example", []string{poptest.Audience}
	token := issuedBy(acme)
	s.passes(t, token)
	here.MoreAudiences[0] = here.Audience
	s.passes(t, token)
	s.clock.Advance(time.Minute)
	_, err := s.Check(s.request(token))
	expect(t, err, refusal{401, "invalid_token", "token_audience_wrong"})
}

// A flood of strangers neither fills the memory of tenants nor takes their look-ups, and ends with the second.
func TestTenantsFlood(t *testing.T) {
	s, d := tenanted(t, func(c *access.Tenants) {
		c.PerSecond, c.MostStrangers, c.Most, c.Lifetime = 5, 3, 1, time.Second
	})
	s.passes(t, issuedBy(acme))
	flood := func(want int) {
		t.Helper()
		d.times()
		for i := range 20 {
			_, err := s.Check(s.request(issuedBy(fmt.Sprintf("https://stranger-%d.example", i))))
			if err == nil {
				t.Fatal("accepted")
			}
		}
		if n := d.times(); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	flood(4)
	_, err := s.Check(s.request(issuedBy(globex)))
	expect(t, err, refusal{503, "", "tenants_unreachable"})
	s.passes(t, issuedBy(acme))
	if n := d.times(); n != 0 {
		t.Errorf("the known one was pushed out: asked %d times", n)
	}
	s.clock.Advance(time.Second)
	flood(5)
	s.passes(t, issuedBy(acme)) // its answer has had its time; to ask again is not limited
	if n := d.times(); n != 1 {
		t.Errorf("asked %d times about the known one", n)
	}
	s.clock.Advance(time.Second)
	for one, other := issuedBy(globex), issuedBy(acme); len(d.asked) < 4; { // room for one: a token goes with its tenant
		before := len(d.asked)
		s.passes(t, one)
		if one, other = other, one; len(d.asked) != before+1 {
			t.Fatalf("asked %d times about one that had to make room", len(d.asked)-before)
		}
	}
	if n := d.times(); n != 4 {
		t.Errorf("asked %d times about two, with room for one", n)
	}
}

// Requests that come at once share one look-up.
func TestTenantsAreAskedAboutOnce(t *testing.T) {
	began, goes := make(chan bool, 9), make(chan bool)
	s, _ := tenanted(t, func(c *access.Tenants) {
		c.Find = func(_ context.Context, iss string) (*access.Issuer, error) {
			began <- true
			<-goes
			return tenantOf(iss), nil
		}
	})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := s.Check(s.request(issuedBy(acme))); err != nil {
				t.Error(err)
			}
		})
	}
	<-began
	close(goes)
	all.Wait()
	if len(began) != 0 {
		t.Error("asked more than once")
	}
}

// A tenant's keys are fetched over https, from public addresses.
func TestTenantsAreFetchedFromPublicAddresses(t *testing.T) {
	i := poptest.NewIssuerServer(t)
	for _, private := range []bool{false, true} {
		s := newGuard(t, func(s *setup) {
			s.HTTPClient, s.Issuers = i.Client(), nil
			s.Tenants = &access.Tenants{InsecurePrivateAddresses: private, Lifetime: time.Minute, Find: func(_ context.Context, iss string) (*access.Issuer, error) {
				return &access.Issuer{URL: iss, Audience: poptest.Audience}, nil
			}}
		})
		if private {
			for range 3 { // one whose settings are what they were keeps its keys
				s.passes(t, issuedBy(i.URL()))
				s.clock.Advance(time.Minute)
			}
			if n := i.Fetches(); n != 1 {
				t.Errorf("its keys were fetched %d times", n)
			}
			continue
		}
		_, err := s.Check(owner(issuedBy(i.URL())))
		expect(t, err, refusal{503, "", "keys_unreachable"})
		if i.FetchesOf(poptest.MetadataPath) != 0 {
			t.Error("a request went to this machine")
		}
	}
}

// Beside a Validator of opaque tokens, JWTs are the tenants' unless it lists their issuer.
func TestTenantsBesideTokens(t *testing.T) {
	d := &directory{tenants: map[string]*access.Issuer{acme: tenantOf(acme)}}
	s := newGuard(t, func(s *setup) {
		s.Tenants = &access.Tenants{Find: d.Find}
		s.Tokens = access.ValidatorFunc(func(_ context.Context, token string) (*access.Token, error) {
			if strings.Contains(token, ".") {
				t.Error("a JWT was given to the other")
			}
			return access.NewToken(map[string]any{
				"iss": "opaque", "exp": poptest.Now.Unix() + 60, "iat": poptest.Now.Unix(), "cnf": map[string]any{"jkt": poptest.ClientKey().Thumbprint()},
			})
		})
	})
	s.passes(t, issuedBy(acme))
	s.passes(t, "opaque")
	_, err := s.Check(owner(issuedBy("https://nobody.example")))
	expect(t, err, stranger)
}

func TestTenantsSettings(t *testing.T) {
	find := func(context.Context, string) (*access.Issuer, error) { return nil, nil }
	for _, test := range []struct {
		tenants access.Tenants
		client  *http.Client
		want    string
	}{
		{access.Tenants{}, nil, "Tenants.Find is nil"},
		{access.Tenants{Find: find, Lifetime: time.Second - 1}, nil, "Tenants.Lifetime"},
		{access.Tenants{Find: find, PerSecond: -1}, nil, "Tenants.PerSecond"},
		{access.Tenants{Find: find, Most: -1}, nil, "Tenants.Most"},
		{access.Tenants{Find: find, MostStrangers: -1}, nil, "Tenants.MostStrangers"},
		{access.Tenants{Find: find}, &http.Client{Transport: http.NewFileTransport(nil)}, "Tenants.InsecurePrivateAddresses"},
		{access.Tenants{Find: find, InsecurePrivateAddresses: true}, &http.Client{Transport: http.NewFileTransport(nil)}, ""},
		{access.Tenants{Find: find}, nil, ""},
	} {
		c := config()
		c.Issuers, c.Tenants, c.HTTPClient = nil, &test.tenants, test.client
		g, err := access.New(c)
		if err == nil {
			_ = g.Close()
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %q: %v", test.want, err)
		}
	}
}

// A look-up that does not come back, or comes back when the Guard is closed, is our own trouble; a clock that is set back
// does not stop the questions of its second; a tenant that has gone is a stranger, whose look-ups count.
func TestTenantsAtTheEdges(t *testing.T) {
	ours := refusal{503, "", "tenants_unreachable"}
	t.Run("the client leaves", func(t *testing.T) {
		release := make(chan bool)
		defer close(release)
		s, _ := tenanted(t, func(c *access.Tenants) {
			c.Find = func(context.Context, string) (*access.Issuer, error) { <-release; return nil, nil }
		})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		_, err := s.Check(s.request(issuedBy(acme)).WithContext(ctx))
		expect(t, err, ours)
	})
	t.Run("the Guard is closed", func(t *testing.T) {
		var s *setup
		s, _ = tenanted(t, func(c *access.Tenants) {
			c.Find = func(_ context.Context, iss string) (*access.Issuer, error) { return tenantOf(iss), s.Close() }
		})
		_, err := s.Check(s.request(issuedBy(acme)))
		expect(t, err, ours)
	})
	t.Run("a clock set back", func(t *testing.T) {
		s, _ := tenanted(t, func(c *access.Tenants) { c.PerSecond = 1 })
		s.passes(t, issuedBy(acme))
		_, err := s.Check(s.request(issuedBy(globex)))
		expect(t, err, ours)
		s.clock.Advance(-5 * time.Second)
		s.passes(t, issuedBy(globex))
	})
	t.Run("a tenant that has gone", func(t *testing.T) {
		s, d := tenanted(t, func(c *access.Tenants) { c.PerSecond, c.Lifetime = 1, time.Second })
		s.passes(t, issuedBy(acme))
		d.tenants[acme] = nil
		s.clock.Advance(time.Second)
		_, err := s.Check(s.request(issuedBy(acme)))
		expect(t, err, stranger)
		s.clock.Advance(time.Second)
		s.passes(t, issuedBy(globex))
		_, err = s.Check(s.request(issuedBy(acme)))
		expect(t, err, ours)
	})
	t.Run("its tokens are known", func(t *testing.T) {
		var heard []access.Decision
		d := &directory{tenants: map[string]*access.Issuer{acme: tenantOf(acme)}}
		s := newGuard(t, hears(&heard), func(s *setup) { s.Tenants = &access.Tenants{Find: d.Find} })
		token := issuedBy(acme)
		for range 2 {
			s.passes(t, token)
		}
		if heard[0].TokenKnown || !heard[1].TokenKnown {
			t.Errorf("known %t, then %t", heard[0].TokenKnown, heard[1].TokenKnown)
		}
	})
	t.Run("as long as a name may be", func(t *testing.T) {
		long := acme + "/" + strings.Repeat("a", access.MaxIssuer-len(acme)-1)
		s, d := tenanted(t, nil)
		d.tenants[long] = tenantOf(long)
		s.passes(t, issuedBy(long))
	})
}
