package access_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

func resource(changes ...func(*access.Resource)) []access.Resource {
	r := access.Resource{URL: poptest.Audience}
	for _, change := range changes {
		change(&r)
	}
	return []access.Resource{r}
}

// published is what a client reads of a guard.
func published(t *testing.T, s *setup) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	s.Metadata().ServeHTTP(w, httptest.NewRequest("GET", poptest.Audience+s.MetadataPaths()[0], nil))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v: %v\n%s", w.Code, w.Header(), err, w.Body)
	}
	return got
}

// RS-151, RS-152, RS-153: where metadata is found, and that the way back leads to the identifier.
func TestMetadataURL(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	for identifier, path := range map[string]string{
		"https://api.example.com":          wellKnown,
		"https://api.example.com/":         wellKnown,
		"https://api.example.com/v1":       wellKnown + "/v1",
		"https://api.example.com/v1/":      wellKnown + "/v1/",
		"https://api.example.com:8443/a/b": wellKnown + "/a/b",
		"http://127.0.0.1:8080":            wellKnown,
		"http://[::1]:8080/x":              wellKnown + "/x",
		"http://localhost/x":               wellKnown + "/x",
		"https://api.example.com/v1?a=b&c": wellKnown + "/v1?a=b&c",
		"https://api.example.com?a":        wellKnown + "?a",
	} {
		t.Run(identifier, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				s.Resources, s.Origins = resource(func(r *access.Resource) { r.URL = identifier }), []string{originOf(t, identifier)}
			})
			want, query, _ := strings.Cut(path, "?")
			if got := s.MetadataPaths()[0]; got != want {
				t.Errorf("path %q, want %q", got, want)
			}
			if got := published(t, s)["resource"]; got != identifier {
				t.Errorf("resource %q", got)
			}
			_, err := s.Check(get("", ""))
			_, link, _ := strings.Cut(challenges(expect(t, err, refusal{401, "", "credentials_missing"}))[0], `resource_metadata="`)
			u, err := url.Parse(strings.TrimSuffix(link, `"`))
			if err != nil || u.Path != want || u.RawQuery != query || u.ForceQuery || !strings.HasPrefix(identifier, u.Scheme+"://"+u.Host) {
				t.Errorf("the challenge leads to %q, %v", link, err)
			}
		})
	}
}

func originOf(t *testing.T, identifier string) string {
	u, err := url.Parse(identifier)
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}

// RS-154, RS-105: each challenge has the link, behind its other parameters; without metadata none has.
func TestChallengesLeadToMetadata(t *testing.T) {
	const link = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`
	s := newGuard(t, func(s *setup) { s.Resources, s.Certificates = resource(), mtls.FromTLS })
	for name, r := range map[string]*http.Request{
		"no credentials": get("", ""),
		"a bad token":    get("Bearer x", ""),
		"malformed":      get("DPoP", ""),
	} {
		_, err := s.Check(r)
		got := challenges(err.(*access.Error))
		if len(got) != 2 || !strings.HasPrefix(got[0], "DPoP ") || !strings.HasPrefix(got[1], "Bearer ") {
			t.Errorf("%s: challenges %q", name, got)
		}
		for _, c := range got {
			if !strings.HasSuffix(c, link) || strings.Count(c, "resource_metadata") != 1 {
				t.Errorf("%s: challenge %q", name, c)
			}
		}
	}
	r := owner(bound())
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	e := expect(t, s.Allow(r, grant, access.Requirement{Scopes: []string{"x"}}), refusal{403, "insufficient_scope", "scope_missing"})
	if got := challenges(e)[0]; !strings.HasSuffix(got, `scope="x", `+algs+", "+link) {
		t.Errorf("challenge %q", got)
	}
	_, err = newGuard(t).Check(get("", ""))
	if got := challenges(err.(*access.Error)); strings.Contains(strings.Join(got, ""), "resource_metadata") {
		t.Errorf("without metadata: %q", got)
	}
}

// RS-156, RS-157, RS-159, RS-160: what is said is what the settings do, and what has no value is not said.
func TestMetadataTellsTheTruth(t *testing.T) {
	const dpopAlgs, dpopRequired = "dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required"
	const certificates = "tls_client_certificate_bound_access_tokens"
	cert := poptest.SelfSigned(t, "client")
	for name, test := range map[string]struct {
		change func(*setup)
		says   []string // beside what is always said
	}{
		"DPoP alone":        {func(*setup) {}, []string{dpopAlgs, dpopRequired}},
		"DPoP and bearer":   {func(s *setup) { s.InsecureAllowBearer = true }, []string{dpopAlgs}},
		"DPoP or mTLS":      {func(s *setup) { s.Certificates = mtls.FromTLS }, []string{dpopAlgs, certificates}},
		"mTLS alone":        {func(s *setup) { s.WithoutDPoP, s.Certificates = true, mtls.FromTLS }, []string{certificates}},
		"another validator": {func(s *setup) { s.Issuers, s.Tokens = nil, access.ValidatorFunc(newGuard(t).ValidateToken) }, []string{dpopAlgs, dpopRequired, "-authorization_servers"}},
		"all texts": {func(s *setup) {
			s.Resources = []access.Resource{{URL: poptest.Audience, Scopes: []string{"read", "write"}, Name: "Konten ü", Documentation: "https://example.com/doc"}}
		}, []string{dpopAlgs, dpopRequired, "scopes_supported", "resource_name", "resource_documentation"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				s.Resources = resource()
				test.change(s)
			})
			got := published(t, s)
			want := append([]string{"resource", "authorization_servers", "bearer_methods_supported"}, test.says...)
			if slices.Contains(want, "-authorization_servers") {
				want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "authorization_servers") })
			}
			for member, value := range got {
				if !slices.Contains(want, member) || value == nil || value == false || value == "" {
					t.Errorf("it says %s: %v", member, value)
				}
			}
			if len(got) != len(want) {
				t.Errorf("it says %v, want %v", got, want)
			}

			// Probes of the same guard.
			_, unbound := s.Check(get("Bearer "+poptest.Token{}.String(), ""))
			_, byCertificate := s.Check(with(get("Bearer "+poptest.Token{X5T: poptest.X5T(cert.Leaf)}.String(), ""), cert))
			_, byKey := s.Check(owner(bound()))
			if (got[dpopRequired] == true) != (unbound != nil && byCertificate != nil && byKey == nil) {
				t.Errorf("unbound: %v; bound to a certificate: %v; to a key: %v", unbound, byCertificate, byKey)
			}
			if (got[certificates] == true) != (byCertificate == nil) || (got[dpopAlgs] != nil) != (byKey == nil) {
				t.Errorf("bound to a certificate: %v; to a key: %v", byCertificate, byKey)
			}
		})
	}
}

// RS-028, RS-155: each listed algorithm is accepted, and no other; none is symmetric.
func TestMetadataListsTheAlgorithms(t *testing.T) {
	for name, algorithms := range map[string][]string{"all": nil, "FAPI 2": dpop.FAPI2Algorithms, "one": {"ES384"}} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) { s.Resources, s.Algorithms = resource(), algorithms })
			var listed []string
			for _, alg := range published(t, s)["dpop_signing_alg_values_supported"].([]any) {
				listed = append(listed, alg.(string))
			}
			for _, alg := range append(dpop.Algorithms(), "HS256", "none") {
				key := poptest.Keyed("ES256", "client")
				header := map[string]any{"alg": alg}
				if slices.Contains(dpop.Algorithms(), alg) {
					key, header = poptest.Keyed(alg, "client"), nil
				}
				token := poptest.Token{JKT: key.Thumbprint()}.String()
				_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, Key: key, Header: header}.String()))
				if slices.Contains(listed, alg) {
					if err != nil {
						t.Errorf("%s is listed: %v", alg, err)
					}
				} else {
					expect(t, err, refusal{401, "invalid_dpop_proof", reason.Of(err)})
					if !strings.HasPrefix(reason.Of(err), "alg") {
						t.Errorf("%s is refused as %s", alg, reason.Of(err))
					}
				}
			}
		})
	}
}

// RS-158: the header is listed, and tokens in the query and the body are not accepted.
func TestMetadataListsTheHeaderAlone(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Resources = resource() })
	if got := published(t, s)["bearer_methods_supported"].([]any); len(got) != 1 || got[0] != "header" {
		t.Errorf("methods %v", got)
	}
	token := bound()
	query := httptest.NewRequest("GET", poptest.URL+"?access_token="+token, nil)
	body := httptest.NewRequest("POST", poptest.URL, strings.NewReader("access_token="+token))
	body.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, r := range map[string]*http.Request{"query": query, "body": body} {
		if _, err := s.Check(r); err == nil {
			t.Errorf("a token in the %s was accepted", name)
		}
	}
}

// The scopes that routes require, in order and once, unless the settings say others.
func TestMetadataListsTheScopes(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Resources = resource() })
	said := newGuard(t, func(s *setup) { s.Resources = resource(func(r *access.Resource) { r.Scopes = []string{"z"} }) })
	if got := published(t, s)["scopes_supported"]; got != nil {
		t.Errorf("without routes: %v", got)
	}
	for _, g := range []*setup{s, said} {
		for _, d := range []access.Requirement{{Scopes: []string{"d", "b"}}, {AnyScope: []string{"c", "a"}}, {Scopes: []string{"a"}, AnyScope: []string{"d"}}} {
			if _, err := g.Guard.Route(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := fmt.Sprint(published(t, s)["scopes_supported"]); got != "[a b c d]" {
		t.Errorf("scopes %s", got)
	}
	if got := fmt.Sprint(published(t, said)["scopes_supported"]); got != "[z]" {
		t.Errorf("scopes %s", got)
	}
}

// Where no token counts any more, nothing is said of DPoP that does not hold.
func TestMetadataWithoutDPoP(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.Resources, s.WithoutDPoP = resource(), true
		s.Bearer = []access.Bearer{{Clients: []string{"client-1"}, Until: s.clock.Now().Add(time.Minute)}}
	})
	s.clock.Advance(time.Hour)
	if got := published(t, s); got["dpop_bound_access_tokens_required"] != nil || got["dpop_signing_alg_values_supported"] != nil {
		t.Errorf("it says %v", got)
	}
}

// RS-161: a client that checks certificates reads it over TLS. Identifiers on http are refused below.
func TestMetadataOverTLS(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Resources = resource() })
	mux := http.NewServeMux()
	mux.Handle(s.MetadataPaths()[0], s.Metadata())
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	response, err := server.Client().Get(server.URL + s.MetadataPaths()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got access.Metadata
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || got.Resource != poptest.Audience || !slices.Equal(got.AuthorizationServers, []string{poptest.Issuer}) {
		t.Errorf("%s: %+v, %v", response.Status, got, err)
	}
	if response.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("browser code may not read it")
	}
}

func TestMetadataMethods(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Resources = resource() })
	var none *access.Metadata
	for _, test := range []struct {
		m      *access.Metadata
		method string
		status int
	}{
		{s.Metadata(), "GET", 200}, {s.Metadata(), "HEAD", 200}, {s.Metadata(), "POST", 405}, {none, "GET", 404},
		{newGuard(t).Metadata(), "GET", 404},
		{&access.Metadata{Name: "\xff"}, "GET", 500},
	} {
		w := httptest.NewRecorder()
		test.m.ServeHTTP(w, httptest.NewRequest(test.method, "/", nil))
		if w.Code != test.status || (w.Code == 405) != (w.Header().Get("Allow") == "GET, HEAD") {
			t.Errorf("%s: %d %v, want %d", test.method, w.Code, w.Header(), test.status)
		}
	}
	if paths := newGuard(t).MetadataPaths(); paths != nil {
		t.Errorf("paths without metadata: %q", paths)
	}
}

// Each resource has metadata of its own, and a challenge points to that of the resource that was asked for.
func TestSeveralResources(t *testing.T) {
	const wellKnown, query = "/.well-known/oauth-protected-resource", "?tenant=a&x=1"
	for name, without := range map[string]bool{"DPoP": false, "certificates alone": true} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				s.Origins = []string{"https://api.example.com", "https://other.example.com", "https://api.example.com:8443"}
				s.Certificates = mtls.FromTLS
				if without {
					s.WithoutDPoP, s.Origins = true, nil
				}
				for _, identifier := range []string{
					"https://api.example.com", "https://api.example.com/v1", "https://API.example.com:443/v1/x/", "https://other.example.com/v1",
					"https://api.example.com/v1" + query, "https://api.example.com/v1?tenant=a", "https://api.example.com:8443/v1",
				} {
					s.Resources = append(s.Resources, access.Resource{URL: identifier, Name: identifier})
				}
			})
			paths := []string{wellKnown, wellKnown + "/v1", wellKnown + "/v1/x/"}
			if got := s.MetadataPaths(); !slices.Equal(got, paths) {
				t.Errorf("paths %q, want %q", got, paths)
			}
			for asked, test := range map[string]struct{ metadata, resource string }{
				"https://api.example.com/":                  {"https://api.example.com" + wellKnown, "https://api.example.com"},
				"https://api.example.com/v":                 {"https://api.example.com" + wellKnown, "https://api.example.com"},
				"https://api.example.com/v11":               {"https://api.example.com" + wellKnown, "https://api.example.com"},
				"https://api.example.com/v1":                {"https://api.example.com" + wellKnown + "/v1", "https://api.example.com/v1"},
				"https://api.example.com/v1/":               {"https://api.example.com" + wellKnown + "/v1", "https://api.example.com/v1"},
				"https://api.example.com/v1/y?tenant=b":     {"https://api.example.com" + wellKnown + "/v1", "https://api.example.com/v1"},
				"https://api.example.com/v1/y?tenant=ab":    {"https://api.example.com" + wellKnown + "/v1", "https://api.example.com/v1"},
				"https://api.example.com/v1/x":              {"https://API.example.com:443" + wellKnown + "/v1/x/", "https://API.example.com:443/v1/x/"},
				"https://api.example.com/v1/x/y?tenant=a":   {"https://API.example.com:443" + wellKnown + "/v1/x/", "https://API.example.com:443/v1/x/"},
				"https://api.example.com/v1/y?z&tenant=a":   {"https://api.example.com" + wellKnown + "/v1?tenant=a", "https://api.example.com/v1?tenant=a"},
				"https://api.example.com/v1/y?x=1&tenant=a": {"https://api.example.com" + wellKnown + "/v1" + query, "https://api.example.com/v1" + query},
				"https://other.example.com/v1":              {"https://other.example.com" + wellKnown + "/v1", "https://other.example.com/v1"},
				"https://api.example.com:8443/v1":           {"https://api.example.com:8443" + wellKnown + "/v1", "https://api.example.com:8443/v1"},
				"https://other.example.com/v2":              {"https://api.example.com" + wellKnown, "https://api.example.com"}, // none covers it: the first
				"https://stranger.example.com/v1":           {"https://api.example.com" + wellKnown, "https://api.example.com"},
			} {
				r := httptest.NewRequest("GET", asked, nil)
				r.Header.Set("Authorization", "Bearer x")
				_, err := s.Check(r)
				for _, challenge := range challenges(err.(*access.Error)) {
					if !strings.Contains(challenge, `resource_metadata="`+test.metadata+`"`) || strings.Count(challenge, "resource_metadata") != 1 {
						t.Errorf("%s: challenge %q", asked, challenge)
					}
				}
				// Behind the pointer is the identifier from which it was made, for a Guard in front of everything too.
				for _, h := range []http.Handler{s.MetadataHandler(), s.Handler(http.NotFoundHandler())} {
					var got access.Metadata
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", strings.Replace(test.metadata, "API.example.com:443", "api.example.com", 1), nil))
					if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Resource != test.resource || got.Name != test.resource {
						t.Errorf("%s: got %d %s", test.metadata, w.Code, w.Body)
					}
				}
			}
			if without { // a Guard without origins takes the scheme from the connection
				_, err := s.Check(httptest.NewRequest("GET", "http://other.example.com/v1", nil))
				if got := challenges(err.(*access.Error))[0]; !strings.Contains(got, `resource_metadata="https://api.example.com`+wellKnown+`"`) {
					t.Errorf("over http: challenge %q", got)
				}
			}
			for _, nowhere := range []string{
				"https://api.example.com" + wellKnown + "/v2", "https://api.example.com" + wellKnown + "/v1?tenant=b", "https://other.example.com" + wellKnown,
				"https://api.example.com" + wellKnown + "?tenant=a", "https://stranger.example.com" + wellKnown + "/v1",
			} {
				w := httptest.NewRecorder()
				s.MetadataHandler().ServeHTTP(w, httptest.NewRequest("GET", nowhere, nil))
				if w.Code != 404 {
					t.Errorf("%s: %d %s", nowhere, w.Code, w.Body)
				}
			}
		})
	}
}

// A refusal by a route, and one that an application's own answer makes, point there too.
func TestRefusalsPointToTheirResource(t *testing.T) {
	const link = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/accounts"`
	s := newGuard(t, func(s *setup) {
		s.Resources = []access.Resource{{URL: poptest.Audience}, {URL: poptest.Audience + "/accounts"}}
	})
	token := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}.String()
	at := poptest.Audience + "/accounts/1"
	owned := func() *http.Request {
		r := httptest.NewRequest("GET", at, nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", poptest.Proof{Token: token, URL: at}.String())
		return r
	}
	w := httptest.NewRecorder()
	s.Handler(http.NotFoundHandler(), access.Requirement{Scopes: []string{"x"}}).ServeHTTP(w, owned())
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 403 || !strings.Contains(got, link) {
		t.Errorf("a route: %d %q", w.Code, got)
	}
	r := owned()
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := challenges(s.Allow(r, grant, access.Requirement{Scopes: []string{"x"}}).(*access.Error)); !strings.Contains(got[0], link) {
		t.Errorf("Allow: %q", got)
	}
}

// A refusal of another Guard that a policy hands on, to any number of requests, is not written to.
func TestRefusalOfAnotherGuardStays(t *testing.T) {
	_, err := newGuard(t, func(s *setup) { s.Resources = resource() }).Check(get("DPoP "+bound(), ""))
	theirs := err.(*access.Error)
	before := challenges(theirs)
	s := newGuard(t, func(s *setup) {
		s.Resources = []access.Resource{{URL: poptest.Audience + "/accounts"}, {URL: poptest.Audience + "/orders"}}
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return theirs }}
	})
	if _, err := s.Check(owner(bound())); !strings.Contains(challenges(err.(*access.Error))[0], "/accounts") {
		t.Errorf("the answer is %v", err)
	}
	if after := challenges(theirs); !slices.Equal(after, before) {
		t.Errorf("its challenges were %q and are %q", before, after)
	}
}

// Behind a proxy the resource is the one that the client asked for.
func TestResourceBehindAProxy(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.Origins = []string{"https://api.example.com", "https://other.example.com"}
		s.Resources = []access.Resource{{URL: "https://api.example.com"}, {URL: "https://other.example.com"}}
		s.ForwardedBy.Addresses = []string{"192.0.2.1"}
	})
	r := httptest.NewRequest("GET", "http://internal/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "other.example.com")
	_, err := s.Check(r)
	const link = `resource_metadata="https://other.example.com/.well-known/oauth-protected-resource"`
	if got := challenges(err.(*access.Error)); !strings.Contains(got[0], link) {
		t.Errorf("challenge %q", got)
	}
}

func TestSeveralResourceSettings(t *testing.T) {
	both := []access.Resource{{URL: poptest.Audience}, {URL: poptest.Audience + "/v1"}}
	for name, test := range map[string]struct {
		change func(*access.Config)
		want   string
	}{
		"one twice":       {func(c *access.Config) { c.Resources = append(both, both[1]) }, `Resources[2].URL is "https://api.example.com/…", whose metadata is found where`},
		"but for a slash": {func(c *access.Config) { c.Resources = append(both, access.Resource{URL: poptest.Audience + "/"}) }, "Resources[2].URL is"},
		"a wrong one":     {func(c *access.Config) { c.Resources = append(both, access.Resource{URL: "http://api.example.com"}) }, "Resources[2].URL is"},
		"of another host": {func(c *access.Config) { c.Resources = append(both, access.Resource{URL: "https://b.example.com"}) }, `Resources[2].URL is "https://b.example.com", which is under none`},
		"a wrong scope": {func(c *access.Config) {
			c.Resources = []access.Resource{{URL: poptest.Audience, Scopes: []string{"a b"}}}
		}, `Resources[0].Scopes has "a b"`},
	} {
		c := config()
		test.change(&c)
		if _, err := access.New(c); err == nil || !strings.HasPrefix(err.Error(), "access.Config: "+test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestResourceSettings(t *testing.T) {
	for name, test := range map[string]struct {
		resource access.Resource
		want     string
	}{
		"no URL":            {access.Resource{}, `Resources[0].URL is ""`},
		"RS-152 on http":    {access.Resource{URL: "http://api.example.com"}, "Resources[0].URL is"},
		"RS-152 a fragment": {access.Resource{URL: "https://api.example.com#x"}, "Resources[0].URL is"},
		"an empty fragment": {access.Resource{URL: "https://api.example.com#"}, "Resources[0].URL is"},
		"a strange query":   {access.Resource{URL: "https://api.example.com?x=%22"}, "Resources[0].URL is"},
		"an empty query":    {access.Resource{URL: "https://api.example.com?"}, "Resources[0].URL is"},
		"a user":            {access.Resource{URL: "https://me@api.example.com"}, "Resources[0].URL is"},
		"dot segments":      {access.Resource{URL: "https://api.example.com/a/../b"}, "Resources[0].URL is"},
		"an escaped path":   {access.Resource{URL: "https://api.example.com/a%2Fb"}, "Resources[0].URL is"},
		"a quote":           {access.Resource{URL: `https://api.example.com/"`}, "Resources[0].URL is"},
		"a pattern":         {access.Resource{URL: "https://api.example.com/{id}"}, "Resources[0].URL is"},
		"a parameter":       {access.Resource{URL: "https://api.example.com/:id"}, "Resources[0].URL is"},
		"no host":           {access.Resource{URL: "https:///v1"}, "Resources[0].URL is"},
		"another scheme":    {access.Resource{URL: "ftp://127.0.0.1"}, "Resources[0].URL is"},
		"upper case":        {access.Resource{URL: "HTTPS://api.example.com"}, "Resources[0].URL is"},
		"a broken escape":   {access.Resource{URL: "https://api.example.com/%zz"}, "Resources[0].URL is"},
		"a broken address":  {access.Resource{URL: poptest.Audience, Documentation: "https://a.example/%zz"}, `Resources[0].Documentation is "…"`},
		"two scopes in one": {access.Resource{URL: poptest.Audience, Scopes: []string{"a b"}}, `Resources[0].Scopes has "a b"`},
		"not UTF-8":         {access.Resource{URL: poptest.Audience, Name: "\xff"}, "Resources[0].Name is not UTF-8"},
		"a documentation":   {access.Resource{URL: poptest.Audience, Documentation: "/doc"}, `Resources[0].Documentation is "…"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.Resources = []access.Resource{test.resource}
			_, err := access.New(c)
			if err == nil || !strings.HasPrefix(err.Error(), "access.Config: "+test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			} else if test.want == "Resources[0].URL is" && !strings.Contains(err.Error(), "give the identifier of this API") {
				t.Errorf("it is refused for another reason: %v", err)
			}
		})
	}
}

// Wherever the metadata of the only resource is served, it is that: a proxy may have taken a prefix away.
func TestMetadataOfTheOnlyResource(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Resources = resource() })
	if w := serve(s.MetadataHandler(), httptest.NewRequest("GET", "https://inside.example/metadata", nil)); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}
