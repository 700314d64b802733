package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plantText plants the mutants of one function.
func plantText(t *testing.T, body string) *source {
	t.Helper()
	folder := t.TempDir()
	text := "package p\n\nimport (\n\t\"errors\"\n)\n\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(folder, "p.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	s, err := plant(folder, "p.go", func() int { n++; return n })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each operator stands where it should, beside the others, and what comes out is Go.
func TestPlant(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
		mutants    int
	}{
		"a check": {"func f(a bool) error {\n\tif a {\n\t\treturn err\n\t}\n\treturn nil\n}",
			"if mutant.Or(1, mutant.And(2, a)) {\n\t\treturn mutant.NoError(3, err)", 3},
		"both sides": {"func f(a, b bool) int {\n\tfor a && b {\n\t}\n\treturn 1\n}",
			"for mutant.Or(1, a) && mutant.Or(2, b) {", 2},
		"either side":    {"func f(a, b bool) int {\n\tc := a || b\n\treturn 1\n}", "c := mutant.And(1, a) || mutant.And(2, b)", 2},
		"a bound":        {"func f(a, b int) int {\n\tc := a < b\n\treturn 1\n}", "c := mutant.Less(1, a , b)", 1},
		"an equality":    {"func f(a, b int) bool {\n\treturn a == b\n}", "return mutant.Flip(1, a == b)", 1},
		"a truth":        {"func f() bool {\n\treturn true\n}", "return mutant.Flip(1, true)", 1},
		"a call":         {"func f() {\n\tg()\n}", "if !mutant.On(1) { g() }", 1},
		"an assignment":  {"func f() {\n\tx = 1\n}", "if !mutant.On(1) { x = 1 }", 1},
		"a case":         {"func f(a bool) {\n\tswitch {\n\tcase a:\n\t}\n}", "case mutant.Or(1, mutant.And(2, a)):", 2},
		"a closure":      {"func f() (int, error) {\n\tg := func() bool { return false }\n\treturn 1, e\n}", "return 1, mutant.NoError(2, e)", 2},
		"no panic":       {"func f() {\n\tpanic(1)\n}", "\tpanic(1)", 0},
		"no lock":        {"func f() {\n\tmu.Lock()\n\tmu.RUnlock()\n}", "\tmu.Lock()", 0},
		"no definition":  {"func f() {\n\tx := 1\n}", "\tx := 1", 0},
		"no nil":         {"func f() error {\n\treturn nil\n}", "return nil", 0},
		"no init":        {"func init() {\n\tg()\n}", "\tg()", 0},
		"an outer first": {"func f(a, b int) {\n\tif a < b && a > 0 {\n\t}\n}", "if mutant.Or(1, mutant.And(2, mutant.Or(3, mutant.Less(5, a , b)) && mutant.Or(4, mutant.Greater(6, a , 0)))) {", 6},
	} {
		t.Run(name, func(t *testing.T) {
			s := plantText(t, test.body)
			got := s.planted()
			if !strings.Contains(got, test.want) || len(s.mutants) != test.mutants {
				t.Errorf("%d mutants, want %d with %q:\n%s", len(s.mutants), test.mutants, test.want, got)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), "p.go", got, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A survivor is excused by a reason alone.
func TestExcuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "survivors.txt")
	for text, fine := range map[string]bool{
		"":                             true,
		"# why\na.go: never: x\n":      true,
		"# why\na.go: never: x\nb\n":   true,
		"a.go: never: x\n":             false,
		"# why\na.go: never: x\n\nb\n": false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := excuses(file)
		if (err == nil) != fine || fine && text != "" && !known["a.go: never: x"] {
			t.Errorf("%q: %v, %v", text, known, err)
		}
	}
}

// A mutant that is excused counts as found, another one does not, and a low score is an error.
func TestReport(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "s.txt"), []byte("# the two are one\na.go: never: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(text, by string) answer { return answer{mutant{file: "a.go", operator: "never", text: text}, by} }
	for name, test := range map[string]struct {
		answers []answer
		fine    bool
	}{
		"all found":      {[]answer{one("x", "dpop"), one("y", "conformance")}, true},
		"one is excused": {[]answer{one("x", "")}, true},
		"one survives":   {[]answer{one("x", ""), one("y", "")}, false},
		"none was asked": {nil, false},
	} {
		if err := report(&settings{excused: "s.txt", least: 95}, test.answers, root); (err == nil) != test.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}
