package access_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/mutant"
)

// mutants are rules of the way from bearer to bound, and of the alert, that are left out while on is true; finds is the
// test that must fail then.
var mutants = []struct{ name, finds, file, old, new string }{
	{"an unknown route matches", "TestBearerCriteria", "bearer.go", `slices.Contains(b.Routes, route)`, `on && route == "" || slices.Contains(b.Routes, route)`},
	{"clients are not looked at", "TestBearerCriteria", "bearer.go", `slices.Contains(b.Clients, t.ClientID)`, `on || slices.Contains(b.Clients, t.ClientID)`},
	{"scopes are not looked at", "TestBearerCriteria", "bearer.go", `len(t.Scopes) > 0 && !slices`, `on || len(t.Scopes) > 0 && !slices`},
	{"issuers are not looked at", "TestBearerCriteria", "bearer.go", `slices.Contains(b.Issuers, t.Issuer)`, `on || slices.Contains(b.Issuers, t.Issuer)`},
	{"a bound token passes as Bearer", "TestBearerCriteria", "guard.go", `		return 0, ErrBoundAsBearer`, `		if !on {
			return 0, ErrBoundAsBearer
		}`},
	{"an entry has no end", "TestBearerEnds", "bearer.go", `		case now.Before(b.Until):`, `		case on || now.Before(b.Until):`},
	{"streams outlive the date", "TestBearerStreamEnds", "bearer.go", `if g.until.IsZero() || `, `if on || g.until.IsZero() || `},
	{"lifetimes of entries do not count", "TestBearerRetention", "bearer.go", `		longest = max(longest, b.MaxTokenLifetime)`, `		if !on {
			longest = max(longest, b.MaxTokenLifetime)
		}`},
	{"report-only refuses", "TestReportOnly", "guard.go", `		grant.would = g.report(grant)`, `		if grant.would = g.report(grant); on && grant.would != nil {
			refusal = grant.would
		}`},
	{"report-only lets in", "TestReportOnlyLetsNobodyIn", "guard.go", `	refusal := g.judge(r, grant)`, `	refusal := g.judge(r, grant)
	if on && g.config.ReportOnly != nil {
		refusal = nil
	}`},
	{"a shadow uses proofs up", "TestShadowLeavesProofAndRecord", "shadow.go", `	token, _, refusal := g.examine(r, grant)`, `	token, proof, refusal := g.examine(r, grant)
	if on && refusal == nil {
		_ = g.proofs.Remember(r.Context(), proof)
	}`},
	{"a shadow asks without bound", "TestShadowQuestionsAreBounded", "shadow.go", `return s.asked <= maxShadowQuestions`, `return on || s.asked <= maxShadowQuestions`},
	{"a cookie counts beside Authorization", "TestTokensElsewhere", "elsewhere.go", `r.Header["Authorization"] == nil &&`, `(on || r.Header["Authorization"] == nil) &&`},
	{"a cookie counts beside a proof", "TestTokensElsewhere", "elsewhere.go", `r.Header["Dpop"] == nil {`, `(on || r.Header["Dpop"] == nil) {`},
	{"any entry reads any place", "TestTokensElsewhere", "elsewhere.go", `	return from == place{} ||`, `	return on || from == place{} ||`},
	{"a bound token is taken from a cookie", "TestTokensElsewhere", "guard.go", `if c.from != (place{}) &&`, `if !on && c.from != (place{}) &&`},
	{"other origins may post with cookies", "TestTokensElsewhere", "elsewhere.go", `Check(r); err != nil {`, `Check(r); err != nil && !on {`},
	{"other origins may open WebSockets", "TestTokensElsewhere", "elsewhere.go", `if r.Header["Upgrade"] != nil {`, `if !on && r.Header["Upgrade"] != nil {`},
	{"the query is shown", "TestTokenInQueryIsConcealed", "elsewhere.go", `if p.query != "" && len(`, `if !on && p.query != "" && len(`},
	{"an answer to a query may be stored", "TestTokenInQueryIsConcealed", "grant.go", `if g.from.query != "" {`, `if !on && g.from.query != "" {`},
	{"each request raises an alert", "TestAlertsAreCounted", "alert.go", `now.Sub(about.last).Abs() >= alertPause {`, `on || now.Sub(about.last).Abs() >= alertPause {`},
	{"what nobody verified raises an alert", "TestAlertsAskNobody|TestAlerts", "alert.go", `	if !known || t`, `	if on && !known {
		t, known = &Token{Confirmation: Confirmation{JKT: "x"}}, true
		return &Alert{Kind: kind.Name, Token: t.Revocable()}, key
	}
	if !known || t`},
	{"a certificate counts as unproven", "TestAlerts", "alert.go", `cause.Received, true`, `cause.Received, !on`},
	{"reactions are not counted", "TestReactIsBounded", "react.go", `return c.done <= c.MaxPerMinute`, `return on || c.done <= c.MaxPerMinute`},
	{"the presented key is taken back", "TestReact", "react.go", `Value: t.KeyThumbprint, Before`, `Value: map[bool]string{true: a.Presented, false: t.KeyThumbprint}[on], Before`},
}

// bare is the switch of the mutant that it stands in.
var bare = regexp.MustCompile(`\bon\b`)

// Every rule that is left out is missed by a test.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	t.Parallel()
	var names, tests []string
	var edits []mutant.Edit
	for _, m := range mutants {
		names, tests = append(names, m.name), append(tests, m.finds)
		on := fmt.Sprintf("on(%q)", m.name)
		edits = append(edits, mutant.Edit{"access/" + m.file, m.old, bare.ReplaceAllLiteralString(m.new, on)})
	}
	binary := mutant.Build(t, names, edits)
	if out, err := mutant.Run(t, binary, "", "^("+strings.Join(tests, "|")+")$"); err != nil {
		t.Fatalf("the switches alone make a test fail: %v\n%s", err, out)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if out, err := mutant.Run(t, binary, m.name, "^("+m.finds+")$"); err == nil {
				t.Errorf("%s does not miss it\n%s", m.finds, out)
			}
		})
	}
}
