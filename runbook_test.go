package senderlock_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/revocation"
)

var update = flag.Bool("update", false, "write docs/runbook.md anew")

const runbook = "docs/runbook.md"

// cause is a reason as the code has it.
type cause struct {
	text string
	ours bool // our own trouble
}

// Each reason of the code is in the runbook, with what to do, and no other; and the runbook is what comes of both.
func TestRunbook(t *testing.T) {
	reasons := reasonsOfTheCode(t)
	if len(reasons) < 100 {
		t.Fatalf("only %d reasons were found in the code", len(reasons))
	}
	var page bytes.Buffer
	page.WriteString(runbookHead)
	explained := map[string]bool{}
	for _, e := range entries {
		if e.causes == "" || e.look == "" || e.do == "" {
			t.Errorf("%q says not all of it", e.title)
		}
		fmt.Fprintf(&page, "\n## %s\n\n| reason | what it means | whose |\n| --- | --- | --- |\n", e.title)
		for _, name := range strings.Fields(e.reasons) {
			c, known := reasons[name]
			if !known || explained[name] {
				t.Errorf("%s is explained and not in the code, or twice", name)
			}
			explained[name] = true
			whose := "the request's"
			if c.ours {
				whose = "ours: 503"
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", name, c.text, whose)
		}
		fmt.Fprintf(&page, "\n**Usual causes.** %s\n\n**Look at.** %s\n\n**Do.** %s\n", e.causes, e.look, e.do)
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if !explained[name] {
			t.Errorf("%s (%s) has no entry in runbook_entries_test.go", name, reasons[name].text)
		}
	}
	if *update {
		if err := os.WriteFile(runbook, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(runbook); err != nil || !bytes.Equal(kept, page.Bytes()) {
		t.Errorf("%s is not what the code says (%v): go test . -run TestRunbook -update", runbook, err)
	}
}

const runbookHead = `# Runbook

Every ` + "`reason`" + ` that a line of the log or a metric can have: what it means, usual causes, what to look at, what to do. It is
written by a test from the code, so none is missing: ` + "`go test . -run TestRunbook -update`" + `.

A reason of the form of a proof comes with ` + "`token_`" + ` in front if it was found in an access token, and with ` + "`event_`" + ` in a report
of the identity provider: ` + "`token_signature_invalid`" + ` is explained under ` + "`signature_invalid`" + `. What is ours was answered with 503:
wake somebody. What is the request's was answered with 4xx: a few of them are everyday life, a sudden rise is a change of
somebody's, and the section about tokens without their sender is about theft.
`

// reasonsOfTheCode are the names in calls of reason.New, reason.NewTrouble and At, and in literals of reason.Trouble.
func reasonsOfTheCode(t *testing.T) map[string]cause {
	t.Helper()
	found := map[string]cause{"unavailable": {"trouble of ours without a name of its own", true}}
	note := func(name, text string, ours bool) {
		if known, ok := found[name]; name != "" && (!ok || ours && !known.ours) {
			_, after, cut := strings.Cut(text, ": ")
			if first, _, _ := strings.Cut(text, ":"); cut && !strings.Contains(first, " ") {
				text = after // without the package
			}
			found[name] = cause{text, ours}
		}
	}
	for by := revocation.ByToken; by <= revocation.ByCertificate; by++ {
		note(by.String()+"_revoked", revocation.ErrRevoked.Text+", by its "+by.String(), false)
	}
	goFiles(t, func(name string, file *ast.File) {
		if !in(name, "examples", "conformance") && !strings.HasSuffix(name, "_test.go") {
			ast.Inspect(file, func(n ast.Node) bool { noteReasons(n, note); return true })
		}
	})
	return found
}

func noteReasons(n ast.Node, note func(name, text string, ours bool)) {
	switch n := n.(type) {
	case *ast.CallExpr:
		s, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		of, _ := s.X.(*ast.Ident)
		switch {
		case of != nil && of.Name == "reason" && (s.Sel.Name == "New" || s.Sel.Name == "NewTrouble") && len(n.Args) == 2:
			note(literal(n.Args[0]), literal(n.Args[1]), s.Sel.Name == "NewTrouble")
		case s.Sel.Name == "At" && len(n.Args) == 3:
			note(literal(n.Args[1]), literal(n.Args[2]), true)
		}
	case *ast.CompositeLit:
		if s, ok := n.Type.(*ast.SelectorExpr); !ok || s.Sel.Name != "Trouble" {
			return
		}
		members := map[string]string{}
		for _, e := range n.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				members[fmt.Sprint(pair.Key)] = literal(pair.Value)
			}
		}
		note(members["Name"], members["Text"], true)
		note(members["Fallback"], members["Text"], true)
	}
}

func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	text, _ := strconv.Unquote(l.Value)
	return text
}
