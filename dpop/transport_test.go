package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

const useNonce = `DPoP error="use_dpop_nonce"`

// hop is one request as it was sent.
type hop struct {
	*http.Request
	body  string
	proof sentProof // zero if there was none
}

// network stands in for every server: it records requests and answers them in turn, the last answer for ever.
// That no token leaves under another scheme than DPoP is checked for all of them.
type network struct {
	t       testing.TB
	answers []answer
	bearer  bool // a test of tokens that somebody else sends so

	mu   sync.Mutex
	hops []hop
}

// answer is a response; its status is 200 unless it has another. Values beyond the first are fields of their own.
type answer struct {
	status int
	fields http.Header
	body   io.Reader
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	h := hop{Request: r}
	if r.Body != nil {
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		h.body = string(b)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer") && !n.bearer {
		n.t.Errorf("%s %s: sent as bearer token", r.Method, r.URL)
	}
	if proof := r.Header.Get("DPoP"); proof != "" {
		h.proof = openProof(n.t, proof)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hops = append(n.hops, h)
	a := n.answers[min(len(n.hops), len(n.answers))-1]
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.body == nil {
		a.body = http.NoBody
	}
	body, ok := a.body.(io.ReadCloser)
	if !ok {
		body = io.NopCloser(a.body)
	}
	header := http.Header{}
	for name, values := range a.fields {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: body, Request: r}, nil
}

func accepted() answer { return answer{} }

// challenged demands a nonce, as resource servers do.
func challenged(nonce string) answer {
	return answer{status: 401, fields: http.Header{"WWW-Authenticate": {useNonce}, "DPoP-Nonce": {nonce}}}
}

// newConfig returns the settings of a Transport for the origin of all tests, over a network with the given answers.
func newConfig(t testing.TB, answers ...answer) (dpop.TransportConfig, *network) {
	t.Helper()
	n := &network{t: t, answers: answers}
	return dpop.TransportConfig{
		Signer:  newTestSigner(t, poptest.ClientKey()),
		Origins: []string{poptest.Audience},
		Token:   func(context.Context) (string, error) { return "token", nil },
		Base:    n,
		Now:     poptest.NewClock().Now,
	}, n
}

// newTransport returns a Transport with those settings.
func newTransport(t testing.TB, answers ...answer) (*dpop.Transport, *network) {
	t.Helper()
	config, n := newConfig(t, answers...)
	return transport(t, config), n
}

// transport returns a Transport with settings that are in order.
func transport(t testing.TB, config dpop.TransportConfig) *dpop.Transport {
	t.Helper()
	tr, err := dpop.NewTransport(config)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// send sends a request and returns the status and the body of the answer.
func send(t testing.TB, tr http.RoundTripper, r *http.Request) (int, string) {
	t.Helper()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func getAccounts(t testing.TB) *http.Request { return newRequest(t, "GET", poptest.URL, nil) }

func TestTransportSendsTokenAndProof(t *testing.T) {
	tr, n := newTransport(t, accepted())
	r := newRequest(t, "", poptest.URL+"/%7e%2F?a=b#c", nil)
	r.Header.Set("Authorization", "Basic dXNlcg==")
	r.Header.Set("DPoP", "old")
	r.Header.Set("Accept", "text/plain")
	send(t, tr, r)
	sent := n.hops[0]
	if got := sent.Header["Authorization"]; !reflect.DeepEqual(got, []string{"DPoP token"}) {
		t.Errorf("Authorization %q", got)
	}
	if len(sent.Header["Dpop"]) != 1 || sent.Header.Get("Accept") != "text/plain" {
		t.Errorf("fields %q", sent.Header)
	}
	want := map[string]any{"htm": "GET", "htu": poptest.URL + "/~%2F", "ath": poptest.ATH("token"),
		"iat": float64(poptest.Now.Unix()), "nonce": nil}
	for name, value := range want {
		if sent.proof.claims[name] != value {
			t.Errorf("%s is %v, want %v", name, sent.proof.claims[name], value)
		}
	}
	send(t, tr, r)
	if n.hops[0].proof.claims["jti"] == n.hops[1].proof.claims["jti"] {
		t.Error("two requests share one proof")
	}
}

// RoundTrip must not change the request that it is given, and must close its body.
func TestTransportLeavesRequestAlone(t *testing.T) {
	tr, _ := newTransport(t, challenged("n1"), accepted())
	body := &countedBody{Reader: strings.NewReader("data")}
	r := newRequest(t, "POST", poptest.URL, body)
	r.ContentLength = 4
	r.Header.Set("Accept", "*/*")
	r.Trailer = http.Header{"Checksum": nil}
	header := r.Header.Clone()
	send(t, tr, r)
	if !reflect.DeepEqual(r.Header, header) || r.Body != body || r.GetBody != nil || r.ContentLength != 4 {
		t.Errorf("the request was changed: %v", r)
	}
	if body.closed != 1 {
		t.Errorf("the body was closed %d times", body.closed)
	}
	r = &http.Request{URL: &url.URL{Scheme: "https", Host: "api.example.com"}}
	if send(t, tr, r); r.Header != nil {
		t.Errorf("the request was changed: %v", r)
	}
}

// Trailers are filled in while the body is read, in the map of the request that the caller holds.
func TestTransportKeepsTrailers(t *testing.T) {
	tr, n := newTransport(t, accepted())
	r := newRequest(t, "POST", poptest.URL, nil)
	r.Trailer = http.Header{"Checksum": nil}
	r.Body = &countedBody{Reader: readFunc(func([]byte) (int, error) {
		r.Trailer.Set("Checksum", "x")
		return 0, io.EOF
	})}
	send(t, tr, r)
	if got := n.hops[0].Trailer.Get("Checksum"); got != "x" {
		t.Errorf("trailer %q", got)
	}
}

// The newest nonce of an origin is used, whatever the response that brought it.
func TestTransportLearnsNonces(t *testing.T) {
	with := func(status int, nonces ...string) answer {
		return answer{status: status, fields: http.Header{"DPoP-Nonce": nonces}}
	}
	for _, test := range []struct {
		name string
		a    answer
		want any
	}{
		{"from success", with(200, "n"), "n"},
		{"from a redirect", with(302, "n"), "n"},
		{"from a refusal without challenge", with(401, "n"), "n"},
		{"from a missing scope", with(403, "n"), "n"},
		{"from trouble of the server", with(503, "n"), "n"},
		{"with every character that is allowed", with(200, "!#[]~"), "!#[]~"},
		{"none", with(200), nil},
		{"not from two fields", with(200, "n", "m"), nil},
		{"not an empty one", with(200, ""), nil},
		{"not with a space", with(200, "n m"), nil},
		{"not with a quote", with(200, `n"`), nil},
		{"of 2 KiB", with(200, strings.Repeat("n", 2048)), strings.Repeat("n", 2048)},
		{"not above 2 KiB", with(200, strings.Repeat("n", 2049)), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr, n := newTransport(t, test.a, accepted())
			send(t, tr, getAccounts(t))
			send(t, tr, getAccounts(t))
			send(t, tr, getAccounts(t)) // an answer without a nonce takes none away
			if len(n.hops) != 3 {
				t.Fatalf("%d requests", len(n.hops))
			}
			for _, h := range n.hops[1:] {
				if got := h.proof.claims["nonce"]; got != test.want {
					t.Errorf("nonce %v, want %v", got, test.want)
				}
			}
		})
	}
}

func TestTransportKeepsOriginsApart(t *testing.T) {
	config, n := newConfig(t, answer{fields: http.Header{"DPoP-Nonce": {"n"}}}, accepted())
	config.Origins = append(config.Origins, "https://api.example.com:8443", "https://other.example.com")
	tr := transport(t, config)
	send(t, tr, getAccounts(t))
	for _, other := range config.Origins[1:] {
		send(t, tr, newRequest(t, "GET", other, nil))
		sent := n.hops[len(n.hops)-1]
		if got := sent.Header.Get("Authorization"); sent.proof.claims["nonce"] != nil || got != "DPoP token" {
			t.Errorf("%s: nonce %v, Authorization %q", other, sent.proof.claims["nonce"], got)
		}
	}
	send(t, tr, newRequest(t, "GET", "HTTPS://API.example.com:443/x", nil))
	if sent := n.hops[3]; sent.proof.claims["nonce"] != "n" {
		t.Errorf("one origin written in two ways: nonce %v", sent.proof.claims["nonce"])
	}
}

func TestTransportRetriesWithNonce(t *testing.T) {
	const code = "use_dpop_nonce"
	json := func(status int, contentType, body string) answer {
		return answer{status: status, body: strings.NewReader(body),
			fields: http.Header{"DPoP-Nonce": {"n"}, "Content-Type": {contentType}}}
	}
	challenge := func(status int, fields ...string) answer {
		return answer{status: status, fields: http.Header{"DPoP-Nonce": {"n"}, "WWW-Authenticate": fields}}
	}
	nonces := func(nonces ...string) answer {
		return answer{status: 401, fields: http.Header{"DPoP-Nonce": nonces, "WWW-Authenticate": {useNonce}}}
	}
	for _, test := range []struct {
		name  string
		a     answer
		again bool
	}{
		{"a challenge", challenge(401, useNonce), true},
		{"in lower case and without quotes", challenge(401, `dpop error=use_dpop_nonce`), true},
		{"with other parameters", challenge(401, `DPoP algs="ES256", error="use_dpop_nonce", realm="a, b"`), true},
		{"behind others in one field", challenge(401, `Bearer realm="x", Negotiate YQ==, `+useNonce), true},
		{"in front of others", challenge(401, useNonce+`, Bearer error="invalid_token"`), true},
		{"in another field", challenge(401, `Bearer error="invalid_token"`, useNonce, `Basic realm="x"`), true},
		{"beside a field that cannot be read", challenge(401, `Broken x="`, useNonce), true},
		{"second of two DPoP challenges", challenge(401, `DPoP algs=ES256`, `DPoP error=invalid_token`, useNonce), true},
		{"first of two DPoP challenges", challenge(401, useNonce, `DPoP error=invalid_token`), true},
		{"status 400", challenge(400, useNonce), true},
		{"JSON of an authorization server", json(400, "application/json", `{"error":"use_dpop_nonce"}`), true},
		{"JSON with status 401", json(401, "application/json;charset=UTF-8", `{"error":"use_dpop_nonce","x":1}`), true},
		{"JSON beside a challenge that says nothing", answer{
			status: 401, body: strings.NewReader(`{"error":"use_dpop_nonce"}`), fields: http.Header{
				"DPoP-Nonce": {"n"}, "WWW-Authenticate": {"DPoP"}, "Content-Type": {"application/json"}}}, true},

		{"success", challenge(200, useNonce), false},
		{"status 403", challenge(403, useNonce), false},
		{"status 503", challenge(503, useNonce), false},
		{"no challenge", challenge(401), false},
		{"another error", challenge(401, `DPoP error="invalid_token", error_description="use_dpop_nonce"`), false},
		{"another scheme", challenge(401, `Bearer error="use_dpop_nonce"`), false},
		{"inside a quoted string", challenge(401, `Bearer realm="DPoP error=use_dpop_nonce"`), false},
		{"a challenge that cannot be read", challenge(401, `DPoP error="use_dpop_nonce`), false},
		{"no nonce", nonces(), false},
		{"two nonces", nonces("n", "m"), false},
		{"a nonce that cannot be one", nonces("n m"), false},
		{"JSON of another type", json(400, "text/html", `{"error":"use_dpop_nonce"}`), false},
		{"JSON with another error", json(400, "application/json", `{"error":"invalid_grant"}`), false},
		{"JSON with the error elsewhere", json(400, "application/json", `[{"error":"use_dpop_nonce"}]`), false},
		{"JSON with two errors", json(400, "application/json", `{"error":"use_dpop_nonce","error":"x"}`), false},
		{"JSON that is too long", json(400, "application/json",
			`{"x":"`+strings.Repeat("x", 16<<10)+`","error":"use_dpop_nonce"}`), false},
		{"JSON of a server's trouble", json(500, "application/json", `{"error":"use_dpop_nonce"}`), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body string
			if test.a.body != nil {
				b, _ := io.ReadAll(test.a.body)
				body = string(b)
				test.a.body = strings.NewReader(body)
			}
			tr, n := newTransport(t, test.a, accepted())
			status, read := send(t, tr, getAccounts(t))
			if !test.again {
				if len(n.hops) != 1 || status != test.a.status || read != body {
					t.Errorf("%d requests, status %d, body %.40q", len(n.hops), status, read)
				}
				return
			}
			if len(n.hops) != 2 || status != 200 {
				t.Fatalf("%d requests, status %d", len(n.hops), status)
			}
			first, second := n.hops[0], n.hops[1]
			if second.proof.claims["nonce"] != "n" || second.proof.claims["jti"] == first.proof.claims["jti"] {
				t.Errorf("second proof %v", second.proof.claims)
			}
			if second.Header.Get("Authorization") != "DPoP token" || second.proof.claims["ath"] != poptest.ATH("token") {
				t.Errorf("%s: second request %v", code, second.Header)
			}
		})
	}
}

func TestErrorCode(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	challenge := func(fields ...string) http.Header { return http.Header{"Www-Authenticate": fields} }
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   string
	}{
		{"a token that expired", 401, challenge(`DPoP algs="ES256", error="invalid_token"`), "", "invalid_token"},
		{"a missing scope", 403, challenge(`DPoP error="insufficient_scope", scope="a b"`), "", "insufficient_scope"},
		{"a challenge rather than the body", 401, http.Header{
			"Www-Authenticate": {`DPoP error=a`}, "Content-Type": {"application/json"}}, `{"error":"b"}`, "a"},
		{"a refused grant", 400, jsonType, `{"error":"invalid_grant"}`, "invalid_grant"},
		{"no code", 401, challenge("DPoP"), "text", ""},
		{"another scheme", 401, challenge(`Bearer error="invalid_token"`), "", ""},
		{"success", 200, jsonType, `{"error":"x"}`, ""},
		{"trouble of the server", 500, jsonType, `{"error":"x"}`, ""},
		{"the last refusal", 499, jsonType, `{"error":"x"}`, "x"},
		{"the last success", 399, jsonType, `{"error":"x"}`, ""},
		{"a challenge without a code behind one with", 401, challenge(`DPoP error="invalid_token"`, `DPoP algs="ES256"`), "", "invalid_token"},
		{"a nonce wanted, and another code behind", 401, challenge(useNonce, `DPoP error="invalid_token"`), "", "use_dpop_nonce"},
		{"a type that cannot be read", 400, http.Header{"Content-Type": {"application/json; x"}}, `{"error":"x"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := &countedBody{Reader: strings.NewReader(test.body), fails: errors.New("cut off")}
			resp := &http.Response{StatusCode: test.status, Header: test.header, Body: body}
			if got := dpop.ErrorCode(resp); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			b, err := io.ReadAll(resp.Body)
			if closing := resp.Body.Close(); string(b) != test.body || err != nil || body.closed != 1 || closing != body.fails {
				t.Errorf("then read %q (%v), closed %d times (%v)", b, err, body.closed, closing)
			}
		})
	}
}

func TestTransportRetriesOnce(t *testing.T) {
	tr, n := newTransport(t, challenged("n1"), challenged("n2"), challenged("n3"))
	if status, _ := send(t, tr, getAccounts(t)); status != 401 || len(n.hops) != 2 {
		t.Errorf("status %d after %d requests", status, len(n.hops))
	}
	if send(t, tr, getAccounts(t)); n.hops[2].proof.claims["nonce"] != "n2" {
		t.Errorf("nonce %v, want the one of the second refusal", n.hops[2].proof.claims["nonce"])
	}
	withoutNonce := answer{status: 401, fields: http.Header{"WWW-Authenticate": {useNonce}}}
	for name, second := range map[string]answer{"the nonce that it refused": challenged("n"), "none": withoutNonce} {
		tr, n = newTransport(t, challenged("n"), accepted(), second, accepted())
		send(t, tr, getAccounts(t))
		if status, _ := send(t, tr, getAccounts(t)); status != 401 || len(n.hops) != 3 {
			t.Errorf("a server that supplies %s: status %d after %d requests", name, status, len(n.hops)-2)
		}
	}
}

func TestTransportBodies(t *testing.T) {
	stream := func(s string) *countedBody { return &countedBody{Reader: strings.NewReader(s)} }
	for _, test := range []struct {
		name   string
		body   *countedBody
		length int64
		edit   func(*http.Request, *dpop.TransportConfig)
		again  bool
	}{
		{"short, of known length", stream("data"), 4, nil, true},
		{"as long as is kept", stream("data"), 4, func(_ *http.Request, c *dpop.TransportConfig) { c.MaxKept = 4 }, true},
		{"longer than is kept", stream("data"), 4, func(_ *http.Request, c *dpop.TransportConfig) { c.MaxKept = 3 }, false},
		{"as long as is kept without a setting", stream(strings.Repeat("x", 64<<10)), 64 << 10, nil, true},
		{"longer than is kept without a setting", stream(strings.Repeat("x", 64<<10+1)), 64<<10 + 1, nil, false},
		{"with nothing kept", stream("d"), 1, func(_ *http.Request, c *dpop.TransportConfig) { c.MaxKept = -1 }, false},
		{"of unknown length", stream("data"), -1, nil, false},
		{"of a length that is not told", stream("data"), 0, nil, false},
		{"long, with GetBody", stream("data"), 4, func(r *http.Request, c *dpop.TransportConfig) {
			c.MaxKept = -1
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("data")), nil }
		}, true},
		{"with a GetBody that fails", stream("data"), 4, func(r *http.Request, _ *dpop.TransportConfig) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused := challenged("n")
			refused.body = strings.NewReader("refused")
			config, n := newConfig(t, refused, accepted())
			r := newRequest(t, "POST", poptest.URL, test.body)
			r.ContentLength = test.length
			if test.edit != nil {
				test.edit(r, &config)
			}
			status, body := send(t, transport(t, config), r)
			if test.again && (len(n.hops) != 2 || status != 200 || n.hops[1].body != n.hops[0].body) {
				t.Errorf("%d requests, status %d", len(n.hops), status)
			}
			if !test.again && (len(n.hops) != 1 || status != 401 || body != "refused") {
				t.Errorf("%d requests, status %d, body %q: want the refusal as it came", len(n.hops), status, body)
			}
			if test.body.closed != 1 || test.body.late {
				t.Errorf("closed %d times, read after close: %v", test.body.closed, test.body.late)
			}
		})
	}
}

// net/http refuses a body that is not as long as it says; keeping it must not hide that.
func TestTransportWrongLength(t *testing.T) {
	for _, length := range []int64{3, 5} {
		config, _ := newConfig(t)
		config.Base = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			// Over a connection the server's answer to the wrong body may be faster than the error.
			return &http.Response{Header: http.Header{}, Body: http.NoBody, Request: r}, r.Write(io.Discard)
		})
		tr := transport(t, config)
		r := newRequest(t, "POST", poptest.URL, &countedBody{Reader: strings.NewReader("data")})
		r.ContentLength = length
		if resp, err := tr.RoundTrip(r); err == nil || !strings.Contains(err.Error(), "ContentLength") {
			t.Errorf("4 octets with ContentLength %d: got %v, %v", length, resp, err)
		}
	}
}

// The first response is read to its end, within bounds, and closed, so that its connection can be used again.
func TestTransportDrainsFirstResponse(t *testing.T) {
	for name, size := range map[string]int64{"short": 100, "endless": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			var read int64
			body := &countedBody{}
			body.Reader = io.LimitReader(readFunc(func(b []byte) (int, error) {
				if body.closed > 0 {
					t.Error("read after close")
				}
				read += int64(len(b))
				return len(b), nil
			}), size)
			refused := challenged("n")
			refused.body = body
			tr, n := newTransport(t, refused, accepted())
			if status, _ := send(t, tr, getAccounts(t)); status != 200 || len(n.hops) != 2 || body.closed != 1 {
				t.Errorf("status %d after %d requests, closed %d times", status, len(n.hops), body.closed)
			}
			if read < min(size, 1000) || read > 64<<10 {
				t.Errorf("%d octets read", read)
			}
		})
	}
}

func TestTransportOtherOrigins(t *testing.T) {
	for _, test := range []struct{ name, url, host string }{
		{"another host", "https://evil.example.com/accounts", ""},
		{"a host that begins alike", "https://api.example.com.evil.example/", ""},
		{"a subdomain", "https://www.api.example.com/", ""},
		{"a parent", "https://example.com/", ""},
		{"another port", "https://api.example.com:8443/", ""},
		{"another scheme", "http://api.example.com/", ""},
		{"user information that looks like the host", "https://api.example.com@evil.example.com/", ""},
		{"the Host of the API elsewhere", "https://evil.example.com/", "api.example.com"},
		{"another Host at the API", "https://api.example.com/", "evil.example.com"},
		{"a Host that is none", "https://api.example.com/", "api.example.com/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused := challenged("n")
			refused.body = strings.NewReader("refused")
			config, n := newConfig(t, refused)
			config.Token = func(context.Context) (string, error) {
				t.Error("the token was asked for")
				return "token", nil
			}
			tr := transport(t, config)
			r := newRequest(t, "GET", test.url, nil)
			if test.host != "" {
				r.Host = test.host
			}
			if status, body := send(t, tr, r); status != 401 || body != "refused" || len(n.hops) != 1 {
				t.Errorf("status %d after %d requests", status, len(n.hops))
			}
			if sent := n.hops[0]; sent.Request != r || len(sent.Header) != 0 {
				t.Errorf("sent %v", sent.Header)
			}
		})
	}
}

// A Host on the list is what the server sees; an international name is proven as it is sent.
func TestTransportHost(t *testing.T) {
	config, n := newConfig(t, accepted())
	config.Origins = []string{"https://10.0.0.1:8443", "https://api.example.com:8443", "https://xn--bcher-kva.example"}
	tr := transport(t, config)
	r := newRequest(t, "GET", "https://10.0.0.1:8443/a", nil)
	r.Host = "api.example.com:8443"
	send(t, tr, r)
	send(t, tr, newRequest(t, "GET", "https://bücher.example/a", nil))
	for i, want := range []string{"https://api.example.com:8443/a", "https://xn--bcher-kva.example/a"} {
		if got := n.hops[i].proof.claims["htu"]; got != want {
			t.Errorf("htu %v, want %s", got, want)
		}
	}
}

// What http.Client does with redirects, over real connections: a listed server gets the token and a proof for
// itself, any other gets neither.
func TestTransportRedirects(t *testing.T) {
	type seen struct{ path, authorization, htu, body string }
	var mu sync.Mutex
	var got []seen
	record := func(w http.ResponseWriter, r *http.Request) {
		s := seen{path: r.URL.Path, authorization: r.Header.Get("Authorization")}
		if proof := r.Header.Get("DPoP"); proof != "" {
			s.htu, _ = openProof(t, proof).claims["htu"].(string)
		}
		b, _ := io.ReadAll(r.Body)
		s.body = string(b)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, s)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(record))
	defer elsewhere.Close()
	second := httptest.NewServer(http.HandlerFunc(record))
	defer second.Close()
	mux := http.NewServeMux()
	for path, target := range map[string]string{"/away": elsewhere.URL, "/second": second.URL, "/here": ""} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			record(w, r)
			http.Redirect(w, r, target+"/end", http.StatusTemporaryRedirect)
		})
	}
	mux.HandleFunc("/end", record)
	first := httptest.NewServer(mux)
	defer first.Close()

	for path, want := range map[string]seen{
		"/away":   {"/end", "", "", "data"},
		"/second": {"/end", "DPoP token", second.URL + "/end", "data"},
		"/here":   {"/end", "DPoP token", first.URL + "/end", "data"},
	} {
		got = nil
		config, _ := newConfig(t)
		config.Base, config.Origins = nil, []string{first.URL, second.URL}
		tr := transport(t, config)
		resp, err := (&http.Client{Transport: tr}).Do(newRequest(t, "POST", first.URL+path, strings.NewReader("data")))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(got) != 2 || got[0] != (seen{path, "DPoP token", first.URL + path, "data"}) || got[1] != want {
			t.Errorf("%s: %+v, want %+v last", path, got, want)
		}
	}
}

// timeKeeper refuses proofs whose iat is off, as servers without nonces do.
type timeKeeper struct {
	*network
	clock func() time.Time
	code  string
}

func (k *timeKeeper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.network.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("Date", k.clock().UTC().Format(http.TimeFormat))
	iat := k.hops[len(k.hops)-1].proof.claims["iat"].(float64)
	if off := k.clock().Sub(time.Unix(int64(iat), 0)); off > time.Minute || off < -time.Second {
		resp.StatusCode = 401
		resp.Header.Set("WWW-Authenticate", `DPoP error="`+k.code+`"`)
	}
	return resp, nil
}

// A wrong clock is found out by the first refusal, corrected within a day, and forgotten when it is set right.
func TestTransportLearnsClock(t *testing.T) {
	for _, test := range []struct {
		name        string
		off         time.Duration // of the client
		first, next int           // requests it takes
		status      int
	}{
		{"right", 0, 1, 1, 200},
		{"slow, within what the server bears", -30 * time.Second, 1, 1, 200},
		{"fast by seconds", 4 * time.Second, 2, 1, 200},
		{"fast by an hour", time.Hour, 2, 1, 200},
		{"slow by a time zone", -14 * time.Hour, 2, 1, 200},
		{"off by a day", 24 * time.Hour, 2, 1, 200},
		{"off by more", 24*time.Hour + 2*time.Second, 1, 1, 401},
		{"without a battery", -50 * 365 * 24 * time.Hour, 1, 1, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, n := newConfig(t, accepted())
			server, client := poptest.NewClock(), poptest.NewClock()
			client.Advance(test.off)
			config.Base, config.Now = &timeKeeper{n, server.Now, "invalid_dpop_proof"}, client.Now
			tr := transport(t, config)
			for i, want := range []int{test.first, test.next} {
				before := len(n.hops)
				if status, _ := send(t, tr, getAccounts(t)); status != test.status || len(n.hops)-before != want {
					t.Errorf("request %d: status %d after %d attempts, want %d after %d",
						i+1, status, len(n.hops)-before, test.status, want)
				}
			}
			client.Set(server.Now())
			if status, _ := send(t, tr, getAccounts(t)); status != 200 || len(n.hops) > test.first+test.next+2 {
				t.Errorf("with the clock set right: status %d after %d attempts", status, len(n.hops))
			}
			before := len(n.hops)
			if send(t, tr, getAccounts(t)); len(n.hops) != before+1 {
				t.Error("the old difference was not forgotten")
			}
		})
	}
}

func TestTransportClockLimits(t *testing.T) {
	refuse := func(challenge, date string) answer {
		return answer{status: 401, fields: http.Header{"WWW-Authenticate": {challenge}, "Date": {date}}}
	}
	hourAhead := poptest.Now.Add(time.Hour).Format(http.TimeFormat)
	for _, test := range []struct {
		name    string
		a       answer
		learned time.Duration
		hops    int
	}{
		{"a refused proof", refuse(`DPoP error="invalid_dpop_proof"`, hourAhead), time.Hour, 2},
		{"a refused proof, told by an authorization server", answer{
			status: 400, body: strings.NewReader(`{"error":"invalid_dpop_proof"}`),
			fields: http.Header{"Content-Type": {"application/json"}, "Date": {hourAhead}}}, time.Hour, 2},
		{"success", answer{fields: http.Header{"Date": {hourAhead}}}, 0, 1},
		{"another refusal", refuse(`DPoP error="invalid_token"`, hourAhead), 0, 1},
		{"another scheme", refuse(`Bearer error="invalid_dpop_proof"`, hourAhead), 0, 1},
		{"no Date", refuse(`DPoP error="invalid_dpop_proof"`, ""), 0, 1},
		{"a Date that is none", refuse(`DPoP error="invalid_dpop_proof"`, "tomorrow"), 0, 1},
		{"two seconds", refuse(`DPoP error="invalid_dpop_proof"`, poptest.Now.Add(2*time.Second).Format(http.TimeFormat)), 2 * time.Second, 2},
		{"a day", refuse(`DPoP error="invalid_dpop_proof"`, poptest.Now.Add(24*time.Hour).Format(http.TimeFormat)), 24 * time.Hour, 2},
		{"more than a day", refuse(`DPoP error="invalid_dpop_proof"`, poptest.Now.Add(24*time.Hour+time.Second).Format(http.TimeFormat)), 0, 1},
		{"a second", refuse(`DPoP error="invalid_dpop_proof"`, poptest.Now.Add(time.Second).Format(http.TimeFormat)), 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, n := newConfig(t, test.a, accepted())
			config.Origins = append(config.Origins, "https://other.example.com")
			tr := transport(t, config)
			send(t, tr, getAccounts(t))
			if len(n.hops) != test.hops {
				t.Errorf("%d attempts, want %d", len(n.hops), test.hops)
			}
			send(t, tr, getAccounts(t))
			send(t, tr, newRequest(t, "GET", "https://other.example.com", nil))
			last := n.hops[len(n.hops)-2:]
			if iat := last[0].proof.claims["iat"]; iat != float64(poptest.Now.Add(test.learned).Unix()) {
				t.Errorf("iat is off by %v s, want %v", iat.(float64)-float64(poptest.Now.Unix()), test.learned)
			}
			if iat := last[1].proof.claims["iat"]; iat != float64(poptest.Now.Unix()) {
				t.Error("one server's Date moved the clock for another")
			}
		})
	}
}

// A server that wants a nonce and judges iat too gets both right with the second request.
func TestTransportLearnsNonceAndClockTogether(t *testing.T) {
	refused := challenged("n")
	refused.fields.Set("Date", poptest.Now.Add(-time.Hour).Format(http.TimeFormat))
	tr, n := newTransport(t, refused, accepted())
	send(t, tr, getAccounts(t))
	if c := n.hops[1].proof.claims; c["nonce"] != "n" || c["iat"] != float64(poptest.Now.Add(-time.Hour).Unix()) {
		t.Errorf("second proof %v", c)
	}
}

// Without a token source the proof goes alone, and client authentication is left as it is (RFC 9449 §5).
func TestTransportWithoutToken(t *testing.T) {
	refused := answer{status: 400, body: strings.NewReader(`{"error":"use_dpop_nonce"}`),
		fields: http.Header{"DPoP-Nonce": {"n"}, "Content-Type": {"application/json"}}}
	config, n := newConfig(t, refused, accepted())
	config.Token = nil
	tr := transport(t, config)
	r := newRequest(t, "POST", poptest.URL, strings.NewReader("grant_type=client_credentials"))
	r.SetBasicAuth("client", "secret")
	send(t, tr, r)
	if len(n.hops) != 2 {
		t.Fatalf("%d requests", len(n.hops))
	}
	for _, h := range n.hops {
		if user, _, _ := h.BasicAuth(); user != "client" || h.proof.claims["ath"] != nil {
			t.Errorf("sent %v with proof %v", h.Header, h.proof.claims)
		}
		if h.body != "grant_type=client_credentials" {
			t.Errorf("sent body %q", h.body)
		}
	}
}

func TestTransportPrime(t *testing.T) {
	tr, n := newTransport(t, challenged("n"), accepted())
	if err := tr.Prime(t.Context(), poptest.URL); err != nil {
		t.Fatal(err)
	}
	upload := newRequest(t, "PUT", poptest.URL, &countedBody{Reader: strings.NewReader("a stream")})
	if status, _ := send(t, tr, upload); status != 200 || len(n.hops) != 2 {
		t.Fatalf("status %d after %d requests", status, len(n.hops))
	}
	prime, put := n.hops[0], n.hops[1]
	if prime.Method != "GET" || put.proof.claims["nonce"] != "n" || put.body != "a stream" {
		t.Errorf("primed with %s, then nonce %v", prime.Method, put.proof.claims["nonce"])
	}

	config, _ := newConfig(t)
	body := &countedBody{Reader: strings.NewReader("an answer")}
	config.Base = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, Request: r}, nil
	})
	if err := transport(t, config).Prime(t.Context(), poptest.URL); err != nil {
		t.Errorf("a server without nonces: %v", err)
	}
	if rest, _ := io.ReadAll(body.Reader); body.closed != 1 || len(rest) != 0 {
		t.Errorf("the answer was closed %d times, with %q unread", body.closed, rest)
	}
	if err := tr.Prime(t.Context(), "https://evil.example.com"); err == nil || !strings.Contains(err.Error(), "Origins") {
		t.Errorf("another origin: %v", err)
	}
	if err := tr.Prime(t.Context(), "https://%"); err == nil {
		t.Error("no error for what is not a URL")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Prime(canceled, poptest.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// Every failure closes the body of the request, sends no more, and can be told from the others.
func TestTransportErrors(t *testing.T) {
	failed := errors.New("failed")
	for _, test := range []struct {
		name   string
		length int64 // of the body, which is kept if it is known
		edit   func(*http.Request, *dpop.TransportConfig) *http.Request
		want   error
		text   string
	}{
		{"the token source", 4, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			c.Token = func(context.Context) (string, error) { return "", failed }
			return r
		}, failed, "access token"},
		{"an empty token", 4, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			c.Token = func(context.Context) (string, error) { return "", nil }
			return r
		}, nil, "access token: Token returned an empty one, and no error"},
		{"a token with a line break", 4, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			c.Token = func(context.Context) (string, error) { return "a\r\nb", nil }
			return r
		}, nil, "such as the line break at the end of a file"},
		{"the body", 4, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			r.Body.(*countedBody).Reader = readFunc(func([]byte) (int, error) { return 0, failed })
			return r
		}, failed, "request body"},
		{"the key", -1, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			c.Signer, _ = dpop.NewSigner(oddSigner{poptest.ClientKey().Private.Public(), nil, failed}, "")
			return r
		}, failed, "signature"},
		{"the method", -1, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			r.Method = "GET IT"
			return r
		}, nil, "Method"},
		{"the context", 4, func(r *http.Request, c *dpop.TransportConfig) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			return r.WithContext(ctx)
		}, context.Canceled, "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, n := newConfig(t, accepted())
			body := &countedBody{Reader: strings.NewReader("data")}
			r := newRequest(t, "POST", poptest.URL, body)
			r.ContentLength = test.length
			r = test.edit(r, &config)
			resp, err := transport(t, config).RoundTrip(r)
			if resp != nil || err == nil || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("got %v, %v, want an error with %q", resp, err, test.text)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if len(n.hops) != 0 || body.closed != 1 {
				t.Errorf("%d requests, body closed %d times", len(n.hops), body.closed)
			}
		})
	}
}

// The token source sees the context of the request.
func TestTransportTokenContext(t *testing.T) {
	type key struct{}
	config, n := newConfig(t, accepted())
	config.Token = func(ctx context.Context) (string, error) { return ctx.Value(key{}).(string), nil }
	tr := transport(t, config)
	send(t, tr, getAccounts(t).WithContext(context.WithValue(t.Context(), key{}, "mine")))
	if got := n.hops[0].Header.Get("Authorization"); got != "DPoP mine" {
		t.Errorf("Authorization %q", got)
	}
}

func TestNewTransport(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*dpop.TransportConfig)
		want string // in the error; empty for none
	}{
		{"complete", func(*dpop.TransportConfig) {}, ""},
		{"no signer", func(c *dpop.TransportConfig) { c.Signer = nil }, "Signer is nil"},
		{"an empty signer", func(c *dpop.TransportConfig) { c.Signer = &dpop.Signer{} }, "its zero value: make one"},
		{"no origins", func(c *dpop.TransportConfig) { c.Origins = nil }, "Origins is empty"},
		{"an origin without scheme", func(c *dpop.TransportConfig) { c.Origins = []string{"api.example.com"} }, "scheme and host"},
		{"an origin with a path", func(c *dpop.TransportConfig) { c.Origins = []string{"https://api.example.com/v1"} }, "scheme and host"},
		{"an origin with a slash", func(c *dpop.TransportConfig) { c.Origins = []string{"https://api.example.com/"} }, ""},
		{"an origin with a query", func(c *dpop.TransportConfig) { c.Origins = []string{"https://api.example.com?x"} }, "scheme and host"},
		{"a pattern", func(c *dpop.TransportConfig) { c.Origins = []string{"https://*.example.com"} }, "scheme and host"},
		{"the second origin", func(c *dpop.TransportConfig) { c.Origins = append(c.Origins, "") }, `""`},
		{"without TLS", func(c *dpop.TransportConfig) { c.Origins = []string{"http://api.example.com"} }, "InsecureAllowHTTP"},
		{"without TLS to a host that sounds local", func(c *dpop.TransportConfig) {
			c.Origins = []string{"http://localhost.example.com"}
		}, "InsecureAllowHTTP"},
		{"without TLS on purpose", func(c *dpop.TransportConfig) {
			c.Origins, c.InsecureAllowHTTP = []string{"http://api.example.com"}, true
		}, ""},
		{"without TLS on this host", func(c *dpop.TransportConfig) {
			c.Origins = []string{"http://localhost:8080", "http://127.0.0.1", "http://[::1]:1", "http://127.9.9.9"}
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, _ := newConfig(t, accepted())
			test.edit(&config)
			tr, err := dpop.NewTransport(config)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "dpop.TransportConfig: ") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if tr != nil {
				t.Error("there is a Transport with settings that are not in order")
			}
		})
	}
}

// nonceServer demands one nonce at a time and changes it every few requests.
type nonceServer struct {
	mu       sync.Mutex
	used     map[any]bool
	accepted int
}

func (s *nonceServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := tryOpenProof(r.Header.Get("DPoP"))
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	current, previous := strconv.Itoa(s.accepted/40), strconv.Itoa(s.accepted/40-1)
	w.Header().Set("DPoP-Nonce", current)
	switch nonce := p.claims["nonce"]; {
	case err != nil || s.used[p.claims["jti"]] || len(body) == 0:
		w.WriteHeader(http.StatusInternalServerError)
	case nonce != current && nonce != previous:
		w.Header().Set("WWW-Authenticate", useNonce)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		s.accepted++
	}
	s.used[p.claims["jti"]] = true
}

func TestTransportConcurrently(t *testing.T) {
	server := httptest.NewServer(&nonceServer{used: map[any]bool{}})
	defer server.Close()
	config, _ := newConfig(t)
	config.Base, config.Origins = nil, []string{server.URL}
	tr := transport(t, config)
	client := &http.Client{Transport: tr}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				resp, err := client.Post(fmt.Sprintf("%s/%d/%d", server.URL, i, j), "text/plain", strings.NewReader("data"))
				if err != nil {
					t.Error(err)
					return
				}
				if resp.Body.Close(); resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
}

// countedBody is a request body that cannot be read again, and knows how it was treated.
type countedBody struct {
	io.Reader
	closed int
	late   bool
	fails  error // what Close returns
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.late = b.late || b.closed > 0
	return b.Reader.Read(p)
}

func (b *countedBody) Close() error {
	b.closed++
	return b.fails
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// realTransport returns a Transport that reaches a server by a real connection.
func realTransport(t *testing.T, h http.Handler) (*dpop.Transport, string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	config, _ := newConfig(t)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	config.Base, config.Origins = base, []string{server.URL}
	tr := transport(t, config)
	return tr, server.URL
}

// onceServer takes each proof once, and cuts the connection of the second request after it has taken its proof.
type onceServer struct {
	mu     sync.Mutex
	seen   []string
	bodies []string
}

func (s *onceServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	proof := r.Header.Get("DPoP")
	used := slices.Contains(s.seen, proof)
	s.seen = append(s.seen, proof)
	switch {
	case len(s.seen) == 2:
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.Close()
		}
	case used:
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		s.bodies = append(s.bodies, string(body))
	}
}

// What net/http sends again by itself, when a connection dies, has a proof that is used up. One with a new proof follows.
func TestTransportAfterDeadConnection(t *testing.T) {
	for _, test := range []struct {
		name, method, key string
		body              io.Reader
		status, sent      int // status 0: an error, since nobody knows whether it was done
	}{
		{"GET", "GET", "", nil, 200, 4},
		{"POST with an Idempotency-Key", "POST", "k", strings.NewReader("data"), 200, 4},
		{"POST without", "POST", "", strings.NewReader("data"), 0, 2},
		{"POST with a body that is gone", "POST", "k", io.MultiReader(strings.NewReader("data")), 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &onceServer{}
			tr, url := realTransport(t, server)
			if status, _ := send(t, tr, newRequest(t, "GET", url, nil)); status != 200 { // opens the connection
				t.Fatalf("status %d", status)
			}
			r := newRequest(t, test.method, url, test.body)
			if test.key != "" {
				r.Header.Set("Idempotency-Key", test.key)
			}
			resp, err := tr.RoundTrip(r)
			status := 0
			if err == nil {
				status = resp.StatusCode
				resp.Body.Close()
			}
			server.mu.Lock() // its handler may still be at the connection that it cut
			defer server.mu.Unlock()
			if status != test.status || len(server.seen) != test.sent {
				t.Errorf("status %d (%v) after %d requests, want %d after %d", status, err, len(server.seen), test.status, test.sent)
			}
			if last := server.bodies[len(server.bodies)-1]; test.status == 200 && test.body != nil && last != "data" {
				t.Errorf("the last body is %q", last)
			}
		})
	}
}

// A proof that is refused on its first connection is not sent again: a new one would not do better.
func TestTransportBelievesARefusal(t *testing.T) {
	refused := 0
	tr, url := realTransport(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refused++
		w.Header()["Date"] = nil
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	if status, _ := send(t, tr, newRequest(t, "GET", url, nil)); status != 401 || refused != 1 {
		t.Errorf("status %d after %d requests", status, refused)
	}
}

// Without a token source, a token that is in the request already is in the proof as well (RFC 9449 §4.2).
func TestTransportBelowAnotherThatSetsTheToken(t *testing.T) {
	config, n := newConfig(t, challenged("n"), accepted())
	config.Token = nil
	tr := transport(t, config)
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token", TokenType: "DPoP"})
	send(t, &oauth2.Transport{Source: source, Base: tr}, getAccounts(t))
	for _, h := range n.hops {
		if h.Header.Get("Authorization") != "DPoP token" || h.proof.claims["ath"] != poptest.ATH("token") {
			t.Errorf("sent %q with a proof of %v", h.Header.Get("Authorization"), h.proof.claims)
		}
	}
	for _, test := range []struct {
		name, field, ath string // no ath: the error is that there is no token
	}{
		{"DPoP", "DPoP token", poptest.ATH("token")},
		{"in small letters", "dpop  token", poptest.ATH("token")},
		{"Bearer", "Bearer token", poptest.ATH("token")},
		{"nothing", "DPoP", ""},
		{"two words", "DPoP a b", ""},
		{"no token68", "Bearer to,ken", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, n := newConfig(t, accepted())
			config.Token, n.bearer = nil, true
			tr := transport(t, config)
			r := getAccounts(t)
			r.Header.Set("Authorization", test.field)
			resp, err := tr.RoundTrip(r)
			if test.ath == "" {
				if err == nil || !strings.Contains(err.Error(), "Authorization has no access token") {
					t.Errorf("got %v, %v", resp, err)
				}
				return
			}
			if err != nil || n.hops[0].proof.claims["ath"] != test.ath || resp.Request.Header.Get("Authorization") != test.field {
				t.Errorf("%v: sent %q with a proof of %v", err, resp.Request.Header.Get("Authorization"), n.hops[0].proof.claims)
			}
		})
	}
}

// A server that never finishes what it says of a refusal keeps nobody waiting for it.
func TestTransportStalledError(t *testing.T) {
	for _, test := range []struct {
		name   string
		fields http.Header
		want   int // requests
	}{
		{"the code is in the body", http.Header{"Content-Type": {"application/json"}}, 1},
		{"the code is in the head", http.Header{"WWW-Authenticate": {useNonce}, "DPoP-Nonce": {"n"}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body, finish := io.Pipe()
				tr, n := newTransport(t, answer{status: 400, fields: test.fields, body: body}, accepted())
				begin := time.Now()
				resp, err := tr.RoundTrip(getAccounts(t))
				if took := time.Since(begin); err != nil || took != 5*time.Second || len(n.hops) != test.want {
					t.Fatalf("%v after %v and %d requests, want %d", err, took, len(n.hops), test.want)
				}
				if test.want == 2 { // the body is closed
					synctest.Wait()
					if _, err := finish.Write([]byte("late")); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("writing to a body that nobody waits for: %v", err)
					}
					return
				}
				go func() {
					_, err := finish.Write([]byte(`{"error":"late"}`))
					finish.CloseWithError(err)
				}()
				if all, err := io.ReadAll(resp.Body); string(all) != `{"error":"late"}` || err != nil {
					t.Errorf("the body is %q, %v", all, err)
				}
			})
		})
	}
}

// Nor who closes what is said without reading it, though a body may not be closed while it is read.
func TestTransportStalledErrorIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalled, finish := io.Pipe()
		body := &bodyOfTurns{ReadCloser: stalled, turn: make(chan struct{}, 1)}
		json := http.Header{"Content-Type": {"application/json"}}
		tr, _ := newTransport(t, answer{status: 400, fields: json, body: body})
		resp, err := tr.RoundTrip(getAccounts(t))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := resp.Body.Close(); err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		_ = finish.Close()
		if synctest.Wait(); !body.closed {
			t.Error("the body was never closed")
		}
	})
}

// bodyOfTurns is like the bodies that net/http decompresses: while one reads it, nobody else can close it.
type bodyOfTurns struct {
	io.ReadCloser
	turn   chan struct{}
	closed bool
}

func (b *bodyOfTurns) Read(p []byte) (int, error) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	return b.ReadCloser.Read(p)
}

func (b *bodyOfTurns) Close() error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.closed = true
	return b.ReadCloser.Close()
}

// Nor does one that never answers keep back what is only sent to learn a nonce.
func TestTransportPrimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, _ := newConfig(t, accepted())
		config.Base = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		tr := transport(t, config)
		begin := time.Now()
		if err := tr.Prime(t.Context(), poptest.URL); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// To which origins proofs go does not depend on how they are written, and what has no origin goes as it is.
func TestTransportOfOddRequests(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		signed bool
	}{
		"as it is":                    {func(*http.Request) {}, true},
		"a scheme in upper case":      {func(r *http.Request) { r.URL.Scheme = "HTTPS" }, true},
		"a host in upper case":        {func(r *http.Request) { r.URL.Host = "API.example.com:443" }, true},
		"another scheme":              {func(r *http.Request) { r.URL.Scheme = "ftp" }, false},
		"a scheme with more in it":    {func(r *http.Request) { r.URL.Scheme = "https://api.example.com/" }, false},
		"no scheme":                   {func(r *http.Request) { r.URL.Scheme = "" }, false},
		"no URL":                      {func(r *http.Request) { r.URL = nil }, false},
		"no host":                     {func(r *http.Request) { r.URL.Host, r.Host = "", "" }, false},
		"no host but Host":            {func(r *http.Request) { r.URL.Host = "" }, false},
		"a host that is no name":      {func(r *http.Request) { r.URL.Host = "a\u00ad\xff" }, false},
		"a Host that is not listed":   {func(r *http.Request) { r.Host = "evil.example" }, false},
		"a Host that cannot be one":   {func(r *http.Request) { r.Host = "a b" }, false},
		"a connection to another":     {func(r *http.Request) { r.URL.Host = "evil.example" }, false},
		"a body that is not there":    {func(r *http.Request) { r.Body, r.ContentLength = nil, 5 }, true},
		"a body that says it is none": {func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			tr, n := newTransport(t, challenged("n"), accepted())
			r := getAccounts(t)
			test.change(r)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if signed := n.hops[0].proof.claims != nil; signed != test.signed || test.signed != (len(n.hops) == 2) {
				t.Errorf("signed %t, sent %d times", signed, len(n.hops))
			}
		})
	}
}

// What goes wrong is told, whatever is there to be closed, also when a request goes for the second time.
func TestTransportTellsWhatGoesWrong(t *testing.T) {
	config, _ := newConfig(t)
	broken := errors.New("the connection is gone")
	times := 0
	config.Base = roundTrip(func(*http.Request) (*http.Response, error) {
		if times++; times > 1 {
			return nil, broken
		}
		return &http.Response{StatusCode: 401, Body: http.NoBody, Header: http.Header{"Www-Authenticate": {useNonce}, "Dpop-Nonce": {"n"}}}, nil
	})
	if resp, err := transport(t, config).RoundTrip(getAccounts(t)); resp != nil || !errors.Is(err, broken) || times != 2 {
		t.Errorf("%v, %v after %d times", resp, err, times)
	}
	r := getAccounts(t)
	r.Method = "a b"
	if _, err := transport(t, config).RoundTrip(r); err == nil || !strings.Contains(err.Error(), "ProofOptions.Method") {
		t.Errorf("a method that is none: %v", err)
	}
	config.Token = func(context.Context) (string, error) { return "", broken }
	if err := transport(t, config).Prime(t.Context(), poptest.URL); !errors.Is(err, broken) {
		t.Errorf("without a token: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
