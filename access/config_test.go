package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// What cannot be meant is refused when a Guard is made. The error names the field and what to put there.
func TestConfigErrors(t *testing.T) {
	store := newShared(t, poptest.NewClock())
	for name, test := range map[string]struct {
		change func(*access.Config)
		want   string
	}{
		"no origins":         {func(c *access.Config) { c.Origins = nil }, "Origins is empty"},
		"origin and Host":    {func(c *access.Config) { c.InsecureTrustHost = true }, "Origins and InsecureTrustHost"},
		"an origin's scheme": {func(c *access.Config) { c.Origins = []string{"api.example.com"} }, "Origins[0] is"},
		"an origin's query":  {func(c *access.Config) { c.Origins = []string{poptest.Audience, "https://api.example.com?a"} }, "Origins[1] is"},
		"a proxy":            {func(c *access.Config) { c.ForwardedBy.Addresses = []string{"10.0.0"} }, `ForwardedBy.Addresses[0] is "10.0.0"`},
		"everybody a proxy":  {func(c *access.Config) { c.ForwardedBy.Addresses = []string{"0.0.0.0/0"} }, `ForwardedBy.Addresses[0] is "0.0.0.0/0"`},
		"a mapped proxy": {func(c *access.Config) { c.ForwardedBy.Addresses = []string{"10.0.0.0/8", "::ffff:10.0.0.0/104"} },
			`ForwardedBy.Addresses[1] is "::ffff:10.0.0.0/104"`},
		"Replay never made":  {func(c *access.Config) { c.Replay = (*dpop.Memory)(nil) }, "Replay holds a nil *dpop.Memory"},
		"Tokens never made":  {func(c *access.Config) { c.Tokens = (*access.Introspection)(nil) }, "Tokens holds a nil"},
		"no issuers":         {func(c *access.Config) { c.Issuers = nil }, "Issuers is empty"},
		"an issuer":          {func(c *access.Config) { c.Issuers[0].Audience = "" }, "Issuers[0].Audience is empty"},
		"MaxAge":             {func(c *access.Config) { c.MaxAge = time.Hour }, "MaxAge is 1h0m0s"},
		"Skew":               {func(c *access.Config) { c.Skew = -1 }, "Skew is -1ns"},
		"Leeway":             {func(c *access.Config) { c.Leeway = time.Hour }, "Leeway is 1h0m0s"},
		"MaxTokenLifetime":   {func(c *access.Config) { c.MaxTokenLifetime = -1 }, "MaxTokenLifetime is -1ns"},
		"Algorithms":         {func(c *access.Config) { c.Algorithms = []string{"none"} }, `Algorithms has "none"`},
		"a short secret":     {func(c *access.Config) { c.Nonces.Secrets = [][]byte{make([]byte, 31)} }, "Nonces.Secrets[0] has 31 octets"},
		"a nonce period":     {func(c *access.Config) { c.Nonces.Period = time.Millisecond }, "Nonces.Period is 1ms"},
		"a resource":         {func(c *access.Config) { c.Resources = make([]access.Resource, 1) }, `Resources[0].URL is ""`},
		"another's resource": {func(c *access.Config) { c.Resources = []access.Resource{{URL: "https://b.example.com"}} }, "which is under none of the Origins"},
		"no register":        {func(c *access.Config) { c.OnlyRegistered = true }, "Register is nil"},
		"MaxAge too long":    {func(c *access.Config) { c.MaxAge = 11 * time.Minute }, "MaxAge is 11m0s"},
		"no unit":            {func(c *access.Config) { c.Leeway = 15 }, "Leeway is 15ns"},
		"lifetime of years":  {func(c *access.Config) { c.MaxTokenLifetime = 20000 * time.Hour }, "MaxTokenLifetime is 20000h0m0s"},
		"MaxTokenSize":       {func(c *access.Config) { c.MaxTokenSize = 10 }, "MaxTokenSize is 10"},
		"RefusalWait":        {func(c *access.Config) { c.RefusalWait = 100 }, "RefusalWait is 100ns"},
		"a minute of it":     {func(c *access.Config) { c.RefusalWait = time.Minute }, "RefusalWait is 1m0s"},
		"no way of binding":  {func(c *access.Config) { c.WithoutDPoP = true }, "WithoutDPoP is set and Certificates is nil"},
		"never opened":       {func(c *access.Config) { c.Revocation = (*revocation.File)(nil) }, "Revocation holds a nil *revocation.File"},
		"Register":           {func(c *access.Config) { c.Register = (*revocation.Memory)(nil) }, "Register holds a nil *revocation.Memory"},
		"Shared never made":  {func(c *access.Config) { c.Shared = (*shared)(nil) }, "Shared holds a nil"},
		"Shared and Replay":  {func(c *access.Config) { c.Shared, c.Replay = store, store }, "Shared is set beside Replay or Revocation"},
		"Shared and another": {func(c *access.Config) { c.Shared, c.Revocation = store, store }, "Shared is set beside Replay or Revocation"},
		"LogSubject":         {func(c *access.Config) { c.LogSubject = access.SubjectDropped + 1 }, "LogSubject is 3:"},
		"Wrap":               {func(c *access.Config) { c.Wrap = func(access.Validator) access.Validator { return nil } }, "Wrap returns nil"},
		"an issuer, and Wrap": {func(c *access.Config) {
			c.Issuers[0].Audience, c.Wrap = "", func(v access.Validator) access.Validator { return access.ValidatorFunc(v.ValidateToken) }
		}, "Issuers[0].Audience is empty"},
		"KnownKeys":        {func(c *access.Config) { c.KnownKeys = 1 }, "KnownKeys is 1:"},
		"KnownTokens":      {func(c *access.Config) { c.KnownTokens = 999 }, "KnownTokens is 999:"},
		"precomputed keys": {func(c *access.Config) { c.PrecomputedKeys = -1 }, "PrecomputedKeys is -1:"},
		"issuers' keys":    {func(c *access.Config) { c.PrecomputedIssuerKeys = -1 }, "PrecomputedIssuerKeys is -1:"},
		"too many of them": {func(c *access.Config) { c.PrecomputedIssuerKeys = 65 }, "PrecomputedIssuerKeys is 65:"},
		"never rechecked":  {func(c *access.Config) { c.PrecomputedRecheck = -1 }, "PrecomputedRecheck is -1:"},
		"a policy":         {func(c *access.Config) { c.Policies = []access.Policy{nil} }, "Policies[0] is nil"},
		"bearer for all":   {func(c *access.Config) { c.Bearer = []access.Bearer{{Until: poptest.Now}} }, "Bearer[0] has no criterion"},
		"bearer for ever":  {func(c *access.Config) { c.Bearer = []access.Bearer{{Clients: []string{"a"}}} }, "Bearer[0].Until is zero"},
		"bearer, an unknown route": {func(c *access.Config) {
			c.Bearer = []access.Bearer{{Clients: []string{"a"}, Until: poptest.Now}, {Routes: []string{""}, Until: poptest.Now}}
		}, "Bearer[1].Routes has an empty element"},
		"bearer, no client": {func(c *access.Config) { c.Bearer = []access.Bearer{{Clients: []string{""}, Until: poptest.Now}} },
			"Bearer[0].Clients has an empty element"},
		"bearer that lives for years": {func(c *access.Config) {
			c.Bearer = []access.Bearer{{Clients: []string{"a"}, Until: poptest.Now, MaxTokenLifetime: 20000 * time.Hour}}
		}, "Bearer[0].MaxTokenLifetime is 20000h0m0s"},
		"bearer for all beside a list": {func(c *access.Config) {
			c.InsecureAllowBearer, c.Bearer = true, []access.Bearer{{Clients: []string{"a"}, Until: poptest.Now}}
		}, "InsecureAllowBearer is set beside Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			test.change(&c)
			guard, err := access.New(c)
			if err == nil || guard != nil || !strings.HasPrefix(err.Error(), "access.Config: ") || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "dpop.Config") {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// With settings that are not set the system's clock counts, the log is the default one, and a request is named by its field.
func TestSettingsThatAreNotSet(t *testing.T) {
	var heard access.Decision
	s, err := access.New(access.Config{
		Origins: []string{poptest.Audience}, Issuers: []access.Issuer{staticIssuer()}, InsecureForgetAtStart: true,
		Observer: access.Observer{Decided: func(_ context.Context, d access.Decision) { heard = d }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	token := bound(func(p *poptest.Token) { p.IssuedAt = time.Now() })
	r := get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: time.Now()}.String())
	r.Header.Set("X-Request-Id", "r-1")
	if _, err := s.Check(r); err != nil || heard.RequestID != "r-1" || heard.Address != "192.0.2.1" {
		t.Errorf("%v, %+v", err, heard)
	}
}

// A store of revocations forgets no token before its leeway is over.
func TestRetentionCoversTheLeeway(t *testing.T) {
	store, err := revocation.NewMemory(revocation.Options{Retention: revocation.Retention{Lifetime: time.Hour, Leeway: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for leeway, fine := range map[time.Duration]bool{10 * time.Second: true, 10*time.Second + time.Millisecond: false} {
		c := config()
		c.Revocation, c.Leeway = store, leeway
		s, err := access.New(c)
		if fine != (err == nil) || err != nil && !strings.Contains(err.Error(), "raise its Retention") {
			t.Errorf("%v: %v", leeway, err)
		}
		if s != nil {
			_ = s.Close()
		}
	}
}

// Lists in the settings are the Guard's own: whoever goes on with one for another Guard changes nothing here.
func TestListsAreCopied(t *testing.T) {
	refuse := func(*http.Request, *access.Grant) error { return access.ErrAccount }
	accept := func(*http.Request, *access.Grant) error { return nil }
	reported := func(list *[]string, q func([]string) access.Requirement) func(*setup) {
		return func(s *setup) {
			*list = []string{"more"}
			s.ReportOnly = &access.ReportOnly{Requirement: q(*list)}
		}
	}
	of := func(s *setup, change func(*access.Issuer)) {
		s.Issuers = slices.Clone(s.Issuers)
		change(&s.Issuers[0])
	}
	var bearer []access.Bearer
	var policies []access.Policy
	var issuers []access.Issuer
	var scopeClaims []access.ScopeClaim
	var list []string
	bearers := func(s *setup, b access.Bearer) { b.Until = poptest.Now.Add(time.Hour); s.Bearer = []access.Bearer{b} }
	for name, test := range map[string]struct {
		set    func(*setup)
		change func()
		want   string // the reason why the request is refused, or would be
	}{
		"entries of Bearer": {func(s *setup) { bearers(s, access.Bearer{Clients: []string{"client-1"}}); bearer = s.Bearer },
			func() { bearer[0].Until = poptest.Now }, ""},
		"clients":  {func(s *setup) { list = []string{"client-1"}; bearers(s, access.Bearer{Clients: list}) }, func() { list[0] = "x" }, ""},
		"issuers":  {func(s *setup) { list = []string{poptest.Issuer}; bearers(s, access.Bearer{Issuers: list}) }, func() { list[0] = "x" }, ""},
		"scopes":   {func(s *setup) { list = []string{"accounts:read"}; bearers(s, access.Bearer{Scopes: list}) }, func() { list[0] = "x" }, ""},
		"routes":   {func(s *setup) { list = []string{"GET /accounts"}; bearers(s, access.Bearer{Routes: list}) }, func() { list[0] = "x" }, ""},
		"Policies": {func(s *setup) { policies = []access.Policy{refuse}; s.Policies = policies }, func() { policies[0] = accept }, "account_not_active"},
		"Issuers":  {func(s *setup) { of(s, func(*access.Issuer) {}); issuers = s.Issuers }, func() { issuers[0] = access.Issuer{} }, ""},
		"audiences": {func(s *setup) {
			list = []string{poptest.Audience}
			of(s, func(i *access.Issuer) { i.Audience, i.MoreAudiences = "x", list })
		}, func() { list[0] = "x" }, ""},
		"algorithms": {func(s *setup) { list = []string{"ES256"}; of(s, func(i *access.Issuer) { i.Algorithms = list }) }, func() { list[0] = "x" }, ""},
		"ClientClaims": {func(s *setup) {
			list = []string{"azp"}
			of(s, func(i *access.Issuer) { i.ClientClaims = list })
			bearers(s, access.Bearer{Clients: []string{"app"}})
		}, func() { list[0] = "x" }, ""},
		"ScopeClaims": {func(s *setup) {
			scopeClaims = []access.ScopeClaim{{Name: "roles"}}
			of(s, func(i *access.Issuer) { i.ScopeClaims = scopeClaims })
			bearers(s, access.Bearer{Scopes: []string{"clerk"}})
		}, func() { scopeClaims[0].Name = "x" }, ""},
		"Scopes of ReportOnly":    {reported(&list, func(l []string) access.Requirement { return access.Requirement{Scopes: l} }), func() { list[0] = "accounts:read" }, "scope_missing"},
		"AnyScope of ReportOnly":  {reported(&list, func(l []string) access.Requirement { return access.Requirement{AnyScope: l} }), func() { list[0] = "accounts:read" }, "scope_missing"},
		"ACRValues of ReportOnly": {reported(&list, func(l []string) access.Requirement { return access.Requirement{ACRValues: l} }), func() { list[0] = "strong" }, "login_too_weak"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, takes(access.Bearer{Clients: []string{"client-1"}}), hears(&heard), func(s *setup) {
				s.Config.Route = func(*http.Request) string { return "GET /accounts" }
			}, test.set)
			test.change()
			token := poptest.Token{Claims: map[string]any{"azp": "app", "roles": []string{"clerk"}, "acr": "strong"}}.String()
			_, _ = s.Check(get("Bearer "+token, ""))
			if got := why(heard[0]); got != test.want {
				t.Errorf("%q, want %q: %v", got, test.want, heard[0].Refusal)
			}
		})
	}
}

// why is the reason for which a request was refused, or would be.
func why(d access.Decision) string {
	if d.Would != nil {
		return d.Would.Reason()
	}
	return d.Reason()
}

// So are those in the demands of routes, and in what is published.
func TestListsOfRoutesAreCopied(t *testing.T) {
	list, looks := make([]string, 1), make([]access.Policy, 1)
	for name, test := range map[string]struct {
		route func(*site) http.Handler // with list, of something that the token does not have, or with looks, which refuse
		want  string                   // the reason why the request is refused, would be, or is cut
	}{
		"Scopes":    {func(s *site) http.Handler { return s.Handler(s, access.Requirement{Scopes: list}) }, "scope_missing"},
		"AnyScope":  {func(s *site) http.Handler { return s.Handler(s, access.Requirement{AnyScope: list}) }, "scope_missing"},
		"ACRValues": {func(s *site) http.Handler { return s.Handler(s, access.Requirement{ACRValues: list}) }, "login_too_weak"},
		"a shadow":  {func(s *site) http.Handler { return s.UnprotectedShadow(s, access.Requirement{Scopes: list}) }, "scope_missing"},
		"a stream":  {func(s *site) http.Handler { return s.Stream(s, access.Stream{Policies: looks}) }, "account_not_active"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, inBubbleTime)
				s.answer = func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
					case <-time.After(10 * time.Second):
					}
				}
				list[0], looks[0] = "more", func(*http.Request, *access.Grant) error { return access.ErrAccount }
				route := test.route(s)
				list[0], looks[0] = "accounts:read", func(*http.Request, *access.Grant) error { return nil }
				serve(route, owner(bound(claim("acr", "accounts:read"))))
				if got := why(s.heard[len(s.heard)-1]); got != test.want {
					t.Errorf("%q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestResourcesAreCopied(t *testing.T) {
	resources := []access.Resource{{URL: poptest.Audience, Name: "ours", Scopes: []string{"accounts:read"}}}
	s := newGuard(t, func(s *setup) { s.Resources = resources })
	resources[0].Name, resources[0].Scopes[0] = "theirs", "more"
	said := serve(s.MetadataHandler(), httptest.NewRequest(http.MethodGet, poptest.Audience+s.MetadataPaths()[0], nil)).Body.String()
	if !strings.Contains(said, `"ours"`) || !strings.Contains(said, `["accounts:read"]`) {
		t.Error(said)
	}
}
