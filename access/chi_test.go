package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/senderlock/senderlock/access"
)

// demanding makes a Handler the middleware of a router.
func demanding(s *site, demands ...access.Requirement) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return s.Handler(next, demands...) }
}

// chiRoute is for Config.Route.
func chiRoute(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }

// The Handler of a group, of a sub-router and of a route of chi judge a request once, and the decision bears the pattern
// as far as it was matched when it was made.
func TestChi(t *testing.T) {
	s := newSite(t, func(s *setup) { s.Config.Route = chiRoute })
	api := chi.NewRouter()
	api.Get("/open", s.ServeHTTP)
	api.Group(func(group chi.Router) {
		group.Use(demanding(s, access.Requirement{Binding: access.BindingDPoP}))
		group.Get("/alone", s.ServeHTTP)
		group.Route("/accounts", func(accounts chi.Router) {
			accounts.Use(demanding(s))
			accounts.With(demanding(s, scope("accounts:read"))).Get("/{id}", s.ServeHTTP)
			accounts.With(demanding(s, scope("accounts:write"))).Post("/{id}", s.ServeHTTP)
		})
	})

	for name, test := range map[string]struct {
		method, path  string
		status        int
		reason, route string
	}{
		"a route of the group":         {"GET", "/alone", 200, "", "/alone"},
		"a route of the sub-router":    {"GET", "/accounts/7", 200, "", "/accounts/{id}"},
		"what the route demands":       {"POST", "/accounts/7", 403, "scope_missing", "/accounts/{id}"},
		"a path that is none, to them": {"GET", "/accounts/7/8", 404, "", "/accounts/*"},
	} {
		t.Run(name, func(t *testing.T) {
			r := prove(asRead(test.method, test.path), test.method, test.path)
			w := serve(api, r)
			if test.status == 404 { // accepted, and not found: the handler does not run
				s.ran++
			}
			if d := s.decided(t, test.reason); d.Route != test.route {
				t.Errorf("route %q, want %q", d.Route, test.route)
			}
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if test.status != 200 {
				return
			}
			if s.grant == nil || s.grant.Subject != "user-1" {
				t.Errorf("grant %+v", s.grant)
			}
			s.refuses(t, api, r, 401, "proof_replayed")
		})
	}
	if w := serve(api, asRead("GET", "/open")); w.Code != 200 || s.grant != nil || len(s.heard) != 0 {
		t.Errorf("outside of the group: status %d, grant %+v, decisions %v", w.Code, s.grant, s.heard)
	}
	s.ran = 0
	s.refuses(t, api, asRead("GET", "/accounts/7"), 401, "credentials_missing")
}

// What chi's middleware makes of a path is between it and the router: a proof speaks of the target that came.
func TestChiRewriting(t *testing.T) {
	rewritten := middleware.PathRewrite("/old/", "/accounts/")
	stripped := middleware.StripPrefix("/v1")
	for name, test := range map[string]struct {
		outside, inside func(http.Handler) http.Handler // of the router; nil: none
		method, target  string
		htm, htu        string
		reason          string // with Capture
		without         string
	}{
		"nothing":                            {nil, nil, "GET", "/accounts/7", "GET", "/accounts/7", "", ""},
		"StripSlashes":                       {nil, middleware.StripSlashes, "GET", "/accounts/7/", "GET", "/accounts/7/", "", ""},
		"StripSlashes, proved so":            {nil, middleware.StripSlashes, "GET", "/accounts/7/", "GET", "/accounts/7", "htu_mismatch", "htu_mismatch"},
		"StripSlashes in front":              {middleware.StripSlashes, nil, "GET", "/accounts/7/", "GET", "/accounts/7/", "", "target_rewritten"},
		"StripSlashes in front, proved so":   {middleware.StripSlashes, nil, "GET", "/accounts/7/", "GET", "/accounts/7", "htu_mismatch", "target_rewritten"},
		"CleanPath":                          {nil, middleware.CleanPath, "GET", "//accounts//7", "GET", "//accounts//7", "", ""},
		"CleanPath, proved so":               {nil, middleware.CleanPath, "GET", "//accounts//7", "GET", "/accounts/7", "htu_mismatch", "htu_mismatch"},
		"CleanPath of an encoded slash":      {nil, middleware.CleanPath, "GET", "//accounts/7%2F8", "GET", "//accounts/7%2F8", "", ""},
		"CleanPath of dots":                  {nil, middleware.CleanPath, "GET", "/x/../accounts/7", "GET", "/x/../accounts/7", "htu_mismatch", "htu_mismatch"},
		"CleanPath of dots, proved so":       {nil, middleware.CleanPath, "GET", "/x/../accounts/7", "GET", "/accounts/7", "htu_mismatch", "htu_mismatch"},
		"GetHead":                            {nil, middleware.GetHead, "HEAD", "/accounts/7", "HEAD", "/accounts/7", "", ""},
		"GetHead, proved for GET":            {nil, middleware.GetHead, "HEAD", "/accounts/7", "GET", "/accounts/7", "htm_mismatch", "htm_mismatch"},
		"PathRewrite in front":               {rewritten, nil, "GET", "/old/7", "GET", "/old/7", "", "target_rewritten"},
		"PathRewrite in front, proved so":    {rewritten, nil, "GET", "/old/7", "GET", "/accounts/7", "htu_mismatch", "target_rewritten"},
		"StripPrefix in front":               {stripped, nil, "GET", "/v1/accounts/7", "GET", "/v1/accounts/7", "", ""},
		"StripPrefix in front, proved so":    {stripped, nil, "GET", "/v1/accounts/7", "GET", "/accounts/7", "htu_mismatch", "htu_mismatch"},
		"URLFormat":                          {nil, middleware.URLFormat, "GET", "/accounts/7.json", "GET", "/accounts/7.json", "", ""},
		"URLFormat, proved without the name": {nil, middleware.URLFormat, "GET", "/accounts/7.json", "GET", "/accounts/7", "htu_mismatch", "htu_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) { s.Config.Route = chiRoute })
			api := chi.NewRouter()
			if test.inside != nil {
				api.Use(test.inside)
			}
			api.With(demanding(s)).Get("/accounts/{id}", s.ServeHTTP)
			var server http.Handler = api
			if test.outside != nil {
				server = test.outside(server)
			}
			for kind, way := range map[string]struct {
				server http.Handler
				reason string
			}{"with Capture": {access.Capture(server), test.reason}, "without": {server, test.without}} {
				t.Run(kind, func(t *testing.T) {
					r := prove(asRead(test.method, test.target), test.htm, test.htu)
					w := serve(way.server, r)
					d := s.decided(t, way.reason)
					if d.Route != "/accounts/{id}" {
						t.Errorf("route %q", d.Route)
					}
					want := map[string]int{"": 200, "target_rewritten": 400}[way.reason]
					if strings.HasSuffix(way.reason, "_mismatch") {
						want = 401
					}
					if w.Code != want {
						t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
					}
				})
			}
		})
	}
}
