package senderlock_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// row is a row of conformance/requirements.md.
type row struct{ name, source, level, shown string }

var (
	rowPattern     = regexp.MustCompile(`RS-\d{3}`)
	sectionPattern = regexp.MustCompile(`^(RFC \d{4}|FAPI 2\.0 SP) §\d`)
	testPattern    = regexp.MustCompile("`([a-z]+)\\.(Test\\w+)`")
)

func requirementRows(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("conformance/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| RS-") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
		if len(cells) != 6 {
			t.Errorf("%d cells, want 6: %s", len(cells), line)
			continue
		}
		rows = append(rows, row{strings.TrimPrefix(cells[0], "| "), cells[1], cells[3], cells[5]})
	}
	return rows
}

// Every requirement has a section, and what shows it: cases that can fail, tests that exist, or a reason why nothing can.
func TestRequirementsAreShown(t *testing.T) {
	asked, told := casesByRow(t)
	tests := testFunctions(t)
	rows := requirementRows(t)
	known := map[string]bool{}
	for _, r := range rows {
		if known[r.name] || !sectionPattern.MatchString(r.source) || r.level == "" {
			t.Errorf("%s stands twice or is incomplete: %+v", r.name, r)
		}
		known[r.name] = true
		if problem := shown(r.shown, asked[r.name], told[r.name], tests); problem != "" {
			t.Errorf("%s is shown by %q: %s", r.name, r.shown, problem)
		}
	}
	for i := 1; i <= len(rows); i++ {
		if name := fmt.Sprintf("RS-%03d", i); !known[name] {
			t.Errorf("%s is missing: numbers are never taken away", name)
		}
	}
	for name := range asked {
		if !known[name] {
			t.Errorf("a case is of %s, which is no requirement", name)
		}
	}
	for name, file := range named(t) {
		if !known[name] {
			t.Errorf("%s names %s, which is no requirement", file, name)
		}
	}
}

// shown says what is wrong with what a row is shown by, or nothing.
func shown(by string, asked, told int, tests map[string]bool) string {
	reason, nothing := strings.CutPrefix(by, "nothing: ")
	names := testPattern.FindAllStringSubmatch(by, -1)
	switch {
	case nothing && (reason == "" || asked > 0):
		return "there is something, or no reason"
	case nothing:
		return ""
	case strings.HasPrefix(by, "cases (told)") && told == 0, by == "cases" && asked == 0:
		return "there is no such case"
	case by != "cases" && len(names) == 0:
		return "it names neither cases nor tests"
	}
	for _, name := range names {
		if test := name[1] + "." + name[2]; !tests[test] {
			return test + " does not exist, or does nothing"
		}
	}
	return ""
}

// The judgement of a row can fail.
func TestShown(t *testing.T) {
	tests := map[string]bool{"dpop.TestA": true}
	for by, test := range map[string]struct {
		asked, told int
		fine        bool
	}{
		"cases":                         {1, 0, true},
		"cases ":                        {1, 0, false},
		"nothing: it informs":           {0, 0, true},
		"nothing: ":                     {0, 0, false},
		"nothing":                       {0, 0, false},
		"`dpop.TestA`":                  {0, 0, true},
		"`dpop.TestB`":                  {0, 0, false},
		"cases (told), `dpop.TestA`":    {0, 1, true},
		"cases (told), `access.TestA`":  {0, 1, false},
		"cases (told)":                  {0, 1, false},
		"nothing: although there is":    {1, 0, false},
		"`dpop.TestA`, `dpop.TestGone`": {0, 0, false},
	} {
		if problem := shown(by, test.asked, test.told, tests); (problem == "") != test.fine {
			t.Errorf("%q: %q", by, problem)
		}
	}
	if shown("cases", 0, 3, tests) == "" {
		t.Error("cases that never fail show a requirement")
	}
}

// casesByRow counts the cases of each requirement: those that can fail, and those that only tell.
func casesByRow(t *testing.T) (asked, told map[string]int) {
	t.Helper()
	text, err := os.ReadFile("conformance/vectors/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Requirement, Level string }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	asked, told = map[string]int{}, map[string]int{}
	for _, c := range cases {
		if c.Level == "INFO" {
			told[c.Requirement]++
		} else {
			asked[c.Requirement]++
		}
	}
	return asked, told
}

// testFiles calls each with the tests of all modules.
func testFiles(t *testing.T, each func(name string, file *ast.File)) {
	t.Helper()
	goFiles(t, func(name string, file *ast.File) {
		if isTest(name) && name != "requirements_test.go" {
			each(name, file)
		}
	})
}

// goFiles calls each with every Go file of all modules, by its path from the root.
func goFiles(t *testing.T, each func(name string, file *ast.File)) {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		each(name, files[name])
	}
}

// parsed are the Go files, which many tests read and none changes.
var parsed = sync.OnceValues(func() (map[string]*ast.File, error) {
	files := map[string]*ast.File{}
	return files, fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(name) == ".go" {
			files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		}
		return err
	})
})

// isTest reports whether a file holds tests: those of echoauth are in a package, which runs for each version of Echo.
func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") ||
		strings.HasPrefix(name, "echoauth/internal/echotest/") && strings.HasSuffix(name, ".go")
}

// testFunctions are the tests that do something, by package and name.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	testFiles(t, func(name string, file *ast.File) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Body != nil && len(f.Body.List) > 0 {
				tests[path.Base(path.Dir(name))+"."+f.Name.Name] = true
			}
		}
	})
	return tests
}

// named are the requirements that code, its comments and the pages name, with one file of each.
func named(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".go", ".md"}, path.Ext(name)) || name == "requirements_test.go" {
			return err
		}
		text, err := os.ReadFile(name)
		for _, row := range rowPattern.FindAllString(string(text), -1) {
			names[row] = name
		}
		return err
	})
	if err != nil || len(names) < 100 {
		t.Errorf("only %d names were found: %v", len(names), err)
	}
	return names
}
