package events_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

func acceptJWT(s *setup) { s.forLogout.AcceptTypeJWT = true }
func noExpiry(s *setup)  { s.forLogout.AcceptNoExpiry = true }

func noSessions(s *setup) {
	s.forLogout.Provider.NoSessions, s.forSignals.Provider.NoSessions = true, true
}

// What a logout token takes back: a session if it names one, everything of the user until now if not.
func TestLogout(t *testing.T) {
	for name, test := range map[string]struct {
		change  members
		header  members
		setup   func(*setup)
		same    string // how a token of the session is revoked
		another string // how an earlier token of the user's other session is
	}{
		"sub and sid":                    {nil, nil, nil, "session", ""},
		"sid alone":                      {members{"sub": nil}, nil, nil, "session", ""},
		"sub alone":                      {members{"sid": nil}, nil, nil, "subject", "subject"},
		"sub and null sid":               {members{"sid": json.RawMessage("null")}, nil, nil, "subject", "subject"},
		"tokens carry no sid":            {nil, nil, noSessions, "subject", "subject"},
		"several audiences":              {members{"aud": []string{"other", clientID}}, nil, nil, "session", ""},
		"an event that has members":      {one(logoutURI, members{"x": 1}), nil, nil, "session", ""},
		"a further event":                {members{"events": members{logoutURI: members{}, "https://example.com/e": members{}}}, nil, nil, "session", ""},
		"unknown claims":                 {members{"x": members{"y": 1}, "sub_id": 1}, nil, nil, "session", ""},
		"nbf that has passed":            {members{"nbf": poptest.Now.Unix()}, nil, nil, "session", ""},
		"iat with a fraction":            {members{"iat": json.RawMessage("1767323045.25")}, nil, nil, "session", ""},
		"four minutes old":               {members{"iat": poptest.Now.Add(-4 * time.Minute).Unix()}, nil, nil, "session", ""},
		"within the leeway":              {members{"iat": poptest.Now.Add(9 * time.Second).Unix()}, nil, nil, "session", ""},
		"expired within the leeway":      {members{"exp": poptest.Now.Add(-9 * time.Second).Unix()}, nil, nil, "session", ""},
		"the full media type":            {nil, members{"typ": "application/Logout+JWT"}, nil, "session", ""},
		"typ JWT, if accepted":           {nil, members{"typ": "JWT"}, acceptJWT, "session", ""},
		"no typ, if accepted":            {nil, members{"typ": nil}, acceptJWT, "session", ""},
		"its own typ, if JWT is as well": {nil, nil, acceptJWT, "session", ""},
		"no exp, if accepted":            {members{"exp": nil}, nil, noExpiry, "session", ""},
		"exp, if none is accepted too":   {nil, nil, noExpiry, "session", ""},
		"no kid, and one key":            {nil, members{"kid": nil}, nil, "session", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, test.setup)
			header := logoutHeader()
			for k, v := range test.header {
				header[k] = v
			}
			logout := compact(header, logoutClaims(test.change))
			for range 2 { // the second time is answered as the first
				w := s.postLogout(logout)
				if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Body.Len() > 0 {
					t.Fatalf("got %d %v %s (%s)", w.Code, w.Header(), w.Body, s.log.reason)
				}
				same, another := token(-5*time.Minute), token(-5*time.Minute, of("user-1", "s-2"))
				if got := s.by(t, same); got != test.same {
					t.Errorf("the session is revoked by %q, want %q", got, test.same)
				}
				if got := s.by(t, another); got != test.another {
					t.Errorf("another session is revoked by %q, want %q", got, test.another)
				}
				if got := s.by(t, token(0, of("user-2", "s-3"))); got != "" {
					t.Errorf("somebody else is revoked by %q", got)
				}
				if got := s.by(t, token(0, func(t *revocation.Token) { t.Issuer += "/other" })); got != "" {
					t.Errorf("another issuer's user is revoked by %q", got)
				}
			}
			if !s.log.heard("logout received") {
				t.Error("nothing was logged")
			}
		})
	}
}

func TestLogoutRefusals(t *testing.T) {
	other := poptest.Keyed("ES256", "other issuer")
	signed := func(header, claims members, key *poptest.Key) string {
		return poptest.Compact(text(header), text(claims), key)
	}
	with := func(changes members) members {
		header := logoutHeader()
		for k, v := range changes {
			header[k] = v
		}
		return header
	}
	ago := func(d time.Duration) int64 { return poptest.Now.Add(-d).Unix() }
	for name, test := range map[string]struct {
		token  string
		reason string
	}{
		"no JWT":                     {"hostile", "event_jws_malformed"},
		"empty":                      {"", "event_jws_malformed"},
		"line break behind":          {logoutToken() + "\n", "event_jws_malformed"},
		"alg none":                   {signed(with(members{"alg": "none"}), logoutClaims(), &poptest.Key{Alg: "none"}) + "AA", "event_alg_not_allowed"},
		"HS256 with the public key":  {signed(with(members{"alg": "HS256"}), logoutClaims(), &poptest.Key{Alg: "HS256", Private: poptest.IssuerKey().Private}), "event_alg_not_allowed"},
		"another key":                {signed(with(nil), logoutClaims(), other), "event_signature_invalid"},
		"tampered":                   {poptest.Tampered(logoutToken()), "event_signature_invalid"},
		"unknown kid":                {signed(with(members{"kid": "hostile"}), logoutClaims(), other), "event_key_unknown"},
		"its own key":                {signed(with(members{"kid": "x", "jwk": other.JWK()}), logoutClaims(), other), "event_key_unknown"},
		"another alg under the kid":  {signed(with(members{"alg": "RS256"}), logoutClaims(), poptest.Keyed("RS256", "x")), "event_key_alg_mismatch"},
		"crit":                       {compact(with(members{"crit": []string{"exp"}}), logoutClaims()), "event_crit_present"},
		"typ JWT":                    {compact(with(members{"typ": "JWT"}), logoutClaims()), "event_typ_wrong"},
		"no typ":                     {compact(with(members{"typ": nil}), logoutClaims()), "event_typ_wrong"},
		"an access token":            {compact(with(members{"typ": "at+jwt"}), logoutClaims()), "event_typ_wrong"},
		"a security event token":     {compact(with(members{"typ": "secevent+jwt"}), logoutClaims()), "event_typ_wrong"},
		"claims twice":               {poptest.Compact(text(with(nil)), `{"iss":"a","iss":"b"}`, poptest.IssuerKey()), "event_json_invalid"},
		"an event twice":             {poptest.Compact(text(with(nil)), `{"events":{"a":{},"a":{}}}`, poptest.IssuerKey()), "event_json_invalid"},
		"another issuer":             {logoutToken(members{"iss": "https://hostile.example.com"}), "event_issuer_unknown"},
		"no issuer":                  {logoutToken(members{"iss": nil}), "event_issuer_unknown"},
		"another client":             {logoutToken(members{"aud": "hostile"}), "event_audience_wrong"},
		"no audience":                {logoutToken(members{"aud": nil}), "event_audience_wrong"},
		"no jti":                     {logoutToken(members{"jti": nil}), "event_claim_wrong"},
		"no iat":                     {logoutToken(members{"iat": nil}), "event_claim_wrong"},
		"iat zero":                   {logoutToken(members{"iat": 0}), "event_claim_wrong"},
		"iat as text":                {logoutToken(members{"iat": "now"}), "event_json_invalid"},
		"iat ahead":                  {logoutToken(members{"iat": ago(-11 * time.Second)}), "event_not_yet_valid"},
		"nbf ahead":                  {logoutToken(members{"nbf": ago(-11 * time.Second)}), "event_not_yet_valid"},
		"nbf as text":                {logoutToken(members{"nbf": "now"}), "event_json_invalid"},
		"iat too old":                {logoutToken(members{"iat": ago(5*time.Minute + 11*time.Second)}), "event_expired"},
		"no exp":                     {logoutToken(members{"exp": nil}), "event_claim_wrong"},
		"exp null":                   {logoutToken(members{"exp": json.RawMessage("null")}), "event_json_invalid"},
		"expired":                    {logoutToken(members{"exp": ago(10 * time.Second)}), "event_expired"},
		"nonce":                      {logoutToken(members{"nonce": "hostile"}), "event_claim_wrong"},
		"null nonce":                 {logoutToken(members{"nonce": json.RawMessage("null")}), "event_claim_wrong"},
		"no events":                  {logoutToken(members{"events": nil}), "event_claim_wrong"},
		"another event":              {logoutToken(one("https://hostile.example.com", nil)), "event_claim_wrong"},
		"events that is an array":    {logoutToken(members{"events": []string{logoutURI}}), "event_json_invalid"},
		"an event that is no object": {logoutToken(members{"events": members{logoutURI: "hostile"}}), "event_malformed"},
		"neither sub nor sid":        {logoutToken(members{"sub": nil, "sid": nil}), "event_claim_wrong"},
		"both empty":                 {logoutToken(members{"sub": "", "sid": ""}), "event_claim_wrong"},
		"sid as a number":            {logoutToken(members{"sid": 1}), "event_json_invalid"},
		"a sid too long to keep":     {logoutToken(members{"sid": strings.Repeat("hostile", 700)}), "event_subject_not_understood"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			s.refused(t, s.postLogout(test.token), 400, "error", "invalid_request", test.reason)
			if got := s.by(t, token(0)); got != "" {
				t.Errorf("refused, and revoked by %s", got)
			}
		})
	}
	t.Run("a session alone, and tokens carry no sid", func(t *testing.T) {
		s := newSetup(t, noSessions)
		s.refused(t, s.postLogout(logoutToken(members{"sub": nil})), 400, "error", "invalid_request", "event_subject_not_understood")
		err := s.logout.Receive(t.Context(), logoutToken(members{"sub": nil}))
		if err == nil || !strings.Contains(err.Error(), "access tokens carry no sid") {
			t.Errorf("the operator is told %v", err)
		}
	})
	t.Run("iat in milliseconds", func(t *testing.T) {
		s := newSetup(t)
		err := s.logout.Receive(t.Context(), logoutToken(members{"iat": poptest.Now.UnixMilli()}))
		if !errors.Is(err, events.ErrEarly) || !strings.Contains(err.Error(), "milliseconds") {
			t.Errorf("the operator is told %v", err)
		}
	})
	t.Run("an ID token, and typ JWT is accepted", func(t *testing.T) {
		s := newSetup(t, acceptJWT)
		header := with(members{"typ": "JWT"})
		s.refused(t, s.postLogout(compact(header, logoutClaims(members{"events": nil}))), 400, "error", "invalid_request", "event_claim_wrong")
	})
	t.Run("PS256 with a salt of another length (RFC 7518 §3.5)", func(t *testing.T) {
		key := poptest.Keyed("PS256", "issuer")
		s := newSetup(t, func(s *setup) { s.forLogout.Provider.JWKS = poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: key}) })
		token := signed(with(members{"alg": "PS256"}), logoutClaims(), key)
		s.refused(t, s.postLogout(poptest.Salted(token, key, 20)), 400, "error", "invalid_request", "event_signature_invalid")
		if err := s.logout.Receive(t.Context(), token); err != nil {
			t.Errorf("with its own salt: %v", err)
		}
	})
	t.Run("an algorithm that is not listed", func(t *testing.T) {
		s := newSetup(t, func(s *setup) { s.forLogout.Provider.Algorithms = []string{"PS256"} })
		s.refused(t, s.postLogout(logoutToken()), 400, "error", "invalid_request", "event_alg_not_allowed")
	})
}

func TestLogoutRequests(t *testing.T) {
	good := url.Values{"logout_token": {logoutToken()}}.Encode()
	for name, test := range map[string]struct {
		request *http.Request
		status  int
		reason  string
	}{
		"other parameters":    {request(form, "x=1&"+good), 200, ""},
		"a charset":           {request(form+"; charset=utf-8", good), 200, ""},
		"GET":                 {httptest.NewRequest(http.MethodGet, receiver+"?"+good, nil), 405, "event_request_malformed"},
		"PUT":                 {httptest.NewRequest(http.MethodPut, receiver, strings.NewReader(good)), 405, "event_request_malformed"},
		"in the query":        {httptest.NewRequest(http.MethodPost, receiver+"?"+good, nil), 400, "event_request_malformed"},
		"no form":             {request("text/plain", good), 400, "event_request_malformed"},
		"as JSON":             {request("application/json", `{"logout_token":"hostile"}`), 400, "event_request_malformed"},
		"none":                {request(form, "x=1"), 400, "event_request_malformed"},
		"two":                 {request(form, good+"&"+good), 400, "event_request_malformed"},
		"malformed":           {request(form, "logout_token=%zz"), 400, "event_request_malformed"},
		"too large":           {request(form, good+"&x="+strings.Repeat("x", events.DefaultMaxSize)), 413, "event_too_large"},
		"too large, unspoken": {unannounced(request(form, good+"&x="+strings.Repeat("x", events.DefaultMaxSize))), 413, "event_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			w := serve(s.logout, test.request)
			if test.status == 200 {
				if w.Code != 200 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				return
			}
			s.refused(t, w, test.status, "error", "invalid_request", test.reason)
			if allow := w.Header().Get("Allow"); (allow == "POST") != (test.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
			if got := s.by(t, token(0)); got != "" {
				t.Errorf("refused, and revoked by %s", got)
			}
		})
	}
}

// unannounced hides the length of a body.
func unannounced(r *http.Request) *http.Request {
	r.ContentLength = -1
	return r
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// A body that says that it is too large is not read.
func TestLargeBodiesAreNotRead(t *testing.T) {
	s := newSetup(t)
	for name, h := range map[string]http.Handler{"logout": s.logout, "signals": s.signals} {
		r := httptest.NewRequest(http.MethodPost, receiver, unread{t})
		r.ContentLength = events.DefaultMaxSize + 1
		if w := serve(h, r); w.Code != 413 {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
}

// A middleware may have read the form already.
func TestFormThatWasRead(t *testing.T) {
	s := newSetup(t)
	r := request(form, url.Values{"logout_token": {logoutToken()}}.Encode())
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	if w := serve(s.logout, r); w.Code != 200 || s.by(t, token(0)) != "session" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// Our own trouble is 503, so that the provider asks again; then it succeeds.
func TestOwnTrouble(t *testing.T) {
	deliver := map[string]func(*setup) *httptest.ResponseRecorder{
		"logout":  func(s *setup) *httptest.ResponseRecorder { return s.postLogout(logoutToken()) },
		"signals": func(s *setup) *httptest.ResponseRecorder { return s.push(set()) },
	}
	for name, send := range deliver {
		t.Run(name+", store down", func(t *testing.T) {
			s := newSetup(t)
			_ = s.store.Close()
			s.failed(t, send(s))
		})
		t.Run(name+", store full", func(t *testing.T) {
			s := newSetup(t, func(s *setup) {
				small, err := revocation.NewMemory(revocation.Options{Capacity: 1, Now: s.clock.Now})
				if err != nil {
					t.Fatal(err)
				}
				err = small.Revoke(t.Context(), revocation.Entry{Issuer: "x", By: revocation.BySubject, Value: "x"})
				if err != nil {
					t.Fatal(err)
				}
				s.store, s.forLogout.Store, s.forSignals.Store = small, small, small
			})
			s.failed(t, send(s))
		})
	}
	for _, kind := range []string{"logout", "signals"} {
		t.Run(kind+", keys unavailable", func(t *testing.T) {
			server := poptest.NewIssuerServer(t)
			s := newSetup(t, func(s *setup) {
				for _, p := range []*events.Provider{&s.forLogout.Provider, &s.forSignals.Provider} {
					p.URL, p.JWKS, p.HTTPClient = server.URL(), nil, server.Client()
				}
			})
			issuer := members{"iss": server.URL()}
			send := func() *httptest.ResponseRecorder {
				if kind == "logout" {
					return s.postLogout(logoutToken(issuer))
				}
				return s.push(set(issuer, members{"sub_id": opaque("user-1")}))
			}
			server.SetFailing(true)
			s.failed(t, send())
			server.SetFailing(false)
			s.clock.Advance(11 * time.Second)
			if w := send(); w.Code >= 300 {
				t.Errorf("when the keys are back: %d %s (%s)", w.Code, w.Body, s.log.reason)
			}
			if s.by(t, token(0, func(t *revocation.Token) { t.Issuer = server.URL() })) == "" {
				t.Error("nothing was revoked")
			}
		})
	}
}

// A key of which nothing is known is the provider's affair only if its keys were fetched since the report came. Before that
// it may be new, and the report has to come again.
func TestKeyThatIsNew(t *testing.T) {
	server := poptest.NewIssuerServer(t)
	s := newSetup(t, func(s *setup) {
		for _, p := range []*events.Provider{&s.forLogout.Provider, &s.forSignals.Provider} {
			p.URL, p.JWKS, p.HTTPClient = server.URL(), nil, server.Client()
		}
	})
	issuer := members{"iss": server.URL()}
	by := func(kid string, header, claims members) string {
		header["kid"] = kid
		return poptest.Compact(text(header), text(claims), poptest.Keyed("ES256", kid))
	}
	for name, c := range map[string]struct {
		send         func(kid string) *httptest.ResponseRecorder
		member, code string
	}{
		"logout": {func(kid string) *httptest.ResponseRecorder {
			return s.postLogout(by(kid, logoutHeader(), logoutClaims(issuer)))
		}, "error", "invalid_request"},
		"signals": {func(kid string) *httptest.ResponseRecorder {
			return s.push(by(kid, setHeader(), setClaims(issuer, members{"sub_id": opaque("user-1")})))
		}, "err", "invalid_key"},
	} {
		t.Run(name, func(t *testing.T) {
			s.clock.Set(poptest.Now)
			server.SetKeys(map[string]*poptest.Key{"old": poptest.Keyed("ES256", "old")})
			if w := c.send("old"); w.Code >= 300 {
				t.Errorf("the old key: %d (%s)", w.Code, s.log.last())
			}
			server.SetKeys(map[string]*poptest.Key{"new": poptest.Keyed("ES256", "new")})
			s.clock.Advance(time.Second)
			s.comesAgain(t, c.send("new"), slog.LevelWarn) // anybody can name such a key
			s.clock.Advance(10 * time.Second)
			s.refused(t, c.send("nobody's"), 400, c.member, c.code, "event_key_unknown")
			if w := c.send("new"); w.Code >= 300 {
				t.Errorf("the new key: %d (%s)", w.Code, s.log.last())
			}
		})
	}
}

// No token that was issued before the event escapes, and a new login ends none the sooner for a replay.
func TestReplayAfterNewLogin(t *testing.T) {
	for name, deliver := range map[string]func(*setup) *httptest.ResponseRecorder{
		"logout":          func(s *setup) *httptest.ResponseRecorder { return s.postLogout(logoutToken(members{"sid": nil})) },
		"session logout":  func(s *setup) *httptest.ResponseRecorder { return s.postLogout(logoutToken()) },
		"session-revoked": func(s *setup) *httptest.ResponseRecorder { return s.push(set(one(events.SessionRevoked, nil))) },
		"password change": func(s *setup) *httptest.ResponseRecorder {
			return s.push(set(one(events.CredentialChange, members{"change_type": "update", "event_timestamp": poptest.Now.Unix()})))
		},
		"account-disabled": func(s *setup) *httptest.ResponseRecorder { return s.push(set()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t)
			if w := deliver(s); w.Code >= 300 {
				t.Fatalf("got %d %s (%s)", w.Code, w.Body, s.log.reason)
			}
			newLogin := token(events.DefaultSkew+time.Second, of("user-1", "s-2"))
			for _, old := range []time.Duration{-14 * time.Minute, 0, events.DefaultSkew} {
				if s.by(t, token(old)) == "" {
					t.Errorf("a token of %s escaped", old)
				}
			}
			if got := s.by(t, newLogin); got != "" {
				t.Errorf("the new login is revoked by %s", got)
			}
			s.clock.Advance(4 * time.Minute) // beyond exp of the logout token
			w := deliver(s)
			if strings.Contains(name, "logout") != (w.Code == 400) {
				t.Errorf("replayed: %d %s", w.Code, w.Body)
			}
			if got := s.by(t, newLogin); got != "" {
				t.Errorf("after the replay the new login is revoked by %s", got)
			}
		})
	}
	t.Run("logout, within exp", func(t *testing.T) {
		s := newSetup(t)
		logout := logoutToken(members{"sid": nil})
		s.clock.Advance(time.Minute)
		if w := s.postLogout(logout); w.Code != 200 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		if s.by(t, token(0)) != "subject" || s.by(t, token(30*time.Second)) != "" {
			t.Error("it did not take effect as of its own time")
		}
	})
}

func TestLogoutSettings(t *testing.T) {
	for field, change := range map[string]func(*events.BackChannelLogoutConfig){
		"Store":               func(b *events.BackChannelLogoutConfig) { b.Store = nil },
		"Store holds a nil":   func(b *events.BackChannelLogoutConfig) { b.Store = (*revocation.File)(nil) },
		"ClientIDs":           func(b *events.BackChannelLogoutConfig) { b.ClientIDs = nil },
		"ClientIDs is [\"\"]": func(b *events.BackChannelLogoutConfig) { b.ClientIDs = []string{""} },
		"MaxAge":              func(b *events.BackChannelLogoutConfig) { b.MaxAge = 2 * time.Hour },
		"Provider: URL":       func(b *events.BackChannelLogoutConfig) { b.Provider.URL = "" },
		"URL is \"https://a/…\"": func(b *events.BackChannelLogoutConfig) {
			b.Provider.URL = "https://a?b"
		},
		"Algorithms is empty":   func(b *events.BackChannelLogoutConfig) { b.Provider.Algorithms = []string{} },
		"Algorithms has \"none": func(b *events.BackChannelLogoutConfig) { b.Provider.Algorithms = []string{"none"} },
		"Leeway":                func(b *events.BackChannelLogoutConfig) { b.Provider.Leeway = time.Hour },
		"Skew":                  func(b *events.BackChannelLogoutConfig) { b.Provider.Skew = -1 },
		"MaxSize":               func(b *events.BackChannelLogoutConfig) { b.Provider.MaxSize = 1 },
		"JWKS: ":                func(b *events.BackChannelLogoutConfig) { b.Provider.JWKS = []byte("{}") },
		"JWKSURL": func(b *events.BackChannelLogoutConfig) {
			b.Provider.JWKS, b.Provider.JWKSURL = nil, "http://login.example.com/jwks"
		},
		"Provider: issuer identifier: http": func(b *events.BackChannelLogoutConfig) {
			b.Provider.JWKS, b.Provider.URL = nil, "http://login.example.com"
		},
	} {
		clock := poptest.NewClock()
		config := events.BackChannelLogoutConfig{Provider: provider(clock), ClientIDs: []string{clientID}, Store: newStore(t, clock)}
		change(&config)
		b, err := events.NewBackChannelLogout(config)
		if b != nil || err == nil || !strings.Contains(err.Error(), field) || !strings.HasPrefix(err.Error(), "events.BackChannelLogoutConfig: ") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// Back-Channel Logout 1.0 §2.4 demands exp, which earlier drafts did not have. Without it the token's age is what counts,
// and one that is there counts as ever.
func TestLogoutWithoutExpiry(t *testing.T) {
	at := func(d time.Duration) int64 { return poptest.Now.Add(d).Unix() }
	for name, test := range map[string]struct{ token, reason string }{
		"too old":  {logoutToken(members{"exp": nil, "iat": at(-5*time.Minute - 11*time.Second)}), "event_expired"},
		"no iat":   {logoutToken(members{"exp": nil, "iat": nil}), "event_claim_wrong"},
		"ahead":    {logoutToken(members{"exp": nil, "iat": at(11 * time.Second)}), "event_not_yet_valid"},
		"expired":  {logoutToken(members{"exp": at(-10 * time.Second)}), "event_expired"},
		"exp null": {logoutToken(members{"exp": json.RawMessage("null")}), "event_json_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, noExpiry)
			s.refused(t, s.postLogout(test.token), 400, "error", "invalid_request", test.reason)
			if got := s.by(t, token(0)); got != "" {
				t.Errorf("refused, and revoked by %s", got)
			}
		})
	}
}
