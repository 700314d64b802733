package echotest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// service is an API on real sockets, which its clients reach by TLS at poptest.Audience. It has one clock, its Date
// included.
type service struct {
	*httptest.Server
	suite
	clock  *poptest.Clock
	wire   *http.Transport // reaches it
	change func(*access.Config)

	mu      sync.Mutex
	process Server
	guard   *access.Guard
	decided []string // "accepted" or the reason of the refusal, one for each request
	runs    []string // the body that the handler read, one for each run
}

func (f suite) newService(t *testing.T, protocol string, change func(*access.Config)) *service {
	t.Helper()
	s := &service{suite: f, clock: poptest.NewClock(), change: change}
	s.start(t)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.EnableHTTP2 = protocol == "HTTP/2.0"
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that clients opened and did not need
	poptest.StartTLS(t, s.Server)
	t.Cleanup(s.Close)
	s.wire = s.Client().Transport.(*http.Transport).Clone()
	s.wire.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(strings.ToLower(address), ".example.com:443") {
			address = s.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	t.Cleanup(s.wire.CloseIdleConnections)
	return s
}

// demandNonces is a setting of a service.
func demandNonces(c *access.Config) { c.RequireNonce = true }

// start replaces what the process holds in memory, as a restart does.
func (s *service) start(t *testing.T) {
	t.Helper()
	guard := NewGuard(t, func(c *access.Config) {
		c.Now = s.clock.Now
		c.Observer.Decided = s.hear
		if s.change != nil {
			s.change(c)
		}
	})
	auth := s.Auth(guard, nil)
	e := s.New()
	e.Use(auth.Authenticate())
	e.Handle("", "/", s.run)
	e.Handle("", "/accounts", s.run)
	e.Handle("", "/a/:id", s.run)
	e.Handle("", "/transfer", s.run, auth.Require(access.Requirement{Nonce: true}))
	e.Handle("GET", "/admin", s.run, auth.RequireScope("admin"))
	e.Handle("", "/redirect/:status", func(c Context) error {
		status, _ := strconv.Atoi(c.Param("status"))
		return c.Redirect(status, c.QueryParam("to"))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.guard = e, guard
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	s.mu.Lock()
	process := s.process
	s.mu.Unlock()
	process.ServeHTTP(w, r)
}

func (s *service) hear(_ context.Context, d access.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Outcome() == access.Accepted {
		s.decided = append(s.decided, "accepted")
	} else {
		s.decided = append(s.decided, d.Reason())
	}
}

func (s *service) run(c Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.runs = append(s.runs, string(body))
	s.mu.Unlock()
	return c.String(http.StatusOK, "for "+c.Grant().Subject)
}

// took returns what was decided and what the handler read since the last call.
func (s *service) took() (decided, runs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	decided, runs = s.decided, s.runs
	s.decided, s.runs = nil, nil
	return decided, runs
}

// expect compares what was decided since the last call, in order, and the body of each run of the handler.
func (s *service) expect(t *testing.T, decided string, runs ...string) {
	t.Helper()
	gotDecided, gotRuns := s.took()
	if got := strings.Join(gotDecided, " "); got != decided {
		t.Errorf("decided %q, want %q", got, decided)
	}
	if !slices.Equal(gotRuns, runs) {
		t.Errorf("the handler ran with %.80q, want %.80q", gotRuns, runs)
	}
}

// client returns our client, as the owner of a token uses it.
func (s *service) client(t *testing.T, changes ...func(*dpop.TransportConfig)) *http.Client {
	t.Helper()
	token := bound()
	config := dpop.TransportConfig{
		Signer:  signer(t, poptest.ClientKey()),
		Origins: []string{poptest.Audience},
		Token:   func(context.Context) (string, error) { return token, nil },
		Base:    s.wire,
		Now:     s.clock.Now,
	}
	for _, change := range changes {
		change(&config)
	}
	tr, err := dpop.NewTransport(config)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: tr}
}

func signer(t *testing.T, key *poptest.Key) *dpop.Signer {
	t.Helper()
	s, err := dpop.NewSigner(key.Private, key.Alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withToken exchanges the token of a client.
func withToken(token string) func(*dpop.TransportConfig) {
	return func(c *dpop.TransportConfig) { c.Token = func(context.Context) (string, error) { return token, nil } }
}

// call sends a request and reads the answer.
func call(t *testing.T, c *http.Client, method, url string, body io.Reader) (response *http.Response, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Method = method // an empty one as well
	return finish(t, c, r)
}

func finish(t *testing.T, c *http.Client, r *http.Request) (response *http.Response, text string) {
	t.Helper()
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(b)
}

// succeeds sends a request that is answered by the handler in the end.
func succeeds(t *testing.T, c *http.Client, method, url string, body io.Reader) *http.Response {
	t.Helper()
	response, text := call(t, c, method, url, body)
	if response.StatusCode != http.StatusOK || text != "for user-1" {
		t.Fatalf("%s %s: %d %q, %v", method, url, response.StatusCode, text, response.Header)
	}
	return response
}

// RS-011, RS-144: every algorithm of the client, over both protocols, with and without nonces.
func (f suite) TestClientAlgorithms(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		free, strict := f.newService(t, protocol, nil), f.newService(t, protocol, demandNonces)
		for _, alg := range dpop.Algorithms() {
			t.Run(protocol+" "+alg, func(t *testing.T) {
				key := ofAlgorithm(alg)
				own := func(c *dpop.TransportConfig) {
					c.Signer = signer(t, key)
					withToken(poptest.Token{JKT: key.Thumbprint()}.String())(c)
				}
				response := succeeds(t, free.client(t, own), "GET", poptest.URL, nil)
				free.expect(t, "accepted", "")
				if response.Proto != protocol {
					t.Errorf("by %s", response.Proto)
				}
				c := strict.client(t, own)
				succeeds(t, c, "GET", poptest.URL, nil)
				strict.expect(t, "nonce_missing accepted", "")
				succeeds(t, c, "GET", poptest.URL, nil)
				strict.expect(t, "accepted", "")
			})
		}
	}
}

// ofAlgorithm returns a key of an algorithm; all RSA keys are one, which is slow to make.
func ofAlgorithm(alg string) *poptest.Key {
	if alg[0] == 'P' || alg[0] == 'R' {
		return poptest.RSA(alg, 2048)
	}
	return poptest.Keyed(alg, "client")
}

// RS-014 to RS-018: the client proves what the server sees, however the application writes method and URL.
func (f suite) TestClientTargets(t *testing.T) {
	s := f.newService(t, "HTTP/1.1", nil)
	for name, test := range map[string]struct{ method, url string }{
		"no method":                  {"", poptest.URL},
		"HEAD":                       {"HEAD", poptest.URL},
		"PATCH":                      {"PATCH", poptest.URL},
		"OPTIONS":                    {"OPTIONS", poptest.URL},
		"a query and a fragment":     {"GET", poptest.URL + "?a=b/../c&d=%2f#e?f"},
		"an empty query":             {"GET", poptest.URL + "?"},
		"scheme and host upper-case": {"GET", "HTTPS://API.Example.COM/accounts"},
		"the default port":           {"GET", "https://api.example.com:443/accounts"},
		"an empty port":              {"GET", "https://api.example.com:/accounts"},
		"an escaped letter":          {"GET", poptest.Audience + "/a/%41"},
		"an escaped slash":           {"GET", poptest.Audience + "/a/x%2fy"},
		"an escaped percent sign":    {"GET", poptest.Audience + "/a/100%25"},
		"letters beyond ASCII":       {"GET", poptest.Audience + "/a/é世"},
		"characters left raw":        {"GET", poptest.Audience + "/a/|^'!*();,=$&+@:"},
		"left raw, an escaped slash": {"GET", poptest.Audience + "/a/x%2Fy^|"},
		"a space":                    {"GET", poptest.Audience + "/a/x y"},
	} {
		t.Run(name, func(t *testing.T) {
			response, text := call(t, s.client(t), test.method, test.url, nil)
			if response.StatusCode != http.StatusOK || test.method != "HEAD" && text != "for user-1" {
				t.Errorf("%d %q", response.StatusCode, text)
			}
			s.expect(t, "accepted", "")
		})
	}
}

// hidden is a reader of which net/http learns neither length nor way to read it again.
type hidden struct{ io.Reader }

// RS-056, RS-058: a nonce is demanded; the request is sent again by itself, and the handler sees it whole and once.
func (f suite) TestClientBodiesAndNonces(t *testing.T) {
	everywhere, oneRoute := f.newService(t, "HTTP/1.1", demandNonces), f.newService(t, "HTTP/1.1", nil)
	none := func(string) io.Reader { return nil }
	again := func(s string) io.Reader { return strings.NewReader(s) }
	stream := func(s string) io.Reader { return hidden{strings.NewReader(s)} }
	for name, test := range map[string]struct {
		method string
		body   func(string) io.Reader
		text   string
	}{
		"GET":                             {"GET", none, ""},
		"DELETE":                          {"DELETE", none, ""},
		"POST without a body":             {"POST", none, ""},
		"POST of what can be read again":  {"POST", again, "data"},
		"PUT of much that can":            {"PUT", again, strings.Repeat("x", 200<<10)},
		"POST of a short stream":          {"POST", stream, "data"},
		"PUT of the longest that is kept": {"PUT", stream, strings.Repeat("x", dpop.DefaultMaxKept)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []*service{everywhere, oneRoute} {
				r, err := http.NewRequestWithContext(t.Context(), test.method, poptest.Audience+"/transfer", test.body(test.text))
				if err != nil {
					t.Fatal(err)
				}
				r.ContentLength = int64(len(test.text))
				if response, text := finish(t, s.client(t), r); response.StatusCode != http.StatusOK || text != "for user-1" {
					t.Errorf("%d %q", response.StatusCode, text)
				}
				s.expect(t, "nonce_missing accepted", test.text)
			}
		})
	}
}

// A stream that cannot be sent again is not: the refusal comes as it is, and the next request has the nonce.
func (f suite) TestClientStreams(t *testing.T) {
	s := f.newService(t, "HTTP/1.1", demandNonces)
	c := s.client(t)
	response, text := call(t, c, "POST", poptest.URL, hidden{strings.NewReader("stream")})
	if response.StatusCode != http.StatusUnauthorized || dpop.ErrorCode(response) != "use_dpop_nonce" || !strings.Contains(text, "message") {
		t.Errorf("%d %q, %v", response.StatusCode, text, response.Header)
	}
	s.expect(t, "nonce_missing")
	succeeds(t, c, "POST", poptest.URL, hidden{strings.NewReader("stream")})
	s.expect(t, "accepted", "stream")
}

// A large upload goes through at the first try if its client has asked for a nonce before.
func (f suite) TestClientPrimesUploads(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 512<<10)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			s := f.newService(t, protocol, demandNonces)
			c := s.client(t)
			if err := c.Transport.(*dpop.Transport).Prime(t.Context(), poptest.URL); err != nil {
				t.Fatal(err)
			}
			s.expect(t, "nonce_missing")
			succeeds(t, c, "PUT", poptest.URL, hidden{strings.NewReader(large)})
			s.expect(t, "accepted", large)
		})
	}
}

// RS-063: answers supply the next nonce, so a client that goes on is refused once, at its first request.
func (f suite) TestClientGoesOn(t *testing.T) {
	s := f.newService(t, "HTTP/1.1", demandNonces)
	c := s.client(t, withToken(bound(func(t *poptest.Token) { t.Lifetime = 15 * time.Minute })))
	succeeds(t, c, "GET", poptest.URL, nil)
	s.expect(t, "nonce_missing accepted", "")
	for range 12 {
		s.clock.Advance(time.Minute)
		succeeds(t, c, "GET", poptest.URL, nil)
		s.expect(t, "accepted", "")
	}
	s.clock.Advance(2 * time.Minute)
	succeeds(t, c, "POST", poptest.URL, strings.NewReader("late"))
	s.expect(t, "nonce_old accepted", "late") // RS-057
}

// wrongClock sets the clock of a client, by how much it is ahead.
func wrongClock(s *service, ahead time.Duration) func(*dpop.TransportConfig) {
	return func(c *dpop.TransportConfig) { c.Now = func() time.Time { return s.clock.Now().Add(ahead) } }
}

// dateless is a way to a server through a proxy that drops Date.
type dateless struct{ http.RoundTripper }

func (d dateless) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Header.Del("Date")
	}
	return response, err
}

// RS-021, RS-069: the client's clock is wrong. With nonces it need not be right; without, the client learns from
// Date, and sends its request once more.
func (f suite) TestClientClock(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		off         time.Duration
		demand      bool // nonces
		noDate      bool
		first, next string
	}{
		"right":                              {0, false, false, "accepted", "accepted"},
		"as slow as is borne":                {-time.Minute, false, false, "accepted", "accepted"},
		"as fast as is borne":                {10 * time.Second, false, false, "accepted", "accepted"},
		"slow by three hours":                {-3 * time.Hour, false, false, "iat_too_old accepted", "accepted"},
		"fast by three hours":                {3 * time.Hour, false, false, "iat_in_future accepted", "accepted"},
		"fast by a minute":                   {time.Minute, false, false, "iat_in_future accepted", "accepted"},
		"slow by a day":                      {-day, false, false, "iat_too_old accepted", "accepted"},
		"slow by more than is believed":      {-2 * day, false, false, "iat_too_old", "iat_too_old"},
		"slow by hours, and no Date":         {-3 * time.Hour, false, true, "iat_too_old", "iat_too_old"},
		"slow by three hours, nonces":        {-3 * time.Hour, true, false, "nonce_missing accepted", "accepted"},
		"fast by three hours, nonces":        {3 * time.Hour, true, false, "nonce_missing accepted", "accepted"},
		"slow by hours, nonces, and no Date": {-3 * time.Hour, true, true, "nonce_missing accepted", "accepted"},
		"fast by years, nonces":              {3 * 365 * day, true, false, "nonce_missing accepted", "accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.newService(t, "HTTP/1.1", func(c *access.Config) { c.RequireNonce = test.demand })
			c := s.client(t, wrongClock(s, test.off), func(c *dpop.TransportConfig) {
				if test.noDate {
					c.Base = dateless{s.wire}
				}
			})
			for _, want := range []string{test.first, test.next} {
				if strings.HasSuffix(want, "accepted") {
					succeeds(t, c, "POST", poptest.URL, strings.NewReader("data"))
					s.expect(t, want, "data")
					continue
				}
				response, _ := call(t, c, "POST", poptest.URL, strings.NewReader("data"))
				if code := dpop.ErrorCode(response); response.StatusCode != http.StatusUnauthorized || code != "invalid_dpop_proof" {
					t.Errorf("%d %q", response.StatusCode, code)
				}
				s.expect(t, want)
			}
		})
	}
}

// A restarted server knows neither its nonces nor the proofs it accepted. Its clients get in with one more request.
func (f suite) TestClientOutlivesTheServer(t *testing.T) {
	keepSecret := func(c *access.Config) { c.Nonces.Secrets = [][]byte{[]byte("a secret that survives, for tests")} }
	for name, test := range map[string]struct {
		change               func(*access.Config)
		first, after, newest string // the newest is a client that comes after the restart
	}{
		"nonces demanded":         {demandNonces, "nonce_missing accepted", "nonce_foreign accepted", "nonce_missing accepted"},
		"none demanded":           {nil, "iat_before_start accepted", "nonce_foreign accepted", "iat_before_start accepted"},
		"secrets that survive it": {keepSecret, "iat_before_start accepted", "iat_before_start accepted", "iat_before_start accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.newService(t, "HTTP/1.1", func(c *access.Config) {
				c.InsecureForgetAtStart = false
				if test.change != nil {
					test.change(c)
				}
			})
			c := s.client(t)
			send := func(c *http.Client, want string) {
				t.Helper()
				succeeds(t, c, "POST", poptest.URL, strings.NewReader("data"))
				s.expect(t, want, "data")
			}
			send(c, test.first)
			send(c, "accepted")
			s.clock.Advance(time.Second)
			s.start(t)
			send(c, test.after) // RS-073
			send(c, "accepted")
			send(s.client(t), test.newest)
		})
	}
}

// Right after a start, a client whose clock is wrong has two things to learn, the time and a nonce, and each answer
// teaches one. Its second request gets in.
func (f suite) TestClientClockAtStart(t *testing.T) {
	s := f.newService(t, "HTTP/1.1", func(c *access.Config) { c.InsecureForgetAtStart = false })
	c := s.client(t, wrongClock(s, -3*time.Hour))
	response, _ := call(t, c, "POST", poptest.URL, strings.NewReader("data"))
	if code := dpop.ErrorCode(response); response.StatusCode != http.StatusUnauthorized || code != "use_dpop_nonce" {
		t.Errorf("%d %q", response.StatusCode, code)
	}
	s.expect(t, "iat_too_old iat_before_start")
	succeeds(t, c, "POST", poptest.URL, strings.NewReader("data"))
	s.expect(t, "accepted", "data")
}

// What another proof cannot cure is not sent again, and the answer reaches the application whole.
func (f suite) TestClientDoesNotRepeat(t *testing.T) {
	expired := bound(func(t *poptest.Token) { t.Lifetime = -time.Minute })
	anothers := poptest.Token{JKT: poptest.Keyed("ES256", "thief").Thumbprint()}.String()
	const other = "https://www.example.com"
	listed := func(origin string) func(*dpop.TransportConfig) {
		return func(c *dpop.TransportConfig) { c.Origins = []string{origin} }
	}
	closed := func(s *service) {
		if err := s.guard.Close(); err != nil {
			panic(err)
		}
	}
	for name, test := range map[string]struct {
		url    string
		change func(*dpop.TransportConfig)
		before func(*service)
		status int
		code   string
		reason string
	}{
		"RS-110 a scope is missing":    {poptest.Audience + "/admin", nil, nil, 403, "insufficient_scope", "scope_missing"},
		"RS-119 the token is old":      {poptest.URL, withToken(expired), nil, 401, "invalid_token", "token_expired"},
		"RS-023 it is another key's":   {poptest.URL, withToken(anothers), nil, 401, "invalid_token", "key_mismatch"},
		"RS-055 it is bound to nobody": {poptest.URL, withToken(poptest.Token{}.String()), nil, 401, "invalid_token", "token_unbound"},
		"RS-117 it is forged":          {poptest.URL, withToken(poptest.Tampered(bound())), nil, 401, "invalid_token", "token_signature_invalid"},
		"RS-176 the host is another":   {other + "/accounts", listed(other), nil, 401, "invalid_dpop_proof", "host_unknown"},
		"RS-180 the server's trouble":  {poptest.URL, nil, closed, 503, "", "guard_closed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.newService(t, "HTTP/1.1", nil)
			c := s.client(t)
			if test.change != nil {
				c = s.client(t, test.change)
			}
			if test.before != nil {
				test.before(s)
			}
			for range 2 {
				response, text := call(t, c, "GET", test.url, nil)
				if response.StatusCode != test.status || dpop.ErrorCode(response) != test.code || !strings.Contains(text, `"message"`) {
					t.Errorf("%d %q %q, want %d %q", response.StatusCode, dpop.ErrorCode(response), text, test.status, test.code)
				}
				s.expect(t, test.reason)
			}
		})
	}
}

// Redirects: each request has a proof of its own, and no token goes elsewhere.
func (f suite) TestClientRedirects(t *testing.T) {
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "elsewhere with ", len(r.Header["Authorization"])+len(r.Header["Dpop"]), " credentials")
	}))
	poptest.StartTLS(t, elsewhere)
	defer elsewhere.Close()
	s := f.newService(t, "HTTP/1.1", demandNonces)
	const home = "nonce_missing accepted accepted"
	for name, test := range map[string]struct {
		method, status, to string
		decided            string
		runs               []string
		text               string
	}{
		"GET, 302":               {"GET", "302", "/accounts", home, []string{""}, "for user-1"},
		"POST, 307":              {"POST", "307", "/accounts", home, []string{"data"}, "for user-1"},
		"POST, 308, another way": {"POST", "308", "https://API.example.com:443/a/x", home, []string{"data"}, "for user-1"},
		"POST becomes GET, 303":  {"POST", "303", "/accounts%3Fdone", home, []string{""}, "for user-1"},
		"POST elsewhere, 307":    {"POST", "307", elsewhere.URL, "nonce_missing accepted", nil, "elsewhere with 0 credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			url := poptest.Audience + "/redirect/" + test.status + "?to=" + test.to
			response, text := call(t, s.client(t), test.method, url, strings.NewReader("data"))
			if response.StatusCode != http.StatusOK || text != test.text {
				t.Errorf("%d %q", response.StatusCode, text)
			}
			s.expect(t, test.decided, test.runs...)
		})
	}
}

// RS-067: many requests at once, on one nonce or while it turns over. Each gets in, and its handler runs once.
func (f suite) TestClientInParallel(t *testing.T) {
	const requests = 50
	warm := func(t *testing.T, s *service, c *http.Client) {
		succeeds(t, c, "GET", poptest.URL, nil)
		s.took()
	}
	after := func(d time.Duration) func(*testing.T, *service, *http.Client) {
		return func(t *testing.T, s *service, c *http.Client) {
			warm(t, s, c)
			s.clock.Advance(d)
		}
	}
	cold := func(*testing.T, *service, *http.Client) {}
	restarted := func(t *testing.T, s *service, c *http.Client) {
		warm(t, s, c)
		s.start(t)
	}
	tests := map[string]struct {
		change func(*access.Config)
		ahead  time.Duration // the client's clock
		before func(*testing.T, *service, *http.Client)
		reason string // of the refusals, at most one for each request; empty: there are none
	}{
		"on no nonce yet":           {demandNonces, 0, cold, "nonce_missing"},
		"on one nonce":              {demandNonces, 0, warm, ""},
		"RS-062 on the one before":  {demandNonces, 0, after(time.Minute), ""},
		"RS-057 on one that is old": {demandNonces, 0, after(2 * time.Minute), "nonce_old"},
		"after a restart":           {demandNonces, 0, restarted, "nonce_foreign"},
		"by a clock that is wrong":  {nil, 3 * time.Hour, cold, "iat_in_future"},
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		s := f.newService(t, protocol, nil)
		s.wire.MaxIdleConnsPerHost = requests
		warm(t, s, s.client(t)) // a connection is open, on which fifty requests by HTTP/2 find room
		for name, test := range tests {
			t.Run(protocol+" "+name, func(t *testing.T) {
				s.change = test.change
				s.clock.Set(poptest.Now)
				s.start(t)
				c := s.client(t, wrongClock(s, test.ahead))
				test.before(t, s, c)
				sent := atOnce(t, requests, func(body string) (*http.Response, error) {
					return c.Post(poptest.URL, "text/plain", strings.NewReader(body))
				})
				decided, runs := s.took()
				if slices.Sort(runs); !slices.Equal(runs, sent) {
					t.Errorf("the handler ran with %q", runs)
				}
				count := map[string]int{}
				for _, d := range decided {
					count[d]++
				}
				refusals := count[test.reason]
				if count["accepted"] != requests || requests+refusals != len(decided) {
					t.Errorf("decided %v", count)
				}
				if (refusals > 0) != (test.reason != "") || refusals > requests {
					t.Errorf("%d refusals for %q", refusals, test.reason)
				}
				succeeds(t, c, "GET", poptest.URL, nil)
				s.expect(t, "accepted", "")
			})
		}
	}
}

// atOnce sends n requests at one time, each with a body of its own, and wants 200 for each. It returns the bodies,
// sorted.
func atOnce(t *testing.T, n int, send func(body string) (*http.Response, error)) (bodies []string) {
	t.Helper()
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		body := fmt.Sprintf("%03d", i)
		bodies = append(bodies, body)
		group.Go(func() {
			<-start
			response, err := send(body)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(response.Body)
			if response.Body.Close(); response.StatusCode != http.StatusOK || string(text) != "for user-1" {
				t.Errorf("%d %q, %v", response.StatusCode, text, err)
			}
		})
	}
	close(start)
	group.Wait()
	return bodies
}
