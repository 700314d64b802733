package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
		"either side":       {"func f(a, b bool) int {\n\tc := a || b\n\treturn 1\n}", "c := mutant.And(1, a) || mutant.And(2, b)", 2},
		"a bound":           {"func f(a, b int) int {\n\tc := a < b\n\treturn 1\n}", "c := mutant.Less(1, a , b)", 1},
		"an equality":       {"func f(a, b int) bool {\n\treturn a == b\n}", "return mutant.Flip(1, a == b)", 1},
		"a truth":           {"func f() bool {\n\treturn true\n}", "return mutant.Flip(1, true)", 1},
		"beside an error":   {"func f() (bool, error) {\n\treturn false, errors.New(1)\n}", "return false, mutant.NoError(1, errors.New(1))", 1},
		"beside none":       {"func f() (bool, error) {\n\treturn false, nil\n}", "return mutant.Flip(1, false), nil", 1},
		"a call":            {"func f() {\n\tg()\n}", "if !mutant.On(1) { g() }", 1},
		"an assignment":     {"func f() {\n\tx = 1\n}", "if !mutant.On(1) { x = 1 }", 1},
		"a case":            {"func f(a bool) {\n\tswitch {\n\tcase a:\n\t}\n}", "case mutant.Or(1, mutant.And(2, a)):", 2},
		"a closure":         {"func f() (int, error) {\n\tg := func() bool { return false }\n\treturn 1, e\n}", "return 1, mutant.NoError(2, e)", 2},
		"no panic":          {"func f() {\n\tpanic(1)\n}", "\tpanic(1)", 0},
		"no lock":           {"func f() {\n\tmu.Lock()\n\tmu.RUnlock()\n}", "\tmu.Lock()", 0},
		"no log":            {"func f() {\n\tg.config.Log.Warn(1)\n\tslog.Info(1)\n}", "\tg.config.Log.Warn(1)", 0},
		"no room":           {"func f() {\n\tb.Grow(1)\n\tc.pool.Put(1)\n}", "\tb.Grow(1)", 0},
		"what a log is for": {"func f() {\n\tg(slog.Default())\n\tx.logged(1)\n}", "{ g(slog.Default()) }", 2},
		"no definition":     {"func f() {\n\tx := 1\n}", "\tx := 1", 0},
		"no nil":            {"func f() error {\n\treturn nil\n}", "return nil", 0},
		"no init":           {"func init() {\n\tg()\n}", "\tg()", 0},
		"an outer first":    {"func f(a, b int) {\n\tif a < b && a > 0 {\n\t}\n}", "if mutant.Or(1, mutant.And(2, mutant.Or(3, mutant.Less(5, a , b)) && mutant.Or(4, mutant.Greater(6, a , 0)))) {", 6},
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

// Two mutants never have one name, and lines that move change none.
func TestKey(t *testing.T) {
	body := "func (t *T[E]) f(a bool) {\n\tif a {\n\t}\n\tif a {\n\t}\n}\n\nfunc g(a bool) {\n\tif a {\n\t}\n}"
	for _, body := range []string{body, strings.ReplaceAll(body, "\tif", "\n\tif")} {
		var keys []string
		for _, m := range plantText(t, body).mutants {
			keys = append(keys, m.key())
		}
		want := []string{"p.go: T.f: always: a", "p.go: T.f: never: a", "p.go: T.f: always: a (2)", "p.go: T.f: never: a (2)",
			"p.go: g: always: a", "p.go: g: never: a"}
		if !slices.Equal(keys, want) {
			t.Errorf("%q, want %q", keys, want)
		}
	}
}

// What survivors.txt lists stands in the sources.
func TestSurvivors(t *testing.T) {
	excused, err := excuses("survivors.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, mutants, err := plantAll("../../..", []string{"dpop", "access", "mtls", "internal/p256"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range unknown(excused, mutants) {
		t.Errorf("survivors.txt: no source has %s", key)
	}
	if stale := unknown(map[string]bool{"dpop/uri.go: f: never: x": true, mutants[0].key(): true}, mutants); len(stale) != 1 {
		t.Errorf("of one that is no mutant and one that is: %q", stale)
	}
}

// The tests of the folder come first, of these the ones that found a neighbour; the suite is asked before the others.
func TestBatches(t *testing.T) {
	own, all, other := &program{folder: "dpop"}, &program{folder: suite}, &program{folder: "access"}
	touches := map[int]bool{1: true}
	tests := []test{
		{own, "TestSlow", 3 * time.Second, touches},
		{own, "TestQuick", time.Millisecond, touches},
		{own, "TestElsewhere", time.Millisecond, nil},
		{own, "TestNeighbour", time.Second, touches},
		{other, "TestOther", time.Millisecond, touches},
		{all, "TestSuite", time.Second, touches},
	}
	found := finders{}
	for _, name := range []string{"TestNeighbour", "TestSlow", "TestNeighbour"} {
		found.learn(mutant{file: "dpop/a.go"}, []byte("=== RUN\n--- FAIL: "+name+" (0.01s)\n    --- FAIL: "+name+"/x\n"))
	}
	found.learn(mutant{file: "dpop/a.go"}, []byte("it was ended"))
	if got := found["dpop/a.go"]; !slices.Equal(got, []string{"TestNeighbour", "TestSlow"}) {
		t.Errorf("learnt %q", got)
	}
	var got []string
	for _, b := range batches(tests, found["dpop/a.go"], mutant{number: 1, file: "dpop/a.go"}) {
		for _, t := range b {
			got = append(got, t.name)
		}
		got = append(got, "/")
	}
	if want := strings.Fields("TestNeighbour / TestQuick / TestSlow / TestSuite / TestOther /"); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// An earlier output is asked again, by names that stay when lines move.
func TestAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("survives a.go:3: f: never: x\n1 of 2 mutants found\nsurvives untouched a.go:9: f: never: x (2)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mutants := []mutant{{file: "a.go", line: 4, function: "f", operator: "never", text: "x"},
		{file: "a.go", line: 4, function: "f", operator: "always", text: "x"},
		{file: "a.go", line: 8, function: "f", operator: "never", text: "x", again: 1}}
	list, err := again(file, mutants)
	if err != nil || len(list) != 2 || list[0].operator != "never" || list[1].again != 1 {
		t.Errorf("%v, %v", list, err)
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

// A mutant that is excused is not in the score unless it is found, and a low score is an error.
func TestReport(t *testing.T) {
	excused := map[string]bool{"a.go: f: never: x": true}
	one := func(text, by string) answer {
		return answer{mutant{file: "a.go", function: "f", operator: "never", text: text}, by}
	}
	for name, test := range map[string]struct {
		answers []answer
		fine    bool
	}{
		"all found":           {[]answer{one("x", "dpop"), one("y", "conformance")}, true},
		"one is excused":      {[]answer{one("x", ""), one("y", "dpop")}, true},
		"one survives":        {[]answer{one("x", ""), one("y", "")}, false},
		"one of two survives": {[]answer{one("z", "dpop"), one("y", "")}, false},
		"none was asked":      {nil, false},
		"all are excused":     {[]answer{one("x", "")}, false},
	} {
		if err := report(&settings{excused: "s.txt", least: 95}, test.answers, excused, 0); (err == nil) != test.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}
