package conformance_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/mtls"
)

// wired are defects in what an application puts around the middleware and into it.
var wired = []planted{
	{name: "a replay store that looks and then writes", finds: "replay-race",
		config: store(func(s dpop.ReplayStore) dpop.ReplayStore {
			return newLookThenWrite(s)
		})},
	{name: "a replay store that forgets everything", finds: "replay-same",
		config: store(func(dpop.ReplayStore) dpop.ReplayStore { return forgetful{} })},
	{name: "a replay store that forgets after half a minute", finds: "replay-much-later", config: hastyStore},
	{name: "a validator that gives every scope", finds: "scope-missing",
		config: tokens(func(t *access.Token) { t.Scopes = []string{"conformance:write"} })},
	{name: "a validator that loses the scopes", finds: "scope-present",
		config: tokens(func(t *access.Token) { t.Scopes = nil })},
	{name: "a clock that is seven seconds slow", finds: "iat-ok-4-ahead", config: config(func(c *access.Config) {
		now := c.Now
		c.Now = func() time.Time { return now().Add(-7 * time.Second) }
	})},
	{name: "HMAC secrets that are shared with nobody", finds: "nonce-retry", config: restartedNonces},
	{name: "every client is a trusted proxy", finds: "forwarded-ignored-X-Forwarded-Host",
		config: config(func(c *access.Config) { c.ForwardedBy = access.Peers{Addresses: []string{"127.0.0.0/8"}} })},
	{name: "a certificate from a field that anybody may send", finds: "mtls-header-Client-Cert",
		config: config(func(c *access.Config) {
			if c.Certificates != nil {
				c.Certificates = fromField
			}
		})},
	{name: "certificates are compared by their key", finds: "mtls-renewed", config: config(func(c *access.Config) {
		if c.Certificates != nil {
			c.Certificates = sameKey()
		}
	})},
	{name: "bearer tokens on every route", finds: "auth-bearer-unbound",
		config: config(func(c *access.Config) { c.InsecureAllowBearer = true })},
	{name: "a nonce is demanded nowhere", finds: "nonce-missing",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/nonce") {
					r.URL.Path, r.RequestURI = "/resource", "/resource"
				}
			})
		})},
	{name: "the query's token is moved into the header", finds: "query-token",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if token := r.URL.Query().Get("access_token"); token != "" && r.Header.Get("Authorization") == "" {
					r.Header.Set("Authorization", "DPoP "+token)
					r.URL.RawQuery = ""
				}
			})
		})},
	{name: "a form's token is moved into the header", finds: "body-token",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if token := r.PostFormValue("access_token"); token != "" && r.Header.Get("Authorization") == "" {
					r.Header.Set("Authorization", "DPoP "+token)
				}
			})
		})},
	{name: "X-HTTP-Method-Override changes the method", finds: "method-override",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if m := r.Header.Get("X-HTTP-Method-Override"); m != "" {
					r.Method = m
				}
			})
		})},
	{name: "X-Forwarded-Host replaces Host", finds: "forwarded-ignored-X-Forwarded-Host",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if h := r.Header.Get("X-Forwarded-Host"); h != "" && strings.HasPrefix(r.URL.Path, "/resource") {
					r.Host = h
				}
			})
		})},
	{name: "the last DPoP field alone arrives", finds: "field-twice-good-last",
		config: around(func(next http.Handler) http.Handler {
			return rewrite(next, func(r *http.Request) {
				if f := r.Header["Dpop"]; len(f) > 1 {
					r.Header["Dpop"] = f[len(f)-1:]
				}
			})
		})},
	{name: "a proxy that merges slashes", finds: "path-double", config: around(func(next http.Handler) http.Handler {
		return rewrite(next, func(r *http.Request) { r.RequestURI = strings.ReplaceAll(r.RequestURI, "//", "/") })
	})},
	{name: "a proxy that decodes the path", finds: "path-slash", config: around(func(next http.Handler) http.Handler {
		return rewrite(next, func(r *http.Request) { r.RequestURI = strings.ReplaceAll(r.RequestURI, "%2F", "/") })
	})},
	{name: "WWW-Authenticate is lost", finds: "challenge-present", config: answer(func(h http.Header,
		_ *int) {
		h.Del("WWW-Authenticate")
	})},
	{name: "401 becomes 403", finds: "challenge-token-401", config: answer(func(_ http.Header, code *int) {
		if *code == http.StatusUnauthorized {
			*code = http.StatusForbidden
		}
	})},
	{name: "401 becomes 500", finds: "ath-missing", config: answer(func(_ http.Header, code *int) {
		if *code == http.StatusUnauthorized {
			*code = http.StatusInternalServerError
		}
	})},
	{name: "DPoP-Nonce is lost", finds: "nonce-retry", config: answer(func(h http.Header,
		_ *int) {
		h.Del("DPoP-Nonce")
	})},
	{name: "two DPoP-Nonce fields", finds: "challenge-one-nonce-ok", config: answer(func(h http.Header, _ *int) {
		h.Add("DPoP-Nonce", "a")
		h.Add("DPoP-Nonce", "b")
	})},
	{name: "Proxy-Authenticate beside the challenge", finds: "challenge-no-proxy", config: answer(func(h http.Header,
		_ *int) {
		h.Set("Proxy-Authenticate", "DPoP")
	})},
	{name: "realm twice", finds: "challenge-realm", config: answer(func(h http.Header,
		_ *int) {
		h.Set("WWW-Authenticate", `DPoP realm="a", realm="b"`)
	})},
	{name: "a challenge whose quotes do not end", finds: "challenge-well-formed", config: answer(func(h http.Header,
		_ *int) {
		h.Set("WWW-Authenticate", `DPoP error="x`)
	})},
	{name: "algs offers none", finds: "challenge-algs-asymmetric", config: answer(func(h http.Header,
		_ *int) {
		h.Set("WWW-Authenticate", `DPoP algs="ES256 none"`)
	})},
	{name: "the handler runs before the check", finds: "refused-post", config: nil}, // see below
}

func config(change func(*access.Config)) func(*testing.T) defects {
	return func(*testing.T) defects { return defects{config: change} }
}

func store(wrap func(dpop.ReplayStore) dpop.ReplayStore) func(*testing.T) defects {
	return func(*testing.T) defects { return defects{replay: wrap} }
}

func around(wrap func(http.Handler) http.Handler) func(*testing.T) defects {
	return func(*testing.T) defects { return defects{handler: wrap} }
}

func tokens(change func(*access.Token)) func(*testing.T) defects {
	return func(*testing.T) defects {
		return defects{tokens: func(v access.Validator) access.Validator { return &validator{v, change} }}
	}
}

// answer changes refusals and answers on their way out.
func answer(change func(http.Header, *int)) func(*testing.T) defects {
	return around(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&changed{ResponseWriter: w, change: change}, r)
		})
	})
}

type changed struct {
	http.ResponseWriter
	change func(http.Header, *int)
}

func (c *changed) WriteHeader(code int) {
	c.change(c.Header(), &code)
	c.ResponseWriter.WriteHeader(code)
}

func rewrite(next http.Handler, change func(*http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change(r)
		next.ServeHTTP(w, r)
	})
}

// validator changes what a token says.
type validator struct {
	access.Validator
	change func(*access.Token)
}

func (v *validator) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	t, err := v.Validator.ValidateToken(ctx, token)
	if err != nil {
		return nil, err
	}
	own := *t
	v.change(&own)
	return &own, nil
}

// lookThenWrite looks first and writes afterwards, when somebody else has looked as well.
type lookThenWrite struct {
	dpop.ReplayStore
	mu    sync.Mutex
	met   *sync.Cond
	looks map[dpop.ReplayKey]int
	used  map[dpop.ReplayKey]bool
}

func newLookThenWrite(s dpop.ReplayStore) *lookThenWrite {
	l := &lookThenWrite{ReplayStore: s, looks: map[dpop.ReplayKey]int{}, used: map[dpop.ReplayKey]bool{}}
	l.met = sync.NewCond(&l.mu)
	return l
}

func (l *lookThenWrite) Claim(_ context.Context, key dpop.ReplayKey, _ time.Time) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := l.used[key]
	l.looks[key]++
	l.met.Broadcast()
	for len(l.looks) > 1 && l.looks[key] < 2 { // the first key of all is that of a lone request
		l.met.Wait()
	}
	l.used[key] = true
	return !used, nil
}

type forgetful struct{}

func (forgetful) Claim(context.Context, dpop.ReplayKey, time.Time) (bool, error) { return true, nil }
func (forgetful) Since() time.Time                                               { return time.Time{} }
func (forgetful) Window() time.Duration                                          { return time.Hour }

// hasty forgets before the proof can no longer be accepted.
type hasty struct {
	now  func() time.Time
	mu   sync.Mutex
	used map[dpop.ReplayKey]time.Time
}

func (h *hasty) Since() time.Time      { return time.Time{} }
func (h *hasty) Window() time.Duration { return time.Hour }

func (h *hasty) Claim(_ context.Context, key dpop.ReplayKey, _ time.Time) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until, ok := h.used[key]; ok && h.now().Before(until) {
		return false, nil
	}
	h.used[key] = h.now().Add(30 * time.Second)
	return true, nil
}

func hastyStore(*testing.T) defects {
	return defects{config: func(c *access.Config) {
		c.Replay, c.MaxAge = &hasty{now: c.Now, used: map[dpop.ReplayKey]time.Time{}}, 5*time.Minute
	}}
}

// restartedNonces gives every request a server of its own, whose nonces no other accepts.
func restartedNonces(t *testing.T) defects {
	return answer(func(h http.Header, _ *int) {
		if h.Get("DPoP-Nonce") != "" {
			h.Set("DPoP-Nonce", "of-another-instance")
		}
	})(t)
}

func fromField(r *http.Request) (*mtls.Certificate, error) {
	if der, err := base64.StdEncoding.DecodeString(strings.Trim(r.Header.Get("Client-Cert"), ":")); err == nil &&
		len(der) > 0 {
		return &mtls.Certificate{DER: der}, nil
	}
	return mtls.FromTLS(r)
}

// sameKey gives the certificate that was seen first with a key, whichever comes.
func sameKey() mtls.CertificateSource {
	return func(r *http.Request) (*mtls.Certificate, error) {
		c, err := mtls.FromTLS(r)
		if err != nil || c == nil {
			return c, err
		}
		presented, err := c.X509()
		if err != nil {
			return nil, err
		}
		for _, known := range conformance.Certificates() {
			if bytes.Equal(known.RawSubjectPublicKeyInfo, presented.RawSubjectPublicKeyInfo) {
				return &mtls.Certificate{DER: known.Raw}, nil
			}
		}
		return c, nil
	}
}

// Defects in the wiring are found as well, each by the case that is named beside it.
func TestWiring(t *testing.T) {
	for _, m := range wired {
		t.Run(m.name, func(t *testing.T) {
			if m.name == "the handler runs before the check" {
				s := newSubject(t, newIssuer(t), defects{})
				options := s.options()
				options.Only = []string{m.finds}
				eager := rewrite(s, func(*http.Request) { s.runs.Add(1) })
				report, err := conformance.Run(t.Context(), eager, options)
				if err != nil || report.Results[0].Outcome != conformance.Fail {
					t.Errorf("%v, %+v", err, report)
				}
				return
			}
			if got := outcome(t, m); got != conformance.Fail {
				t.Errorf("%s does not find it: %s", m.finds, got)
			}
		})
	}
}
