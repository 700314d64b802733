package senderlock_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A tag can be moved to other code; a commit cannot.
var pinned = regexp.MustCompile(`^[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// step, job, workflow and action are what we use of GitHub's files; a member that is none of these is a mistake.
type step struct {
	Name, Run, Shell string
	Uses             yaml.Node // with the comment behind it
	If               string
	With, Env        map[string]string
}

type job struct {
	Name     string
	RunsOn   string `yaml:"runs-on"`
	Timeout  int    `yaml:"timeout-minutes"`
	Strategy struct {
		FailFast bool `yaml:"fail-fast"`
		Matrix   any
	}
	Needs       string
	Permissions map[string]string
	Env         map[string]string
	Steps       []step
}

type workflow struct {
	Name        string
	On          any
	Permissions map[string]string
	Concurrency any
	Jobs        map[string]job
}

type action struct {
	Name, Description string
	Inputs            map[string]struct {
		Description, Default string
		Required             bool
	}
	Runs struct {
		Using string
		Steps []step
	}
}

// readYAML reads a file strictly.
func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// What runs in CI says what it may do and for how long, and each step either runs or uses something.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	found := 0
	check := func(place string, steps []step) {
		if len(steps) == 0 {
			t.Errorf("%s has no steps", place)
		}
		for n, s := range steps {
			if (s.Run == "") == (s.Uses.Value == "") {
				t.Errorf("%s, step %d: either run or uses", place, n+1)
			}
			if s.Uses.Value == "" {
				continue
			}
			found++
			if use := s.Uses.Value + " " + s.Uses.LineComment; !pinned.MatchString(use) {
				t.Errorf("%s uses %s: put the commit's hash, and the version behind it", place, use)
			}
		}
	}
	for _, file := range files {
		var w workflow
		readYAML(t, file, &w)
		if w.Name == "" || w.On == nil || w.Permissions == nil || len(w.Jobs) == 0 {
			t.Errorf("%s: name, on, permissions and jobs are what a workflow needs: %+v", file, w)
		}
		for name, j := range w.Jobs {
			if _, known := w.Jobs[j.Needs]; j.RunsOn == "" || j.Timeout == 0 || j.Needs != "" && !known {
				t.Errorf("%s, %s: runs-on %q, timeout-minutes %d, needs %q", file, name, j.RunsOn, j.Timeout, j.Needs)
			}
			check(file+", "+name, j.Steps)
		}
	}
	var a action
	readYAML(t, "action.yml", &a)
	check("action.yml", a.Runs.Steps)
	inputs := regexp.MustCompile(`^\$\{\{ inputs\.(\w+) \}\}$`)
	for _, s := range a.Runs.Steps {
		if s.Run != "" && s.Shell == "" {
			t.Error("action.yml: a step that runs in an action names its shell")
		}
		for name, value := range s.Env {
			match := inputs.FindStringSubmatch(value)
			if match == nil {
				t.Errorf("action.yml: %s is %s, not an input", name, value)
			} else if _, known := a.Inputs[match[1]]; !known {
				t.Errorf("action.yml: %s is an input that is not described", match[1])
			}
		}
	}
	if a.Name == "" || a.Description == "" || a.Runs.Using != "composite" {
		t.Errorf("action.yml: %+v", a)
	}
	if found < 7 {
		t.Errorf("%d actions were found, want at least 7", found)
	}
	for use, want := range map[string]bool{
		"actions/checkout@v4":                                                false,
		"actions/checkout@11bd719 # v4.2.2":                                  false,
		"actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683":          false,
		"actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2": true,
	} {
		if pinned.MatchString(use) != want {
			t.Errorf("%s counts as pinned: %t", use, !want)
		}
	}
}

// The forms in which faults are told have what GitHub asks of them, and the way for weaknesses is another.
func TestIssueForms(t *testing.T) {
	var form struct {
		Name, Description string
		Body              []struct {
			Type, ID    string
			Attributes  struct{ Label, Description, Value, Render string }
			Validations struct{ Required bool }
		}
	}
	readYAML(t, ".github/ISSUE_TEMPLATE/fault.yml", &form)
	ids := map[string]bool{}
	for n, b := range form.Body {
		if b.Type == "markdown" {
			if n > 0 || b.Attributes.Value == "" {
				t.Errorf("element %d: what is to be read stands first", n+1)
			}
			continue
		}
		if !slices.Contains([]string{"textarea", "input"}, b.Type) || b.ID == "" || ids[b.ID] || b.Attributes.Label == "" {
			t.Errorf("element %d: %+v", n+1, b)
		}
		ids[b.ID] = true
	}
	if form.Name == "" || form.Description == "" || len(ids) < 3 {
		t.Errorf("%+v", form)
	}
	var config struct {
		Blank    bool                                `yaml:"blank_issues_enabled"`
		Contacts []struct{ Name, URL, About string } `yaml:"contact_links"`
	}
	readYAML(t, ".github/ISSUE_TEMPLATE/config.yml", &config)
	if len(config.Contacts) != 1 || !strings.HasSuffix(config.Contacts[0].URL, "/security/advisories/new") {
		t.Errorf("a weakness is told in private: %+v", config)
	}
}

// The script of action.yml builds the suite, asks, and leaves its reports; a server that refuses everything cannot be
// judged.
func TestActionAsks(t *testing.T) {
	var a action
	readYAML(t, "action.yml", &a)
	script := a.Runs.Steps[len(a.Runs.Steps)-1].Run
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ answer, status, reports int }{
		"a server that takes everything":   {http.StatusOK, 1, 3},
		"a server that refuses everything": {http.StatusTeapot, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Store(true)
				w.WriteHeader(test.answer)
			}))
			defer server.Close()
			folder := t.TempDir()
			run := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", script)
			run.Dir = folder
			run.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+root, "RUNNER_TEMP="+folder, "URL="+server.URL+"/resource",
				"PROFILE=base", "ARGUMENTS=--issuer 127.0.0.1:0 --only good,alg-none", "REPORTS=reports")
			output, err := run.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != test.status || !asked.Load() {
				t.Errorf("the action ended with %v, asked: %t\n%s", err, asked.Load(), output)
			}
			reports, err := filepath.Glob(filepath.Join(folder, "reports", "conformance.*"))
			if err != nil || len(reports) != test.reports {
				t.Errorf("the reports are %q", reports)
			}
		})
	}
}

// What the suite's page says of the action is what the action takes.
func TestActionIsDescribed(t *testing.T) {
	var a action
	readYAML(t, "action.yml", &a)
	text, err := os.ReadFile("conformance/README.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := takeApart("conformance/README.md", string(text))
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, block := range page.fences {
		if block.language != "yaml" {
			continue
		}
		var steps []step
		if err := yaml.Unmarshal([]byte(block.text), &steps); err != nil {
			t.Fatalf("%s: %v", block.at(page), err)
		}
		for _, s := range steps {
			if !strings.HasPrefix(s.Uses.Value, "senderlock/senderlock@") {
				continue
			}
			used++
			for input := range s.With {
				if _, known := a.Inputs[input]; !known {
					t.Errorf("%s: the action takes no %s", block.at(page), input)
				}
			}
			for input, about := range a.Inputs {
				if about.Required && s.With[input] == "" {
					t.Errorf("%s: the action needs %s", block.at(page), input)
				}
			}
		}
	}
	if used == 0 {
		t.Error("conformance/README.md does not use the action")
	}
}

// The change log has the form that it claims: Unreleased, then versions with their days, each kind of change once in a
// version, and an address for each (https://keepachangelog.com/en/1.1.0/).
func TestChangeLog(t *testing.T) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range changeLogFaults(string(text)) {
		t.Error(fault)
	}
	const head, foot = "## [Unreleased]\n", "[Unreleased]: https://example.com/\n[0.1.0]: https://example.com/\n"
	for text, want := range map[string]string{
		head + "### Added\n## [0.1.0] - 2026-11-29\n### Added\n" + foot:      "",
		"## [0.1.0] - 2026-11-29\n" + foot:                                   "Unreleased is not the first",
		head + "## [0.1.0]\n" + foot:                                         "## [0.1.0] is no version with its day",
		head + "### Added\n### Added\n" + foot:                               "[Unreleased] has two of ### Added",
		head + "### Improved\n" + foot:                                       "### Improved is no kind of change",
		head + "## [0.1.0] - 2026-11-29\n[Unreleased]: https://example.com/": "[0.1.0] has no address",
	} {
		if got := strings.Join(changeLogFaults(text), "; "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

var (
	released = regexp.MustCompile(`^## (\[\d+\.\d+\.\d+\]) - \d{4}-\d\d-\d\d$`)
	kinds    = []string{"Promised from now on", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
)

func changeLogFaults(text string) (faults []string) {
	var version string
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if kind, ok := strings.CutPrefix(line, "### "); ok {
			if !slices.Contains(kinds, kind) {
				faults = append(faults, line+" is no kind of change")
			}
			if seen[version+kind] {
				faults = append(faults, version+" has two of "+line)
			}
			seen[version+kind] = true
		}
		if !strings.HasPrefix(line, "## ") {
			continue
		}
		match := released.FindStringSubmatch(line)
		switch {
		case version == "" && line == "## [Unreleased]":
			version = "[Unreleased]"
		case version == "":
			return append(faults, "Unreleased is not the first")
		case match == nil:
			faults = append(faults, line+" is no version with its day")
			continue
		default:
			version = match[1]
		}
		if !strings.Contains(text, "\n"+version+": https://") {
			faults = append(faults, version+" has no address")
		}
	}
	return faults
}

// inFIPS are the patterns of a line that runs tests with the algorithms of FIPS 140 alone.
var inFIPS = regexp.MustCompile(`(?m)^GODEBUG=fips140=only go test .*$`)

// Whoever may use only the algorithms of FIPS 140 can use all of the library: CI runs the tests of its packages so.
func TestAllPackagesRunInFIPSMode(t *testing.T) {
	script, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for _, line := range inFIPS.FindAllString(string(script), -1) {
		patterns = append(patterns, strings.Fields(line)...)
	}
	runs := func(folder string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			whole, tree := strings.CutSuffix(pattern, "/...")
			return pattern == "./"+folder || tree && in("./"+folder, whole)
		})
	}
	asked := 0
	for path, p := range goList(t) {
		folder, own := inModule(path)
		switch {
		case !own || p.Name == "main" || len(p.TestImports)+len(p.XTestImports) == 0:
		case in(folder, ".", "internal", "cmd", "examples"): // what of it matters runs below those that use it
		case in(folder, "conformance"): // plays the attacker, who keeps no rules
		case in(folder, "logqueue", "reason", "redisstore/model"): // no cryptography
		case in(folder, "dpop/mobile"): // a phone's own
		default:
			asked++
			if !runs(folder) {
				t.Errorf("%s does not run with GODEBUG=fips140=only in .ci/run", folder)
			}
		}
	}
	if asked < 12 {
		t.Errorf("%d packages were asked about", asked)
	}
}

// skippedInCI are the tests that may skip where CI=true as well, by file, with their number and what speaks for it.
var skippedInCI = map[string]struct {
	number int
	why    string
}{
	"dpop/pkcs11_nocgo_test.go":                {1, "fails there"},
	"dpop/pkcs11_test.go":                      {1, "fails there"},
	"internal/fetched/fetched.go":              {1, "fails there"},
	"internal/privatefile/access_unix_test.go": {2, "run as root by .ci/run"},
	"revocation/access_unix_test.go":           {1, "run as root by .ci/run"},
	"revocation/file_test.go":                  {1, "a process that TestKill starts"},
	"gateway/memory_bench_test.go":             {1, "takes more open files than a user may have"},
	"redisstore/histories/histories_test.go":   {1, "asks servers of one's own"},
	"examples/clients/clients_test.go":         {1, "packages that others keep cannot be fetched"},
	"examples/providers/firstapi_test.go":      {1, "bash .ci/providers tells of it"},
	"examples/providers/world_test.go":         {3, "bash .ci/providers tells of it"},
	"storetest/lift.go":                        {1, "a store that cannot"},
	"storetest/replay.go":                      {1, "a store that cannot"},
	"storetest/revocation.go":                  {1, "a store that cannot"},
}

// notInCI are the conditions that do not hold in the run of all tests in CI, on Linux.
var notInCI = regexp.MustCompile(`testing\.Short\(\)|runtime\.GOOS == "windows"|os\.Getenv\("CI"\) != "true"|fips140\.|mutant\.Inside\(\)|^built\.Raced\(\)$`)

// A test that is skipped where all should run says nothing, and go test does not tell of it.
func TestNothingIsSkippedInCI(t *testing.T) {
	found := map[string]int{}
	goFiles(t, func(name string, file *ast.File) {
		if n := skips(file); n > 0 {
			found[name] = n
		}
	})
	for name, n := range found {
		if want := skippedInCI[name]; n > want.number {
			t.Errorf("%s skips in %d places where CI=true: fetched.Missing fails there", name, n-want.number)
		}
	}
	for name, want := range skippedInCI {
		if found[name] != want.number {
			t.Errorf("%s skips in %d places, and not in %d", name, found[name], want.number)
		}
	}
}

// skips counts the calls that skip a test under conditions that CI could meet.
func skips(file *ast.File) (n int) {
	var within []ast.Node
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil {
			within = within[:len(within)-1]
			return true
		}
		within = append(within, node)
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, method.Sel.Name) {
			return true
		}
		if !slices.ContainsFunc(within, func(outer ast.Node) bool {
			condition, ok := outer.(*ast.IfStmt)
			return ok && notInCI.MatchString(types.ExprString(condition.Cond))
		}) {
			n++
		}
		return true
	})
	return n
}

func TestSkips(t *testing.T) {
	for body, want := range map[string]int{
		`t.Skip("no")`: 1,
		`if short := testing.Short(); !short { t.Skip() }`:           1,
		`if err != nil { if x { t.Skipf("%v", err) } }`:              1,
		`if testing.Short() { t.Skip("takes long") }`:                0,
		`if testing.Short() || x { if y { b.SkipNow() } }`:           0,
		`if err != nil && os.Getenv("CI") != "true" { t.Skip(err) }`: 0,
		`skip(t)`: 0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", "package p\nfunc f() { "+body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := skips(file); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
