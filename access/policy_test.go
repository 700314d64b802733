package access_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// The trouble of a store is ours wherever it comes from, and no client hears of it; a refusal is one.
func TestCausesOfAPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		cause  error
		status int
		reason string
	}{
		"a full store":            {revocation.ErrFull, 503, "revocation_full"},
		"a full memory":           {dpop.ErrStoreFull, 503, "replay_memory_full"},
		"wrapped":                 {fmt.Errorf("audit: %w", dpop.ErrStoreFull), 503, "replay_memory_full"},
		"beside a refusal":        {fmt.Errorf("%w: %w", access.ErrAccount, revocation.ErrFull), 503, "revocation_full"},
		"nothing could be asked":  {access.ErrUnavailable, 503, "policy_failed"},
		"a refusal":               {access.ErrAccount, 401, "account_not_active"},
		"of another package":      {revocation.ErrRevoked, 401, "revoked"},
		"a nonce that is missing": {dpop.ErrNonceMissing, 401, "nonce_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) {
				s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return test.cause }}
			})
			w := s.refuses(t, s.Handler(s), owner(bound()), test.status, test.reason)
			told := w.Body.String() + fmt.Sprint(w.Header())
			if test.status == 503 && (strings.Contains(told, "full") || strings.Contains(told, "store") && !strings.Contains(told, "no-store") || strings.Contains(told, "memory")) {
				t.Errorf("the client is told %s", told)
			}
			if (w.Header().Get("DPoP-Nonce") != "") != (test.reason == "nonce_missing") || (test.status == 503) != (w.Header().Get("WWW-Authenticate") == "") {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

// A policy may ask for a nonce where there are none to give.
func TestPolicyAsksForANonceWithoutDPoP(t *testing.T) {
	s := newSite(t, func(s *setup) {
		s.WithoutDPoP, s.InsecureAllowBearer = true, true
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return dpop.ErrNonceMissing }}
	})
	w := s.refuses(t, s.Handler(s), get("Bearer "+poptest.Token{}.String(), ""), 401, "nonce_missing")
	if got := w.Header(); got.Get("DPoP-Nonce") != "" || !strings.HasPrefix(got.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) {
		t.Errorf("header %v", got)
	}
}

// Too many requests is no word about the account: it is asked again.
func TestRecheckForgetsWhatMayPass(t *testing.T) {
	for name, test := range map[string]struct {
		answer *access.Error
		stays  bool
	}{
		"too many requests":  {&access.Error{Status: 429, Err: access.ErrAccount}, false},
		"a locked resource":  {&access.Error{Status: 423, Err: access.ErrAccount}, false},
		"for a while":        {&access.Error{Status: 403, RetryAfter: time.Minute, Err: access.ErrAccount}, false},
		"a bad request":      {&access.Error{Status: 400, Err: access.ErrAccount}, false},
		"forbidden":          {&access.Error{Status: 403, Err: access.ErrAccount}, true},
		"unauthorized":       {&access.Error{Status: 401, Err: access.ErrAccount}, true},
		"our own trouble":    {&access.Error{Status: 503, Err: access.ErrAccount}, false},
		"a teapot's trouble": {&access.Error{Status: 500, Err: access.ErrAccount}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var answer error = test.answer
			policy, err := access.Recheck{Requests: 10, Lookup: func(context.Context, *access.Token) error { return answer }}.Policy()
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, func(s *setup) { s.Policies = []access.Policy{policy} })
			token := bound()
			s.refuses(t, s.Handler(s), owner(token), test.answer.Status, "account_not_active")
			answer = nil
			if test.stays {
				s.refuses(t, s.Handler(s), owner(token), test.answer.Status, "account_not_active")
			} else {
				s.accepts(t, s.Handler(s), owner(token))
			}
		})
	}
}

// A certificate is verified where the token needs it. One that it does not need, and that does not pass, is not in the
// grant; the decision says why.
func TestCertificatesAreVerifiedWhereNeeded(t *testing.T) {
	ours, theirs := poptest.NewCA(t), poptest.NewCA(t)
	good, foreign := ours.Issue(t, "client"), theirs.Issue(t, "smart card")
	expired := ours.Issue(t, "client", func(c *x509.Certificate) { c.NotAfter = poptest.Now.Add(-time.Hour) })
	byCertificate := func(x5t string) string { return "Bearer " + poptest.Token{X5T: x5t}.String() }
	certificate := access.Requirement{Binding: access.BindingCertificate}
	for name, test := range map[string]struct {
		r       *http.Request
		demands []access.Requirement
		unfit   string // in the decision
		granted bool   // the certificate is in the grant
		want    string
	}{
		"needed and good":         {with(get(byCertificate(poptest.X5T(good.Leaf)), ""), good), []access.Requirement{certificate}, "", true, ""},
		"needed and foreign":      {with(get(byCertificate(poptest.X5T(foreign.Leaf)), ""), foreign), nil, "", false, "certificate_untrusted"},
		"needed and expired":      {with(get(byCertificate(poptest.X5T(expired.Leaf)), ""), expired), nil, "", false, "certificate_expired"},
		"not needed and good":     {with(owner(bound()), good), nil, "", true, ""},
		"not needed and foreign":  {with(owner(bound()), foreign), nil, "certificate_untrusted", false, ""},
		"not needed and expired":  {with(owner(bound()), expired), nil, "certificate_expired", false, ""},
		"needed by the route":     {with(owner(bound()), foreign), []access.Requirement{certificate}, "certificate_untrusted", false, "binding_missing"},
		"none":                    {owner(bound()), nil, "", false, ""},
		"another than the bound":  {with(get(byCertificate(poptest.X5T(good.Leaf)), ""), foreign), nil, "", false, "certificate_mismatch"},
		"a good one, by its key":  {with(owner(bound(func(p *poptest.Token) { p.X5T = poptest.X5T(good.Leaf) })), good), []access.Requirement{certificate}, "", true, ""},
		"a foreign one, and both": {with(owner(bound(func(p *poptest.Token) { p.X5T = poptest.X5T(foreign.Leaf) })), foreign), nil, "", false, "certificate_untrusted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) {
				source, err := mtls.Verification{Roots: ours.Pool(), Now: s.clock.Now}.FromTLS()
				if err != nil {
					t.Fatal(err)
				}
				s.Certificates = source
			})
			w := httptest.NewRecorder()
			s.Handler(s, test.demands...).ServeHTTP(w, test.r)
			d := s.decided(t, test.want)
			if (w.Code == 200) != (test.want == "") || reason.Of(d.CertificateUnfit) != test.unfit {
				t.Errorf("status %d, unfit %v", w.Code, d.CertificateUnfit)
			}
			if attr := slices.ContainsFunc(d.Attrs(), func(a slog.Attr) bool { return a.Key == "certificate_unfit" && a.Value.String() == test.unfit }); attr != (test.unfit != "") {
				t.Errorf("attributes %v", d.Attrs())
			}
			if test.want == "" && (s.grant.Certificate != nil) != test.granted {
				t.Errorf("the grant has %v", s.grant.Certificate)
			}
		})
	}
}
