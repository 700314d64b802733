package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
)

// What a server may do otherwise than ours fails it in the strict profile at most; what is next to it fails it in both.
func TestWhatIsPermitted(t *testing.T) {
	const pass, warn, fail, skip = conformance.Pass, conformance.Warn, conformance.Fail, conformance.Skip
	challenges := func(fields ...string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(&changed{ResponseWriter: w, change: func(h http.Header, code *int) {
					if *code == http.StatusUnauthorized {
						h["Www-Authenticate"] = fields
					}
				}}, r)
			})
		}
	}
	serves := func(status int, challenge string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.RequestURI, "%C5") {
					if challenge != "" {
						w.Header().Set("WWW-Authenticate", challenge)
					}
					w.WriteHeader(status)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	// plainly refuses an htu with a query or a fragment.
	plainly := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.ContainsAny(text(parts(r.Header.Get("DPoP"), 1), "htu"), "?#") {
				w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	believesHost := func(c *access.Config) { c.Origins = append(c.Origins, "https://evil.example.net") }
	for name, test := range map[string]struct {
		d            defects
		cases        []string
		base, strict conformance.Outcome
	}{
		"as we do":                     {defects{}, []string{"challenge-dpop", "path-utf8", "host-other"}, pass, pass},
		"a challenge of Bearer alone":  {defects{handler: challenges("Bearer")}, []string{"challenge-dpop", "challenge-bad-dpop", "challenge-head"}, pass, fail},
		"a challenge of Basic alone":   {defects{handler: challenges(`Basic realm="x"`)}, []string{"challenge-dpop", "challenge-bad-dpop", "challenge-head"}, fail, fail},
		"no challenge":                 {defects{handler: challenges()}, []string{"challenge-dpop", "challenge-bad-dpop", "challenge-head"}, fail, fail},
		"such a path is not there":     {defects{handler: serves(404, "")}, []string{"path-utf8"}, skip, fail},
		"such a path is malformed":     {defects{handler: serves(400, "")}, []string{"path-utf8"}, skip, fail},
		"such a path matches no proof": {defects{handler: serves(401, `DPoP error="invalid_dpop_proof"`)}, []string{"path-utf8"}, fail, fail},
		"nor with another status":      {defects{handler: serves(400, `DPoP error="invalid_dpop_proof"`)}, []string{"path-utf8"}, fail, fail},
		"no query and no fragment in htu": {defects{handler: plainly}, []string{
			"htu-ok-query", "htu-ok-fragment", "htu-ok-both", "htu-ok-empty-query", "htu-ok-empty-fragment", "htu-ok-query-slash", "query-other",
		}, warn, fail},
		"the query of the request": {defects{handler: plainly}, []string{"query", "query-url", "query-empty"}, pass, pass},
		"any Host over http":       {defects{config: believesHost}, []string{"host-other"}, warn, fail},
		"any Host over https":      {defects{config: believesHost}, []string{"mtls-host-other"}, fail, fail},
	} {
		t.Run(name, func(t *testing.T) {
			for profile, want := range map[conformance.Profile]conformance.Outcome{conformance.Base: test.base, conformance.Strict: test.strict} {
				s := newSubject(t, newIssuer(t), test.d)
				o := s.options()
				o.Profile, o.Only = profile, test.cases
				report, err := conformance.Run(t.Context(), s, o)
				if err != nil {
					t.Fatal(err)
				}
				asked := 0
				for _, result := range report.Results {
					if asked++; result.Outcome != want {
						t.Errorf("%s, %s: %s %q %q, want %s", profile, result.ID, result.Outcome, result.Problems, result.Why, want)
					}
				}
				if asked < len(test.cases) {
					t.Errorf("%s: %d cases", profile, asked)
				}
			}
		})
	}
}
