package access_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutant is one rule of the way from bearer to bound, or of the alert, that is left out; finds is the test that must
// fail then.
type mutant struct{ name, finds, file, old, new string }

var mutants = []mutant{
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
	{"each request raises an alert", "TestAlertsAreCounted", "alert.go", `case now.Sub(known.last) < alertPause:`, `case !on && now.Sub(known.last) < alertPause:`},
	{"what nobody verified raises an alert", "TestAlertsAskNobody|TestAlerts", "alert.go", `	if !known || t`, `	if on && !known {
		t, known = &Token{Confirmation: Confirmation{JKT: "x"}}, true
		return &Alert{Kind: kind.Name, Token: t.Revocable()}, key
	}
	if !known || t`},
	{"a certificate counts as unproven", "TestAlerts", "alert.go", `cause.Received, true`, `cause.Received, !on`},
	{"reactions are not counted", "TestReactIsBounded", "react.go", `return c.done <= c.MaxPerMinute`, `return on || c.done <= c.MaxPerMinute`},
	{"the presented key is taken back", "TestReact", "react.go", `Value: t.KeyThumbprint, Before`, `Value: map[bool]string{true: a.Presented, false: t.KeyThumbprint}[on], Before`},
}

// Every rule that is left out is missed by a test. All are built into one binary, each behind a switch.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	binary := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), binary, "-test.run=^("+m.finds+")$", "-test.timeout=60s")
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%s fails without it: %v\n%s", m.finds, err, out)
			}
			run = exec.CommandContext(t.Context(), binary, "-test.run=^("+m.finds+")$", "-test.timeout=60s")
			run.Env = append(os.Environ(), "SENDERLOCK_MUTANT="+m.name)
			if out, err := run.CombinedOutput(); err == nil {
				t.Errorf("%s does not miss it\n%s", m.finds, out)
			}
		})
	}
}

var switchForm = regexp.MustCompile(`\bon\b`)

func buildMutants(t *testing.T) string {
	t.Helper()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{"mutant.go": "package access\n\nimport \"os\"\n\nvar mutantOn = os.Getenv(\"SENDERLOCK_MUTANT\")\n"}
	for _, m := range mutants {
		if sources[m.file] == "" {
			text, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			sources[m.file] = string(text)
		}
		if n := strings.Count(sources[m.file], m.old); n != 1 {
			t.Fatalf("%s holds %q %d times, want once", m.file, m.old, n)
		}
		on := fmt.Sprintf("(mutantOn == %q)", m.name)
		planted := switchForm.ReplaceAllLiteralString(m.new, on)
		sources[m.file] = strings.Replace(sources[m.file], m.old, planted, 1)
	}
	folder, replace := t.TempDir(), map[string]string{}
	for name, text := range sources {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(here, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file, binary := filepath.Join(folder, "overlay.json"), filepath.Join(folder, "mutants.exe")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", file, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	return binary
}
