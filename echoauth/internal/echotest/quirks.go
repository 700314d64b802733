package echotest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// sending is a request as some client makes it.
type sending struct {
	scheme string // and what separates it from the token
	url    string
	proof  poptest.Proof
}

// quirk is what is odd about a client: how it sends the token, which URL it asks for and which it proves, or members
// of its proof.
type quirk func(*sending)

func scheme(s string) quirk        { return func(q *sending) { q.scheme = s } }
func asked(url string) quirk       { return func(q *sending) { q.url = url } }
func proven(url string) quirk      { return claim("htu", url) }
func withNonce(nonce string) quirk { return claim("nonce", nonce) }
func at(iat time.Time) quirk       { return func(q *sending) { q.proof.IssuedAt = iat } }

func claim(name string, value any) quirk {
	return func(q *sending) { q.proof.Claims = add(q.proof.Claims, name, value) }
}

func member(name string, value any) quirk {
	return func(q *sending) { q.proof.Header = add(q.proof.Header, name, value) }
}

// keyMember adds a member to the key in the header.
func keyMember(name string, value any) quirk {
	return member("jwk", add(poptest.ClientKey().JWK(), name, value))
}

// by exchanges the key, and calls it one of an algorithm.
func by(key *poptest.Key, alg string) quirk {
	return func(q *sending) { q.proof.Key = &poptest.Key{Alg: alg, Private: key.Private} }
}

func both(quirks ...quirk) quirk {
	return func(q *sending) {
		for _, quirk := range quirks {
			quirk(q)
		}
	}
}

func add(m map[string]any, name string, value any) map[string]any {
	sum := map[string]any{}
	maps.Copy(sum, m)
	sum[name] = value
	return sum
}

// send makes a POST request with some quirks; its body is "data".
func (s *service) send(quirks ...quirk) (*http.Response, error) {
	q := sending{scheme: "DPoP ", url: poptest.URL, proof: poptest.Proof{Method: "POST", Key: poptest.ClientKey()}}
	both(quirks...)(&q)
	q.proof.Token = poptest.Token{JKT: q.proof.Key.Thumbprint()}.String()
	r, err := http.NewRequest("POST", q.url, strings.NewReader("data"))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", q.scheme+q.proof.Token)
	r.Header.Set("DPoP", q.proof.String())
	return s.wire.RoundTrip(r)
}

// answer sends a request and returns status and header of the answer. It reads its body as well, so that the connection is
// kept.
func (s *service) answer(t *testing.T, quirks ...quirk) (int, http.Header) {
	t.Helper()
	response, err := s.send(quirks...)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header
}

// lets sends a request that gets in, and its handler runs once.
func (s *service) lets(t *testing.T, quirks ...quirk) {
	t.Helper()
	if status, header := s.answer(t, quirks...); status != http.StatusOK {
		t.Errorf("%d %v", status, header)
	}
	s.expect(t, "accepted", "data")
}

// Honest clients differ. None of this may keep one out. The clock shows 1767323045.
func (f suite) TestQuirksAreAccepted(t *testing.T) {
	const path = poptest.Audience + "/a/"
	s := f.newService(t, "HTTP/1.1", nil)
	for name, quirk := range map[string]quirk{
		"RS-174 scheme dpop":      scheme("dpop "),
		"RS-174 scheme DPOP":      scheme("DPOP "),
		"RS-172 scheme dpOp":      scheme("dpOp "),
		"RS-040 two spaces after": scheme("DPoP  "),

		"RS-016 htu with the query":             both(asked(poptest.URL+"?page=2"), proven(poptest.URL+"?page=2")),
		"RS-016 htu with query and fragment":    both(asked(poptest.URL+"?page=2"), proven(poptest.URL+"?page=2#top")),
		"RS-016 htu with an empty query":        proven(poptest.URL + "?"),
		"RS-016 a query that htu is without":    asked(poptest.URL + "?to=https://x.example/a/../b&y=%2F"),
		"RS-017 htu with the host upper-case":   proven("https://API.EXAMPLE.COM/accounts"),
		"RS-017 htu with scheme upper-case":     proven("HTTPS://api.example.com/accounts"),
		"RS-018 htu with the default port":      proven("https://api.example.com:443/accounts"),
		"RS-018 htu with an empty port":         proven("https://api.example.com:/accounts"),
		"RS-018 the default port in the URL":    asked("https://api.example.com:443/accounts"),
		"RS-017 the host upper-case in the URL": asked("https://API.Example.com/accounts"),
		"RS-017 %2f proven, %2F asked":          both(asked(path+"x%2Fy"), proven(path+"x%2fy")),
		"RS-017 %2F proven, %2f asked":          both(asked(path+"x%2fy"), proven(path+"x%2Fy")),
		"RS-017 ~ proven, %7E asked":            both(asked(path+"%7Ex"), proven(path+"~x")),
		"RS-017 %7e proven, ~ asked":            both(asked(path+"~x"), proven(path+"%7ex")),
		"RS-017 htu with dot segments":          proven(poptest.Audience + "/v1/../accounts"),
		"RS-017 raw | ^ ' proven":               both(asked(path+"%7C%5E%27"), proven(path+"|^'")),
		"RS-017 é not escaped in htu":           both(asked(path+"%C3%A9"), proven(path+"é")),
		"RS-018 htu without a path":             both(asked(poptest.Audience+"/"), proven(poptest.Audience)),
		"htu with every / escaped, as PHP does": claim("htu", json.RawMessage(`"https:\/\/api.example.com\/accounts"`)),

		"RS-026 jti a UUID":               claim("jti", "9b2e6a0c-5d0f-4b59-8f6e-1f1f5c1f7a11"),
		"RS-026 jti of 43 characters":     claim("jti", "V7kXw2PzW0yT8o3mJ1uRr6dQeFhGsLbNcAaZxYi9K4E"),
		"RS-026 jti of one character":     claim("jti", "-"),
		"RS-026 jti in words":             claim("jti", `request "7" of Zoë, 世界/\`),
		"RS-026 jti of 1,000 characters":  claim("jti", strings.Repeat("j", 1000)),
		"RS-027 iat with a fraction":      claim("iat", json.Number("1767323045.678")),
		"RS-027 iat with a zero fraction": claim("iat", json.Number("1767323045.0")),
		"RS-027 iat with an exponent":     claim("iat", json.Number("1.767323045e9")),
		"RS-072 iat 10 s ahead":           at(poptest.Now.Add(10 * time.Second)),
		"RS-070 iat 60 s old":             at(poptest.Now.Add(-time.Minute)),

		"RS-025 a header with kid":        member("kid", "key-1"),
		"RS-025 a header with x5t":        member("x5t#S256", "AAAA"),
		"RS-025 a header with an object":  member("vendor", map[string]any{"v": []int{1, 2}}),
		"RS-025 claims iss, sub and aud":  both(claim("iss", "client-1"), claim("sub", "user-1"), claim("aud", []string{poptest.Audience})),
		"RS-025 claims exp and nbf":       both(claim("exp", poptest.Now.Unix()+60), claim("nbf", poptest.Now.Unix())),
		"RS-025 a claim with an object":   claim("vendor", map[string]any{"htm": "GET", "a": nil}),
		"RS-031 jwk with kid":             keyMember("kid", "key-1"),
		"RS-031 jwk with alg":             keyMember("alg", "ES256"),
		"RS-140 jwk with use":             keyMember("use", "sig"),
		"RS-140 jwk with key_ops and ext": member("jwk", add(add(poptest.ClientKey().JWK(), "ext", true), "key_ops", []string{"verify"})),
	} {
		t.Run(name, func(t *testing.T) { s.lets(t, quirk) })
	}
	for _, alg := range dpop.Algorithms() {
		t.Run("RS-011 "+alg, func(t *testing.T) { s.lets(t, by(ofAlgorithm(alg), alg)) })
	}
	// Older clients say EdDSA, newer ones Ed25519; the key is the same, and so is what tokens are bound to.
	key := poptest.Keyed("Ed25519", "client")
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		t.Run("RS-144 one key as "+alg, func(t *testing.T) { s.lets(t, by(key, alg)) })
	}
}

// What lies one step beyond those quirks is refused, for its own reason, and the handler does not run (RS-041).
func (f suite) TestBeyondTheQuirks(t *testing.T) {
	const path = poptest.Audience + "/a/"
	s := f.newService(t, "HTTP/1.1", nil)
	for name, test := range map[string]struct {
		quirk  quirk
		status int
		code   string
		reason string
	}{
		"RS-040 another scheme":             {scheme("DPoPs "), 401, "", "scheme_unknown"},
		"RS-040 no space after the scheme":  {scheme("dpop"), 401, "", "scheme_unknown"},
		"RS-040 a comma after the scheme":   {scheme("DPoP,"), 400, "invalid_request", "authorization_malformed"},
		"RS-050 scheme BEARER":              {scheme("BEARER "), 401, "invalid_token", "bound_token_as_bearer"},
		"RS-015 http proven":                {proven("http://api.example.com/accounts"), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-015 port 80 of https proven":    {proven("https://api.example.com:80/accounts"), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-015 a path alone proven":        {proven("/accounts"), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-019 the path upper-case proven": {proven(poptest.Audience + "/ACCOUNTS"), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-019 / at the end proven":        {proven(poptest.URL + "/"), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-019 / for %2F proven":           {both(asked(path+"x%2Fy"), proven(path+"x/y")), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-019 %257E for ~ proven":         {both(asked(path+"~"), proven(path+"%257E")), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-016 ? escaped in htu":           {both(asked(poptest.URL+"?a"), proven(poptest.URL+"%3Fa")), 401, "invalid_dpop_proof", "htu_mismatch"},
		"RS-007 jti a number":               {claim("jti", 7), 401, "invalid_dpop_proof", "json_invalid"},
		"RS-006 no jti":                     {claim("jti", nil), 401, "invalid_dpop_proof", "claim_missing"},
		"RS-007 iat in quotes":              {claim("iat", "1767323045"), 401, "invalid_dpop_proof", "json_invalid"},
		"RS-070 iat in milliseconds":        {claim("iat", poptest.Now.UnixMilli()), 401, "invalid_dpop_proof", "iat_in_future"},
		"RS-070 iat a fraction too old":     {claim("iat", json.Number("1767322984.5")), 401, "invalid_dpop_proof", "iat_too_old"},
		"RS-008 typ application/dpop+jwt":   {member("typ", "application/dpop+jwt"), 401, "invalid_dpop_proof", "typ_wrong"},
		"RS-008 typ DPoP+jwt":               {member("typ", "DPoP+jwt"), 401, "invalid_dpop_proof", "typ_wrong"},
		"RS-011 alg es256":                  {member("alg", "es256"), 401, "invalid_dpop_proof", "alg_not_allowed"},
		"RS-144 alg Ed448":                  {by(poptest.Keyed("Ed25519", "client"), "Ed448"), 401, "invalid_dpop_proof", "alg_not_allowed"},
		"RS-136 a header with crit":         {both(member("crit", []string{"kid"}), member("kid", "k")), 401, "invalid_dpop_proof", "crit_present"},
		"RS-013 jwk with d":                 {keyMember("d", "AAAA"), 401, "invalid_dpop_proof", "key_private"},
		"RS-140 jwk with another use":       {keyMember("use", "enc"), 401, "invalid_dpop_proof", "key_unacceptable"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header := s.answer(t, test.quirk)
			challenge := strings.Join(header.Values("WWW-Authenticate"), ", ")
			if status != test.status || !strings.HasPrefix(challenge, "DPoP ") {
				t.Errorf("%d %q, want %d", status, challenge, test.status)
			}
			if _, code, _ := strings.Cut(challenge, `error="`); !strings.HasPrefix(code, test.code) || (code == "") != (test.code == "") {
				t.Errorf("challenge %q, want %q", challenge, test.code)
			}
			s.expect(t, test.reason)
		})
	}
}

// Clients that know no nonces of an API send it that of their authorization server: where none is demanded, it is as none.
func (f suite) TestNonceOfAnotherServer(t *testing.T) {
	free, strict := f.newService(t, "HTTP/1.1", nil), f.newService(t, "HTTP/1.1", demandNonces)
	for name, nonce := range map[string]string{
		"a word": "nonce", "of the authorization server": "eyJ7S_zG.eyJH0-Z.HX4w-7v", "an empty one": "",
	} {
		t.Run(name, func(t *testing.T) {
			free.lets(t, withNonce(nonce))
			if status, _ := free.answer(t, withNonce(nonce), at(poptest.Now.Add(-time.Hour))); status != http.StatusUnauthorized {
				t.Errorf("with an old iat: %d", status)
			}
			free.expect(t, "nonce_foreign")
			if status, _ := strict.answer(t, withNonce(nonce)); status != http.StatusUnauthorized {
				t.Errorf("where one is demanded: %d", status)
			}
			strict.expect(t, "nonce_foreign")
		})
	}
}

// RS-057, RS-058, RS-066: a nonce that shows that it is of this API, and does not count, is refused even where none is
// demanded: its client has met nonces and can learn the right one. The refusal supplies it, and the next request gets in.
func (f suite) TestUnknownNonceWhereNoneIsDemanded(t *testing.T) {
	stranger := f.newService(t, "HTTP/1.1", demandNonces)
	_, header := stranger.answer(t)
	foreign := header.Get("DPoP-Nonce")
	for name, test := range map[string]struct {
		nonce  func(*service) string
		reason string
	}{
		"of an instance with other secrets": {func(*service) string { return foreign }, "nonce_foreign"},
		"ours, longer":                      {func(s *service) string { return s.nonce(t) + "AAAA" }, "nonce_foreign"},
		"ours, from before a restart": {func(s *service) string {
			nonce := s.nonce(t)
			s.start(t)
			return nonce
		}, "nonce_foreign"},
		"ours, of two minutes ago": {func(s *service) string {
			nonce := s.nonce(t)
			s.clock.Advance(2 * time.Minute)
			return nonce
		}, "nonce_old"},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.newService(t, "HTTP/1.1", nil)
			unknown := test.nonce(s)
			status, header := s.answer(t, at(s.clock.Now()), withNonce(unknown))
			supplied := header.Values("DPoP-Nonce")
			if status != http.StatusUnauthorized || len(supplied) != 1 || supplied[0] == unknown { // RS-060
				t.Fatalf("%d %v", status, header)
			}
			challenge := header.Values("WWW-Authenticate")
			if len(challenge) != 1 || !strings.Contains(challenge[0], `error="use_dpop_nonce"`) || header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", header)
			}
			s.expect(t, test.reason)

			for range 2 {
				s.lets(t, at(s.clock.Now()), withNonce(supplied[0]))
			}
			s.lets(t, at(s.clock.Now())) // none is demanded
		})
	}
}

// nonce returns a new nonce of the server, from its refusal of one that is not.
func (s *service) nonce(t *testing.T) string {
	t.Helper()
	_, header := s.answer(t, withNonce("x"), at(poptest.Now.Add(-time.Hour))) // with a good iat that of another is as none
	s.took()
	nonce := header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce was supplied")
	}
	return nonce
}

// RS-069: a nonce stands for time, so the clocks of clients that use one do not matter; nor does iat help a client
// that uses none where one is demanded.
func (f suite) TestClocksOfClients(t *testing.T) {
	free, strict := f.newService(t, "HTTP/1.1", nil), f.newService(t, "HTTP/1.1", demandNonces)
	for name, test := range map[string]struct {
		off     time.Duration
		without string // what a server that demands no nonces decides, when there is none
	}{
		"right":            {0, "accepted"},
		"slow by 5 hours":  {-5 * time.Hour, "iat_too_old"},
		"fast by 5 hours":  {5 * time.Hour, "iat_in_future"},
		"never set, 1970":  {time.Unix(1, 0).Sub(poptest.Now), "iat_too_old"},
		"fast by 20 years": {20 * 8766 * time.Hour, "iat_in_future"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := at(poptest.Now.Add(test.off))
			for s, without := range map[*service]string{free: test.without, strict: "nonce_missing"} {
				s.lets(t, clock, withNonce(s.nonce(t)))
				if without == "accepted" {
					s.lets(t, clock)
					continue
				}
				if status, _ := s.answer(t, clock); status != http.StatusUnauthorized {
					t.Errorf("without a nonce: %d", status)
				}
				s.expect(t, without)
			}
		})
	}
}

// RS-067: one nonce serves many requests at once.
func (f suite) TestManyRequestsOnOneNonce(t *testing.T) {
	const requests = 50
	s := f.newService(t, "HTTP/1.1", demandNonces)
	nonce := withNonce(s.nonce(t))
	atOnce(t, requests, func(jti string) (*http.Response, error) { return s.send(nonce, claim("jti", jti)) })
	decided, runs := s.took()
	if accepted := slices.Repeat([]string{"accepted"}, requests); !slices.Equal(decided, accepted) || len(runs) != requests {
		t.Errorf("%d runs, decided %q", len(runs), decided)
	}
	// RS-073: that the nonce may be used again does not mean that a jti may.
	if status, _ := s.answer(t, nonce, claim("jti", "000")); status != http.StatusUnauthorized {
		t.Errorf("%d", status)
	}
	s.expect(t, "proof_replayed")
}
