package senderlock_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the book says of the code is true: its Go code is that of an Example, or compiles; its commands run, or it is
// said why not; links lead somewhere; settings, functions, variables and tests that it names exist. Where the comment
// in front of a block is meant below, it is one line of HTML, which readers do not see.
//
//	<!-- access Example_lockUser -->      the Go block is taken from that function
//	<!-- given: store revocation.Store --> the Go block needs these variables besides those of given
//	<!-- run -->                          the test runs the commands
//	<!-- not run: why -->                 it does not
//	<!-- run by examples/api TestX -->    another test does

// elsewhere are pages whose commands other tests run, or nobody does, and why.
var elsewhere = map[string]string{
	"docs/a-token-leaked.md": "examples/api TestATokenLeaked",
	"docs/exactness.md":      "they take minutes",
	"docs/gateway.md":        "they serve until they are stopped",
	"docs/proxies.md":        "they serve until they are stopped",
	"docs/speed.md":          "they take minutes",
}

// given are the variables that a fragment of Go may use without making them.
var given = map[string]string{
	"ctx": "context.Context", "w": "http.ResponseWriter", "r": "*http.Request", "next": "http.Handler", "mux": "*http.ServeMux",
	"config": "access.Config", "guard": "*access.Guard", "store": "*revocation.File", "e": "*echo.Echo", "api": "*echo.Group",
	"date": "func(string) time.Time", "admins": "func(http.Handler) http.Handler",
	"bearer": "http.Handler", "issuer": "string", "accounts": "http.Handler",
}

// packages are what a fragment of Go may name without importing it, beside those of the standard library in it.
var packages = map[string]string{
	"access": module + "/access", "rollout": module + "/access/rollout", "dpop": module + "/dpop", "keyfile": module + "/dpop/keyfile",
	"mtls": module + "/mtls", "revocation": module + "/revocation", "events": module + "/revocation/events",
	"redisstore": module + "/redisstore", "echoauth": module + "/echoauth", "otelauth": module + "/otelauth",
	"gateway": module + "/gateway", "admin": module + "/admin", "reason": module + "/reason", "logqueue": module + "/logqueue",
	"senderlocktest": module + "/senderlocktest", "storetest": module + "/storetest", "conformance": module + "/conformance",
	"echo": echo + "/v4", "errors": "errors", "context": "context", "fmt": "fmt", "log": "log", "slog": "log/slog", "http": "net/http",
	"netip": "net/netip", "os": "os", "time": "time", "strings": "strings", "tls": "crypto/tls", "ecdsa": "crypto/ecdsa",
	"elliptic": "crypto/elliptic", "rand": "crypto/rand", "httptest": "net/http/httptest", "json": "encoding/json", "x509": "crypto/x509",
}

func TestBookGo(t *testing.T) {
	sources := map[string]string{}
	examples := exampleFunctions(t)
	for _, p := range pages(t, "docs") {
		for _, block := range p.fences {
			if block.language != "go" {
				continue
			}
			switch name := fmt.Sprint("bookcheck", len(sources)); {
			case strings.Contains(block.mark, " Example"):
				if problem := excerpt(block.text, examples[block.mark]); problem != "" {
					t.Errorf("%s is not of %s: %s", block.at(p), block.mark, problem)
				}
			case strings.HasPrefix(block.text, "package "):
				sources[name] = fmt.Sprintf("//line %s:%d\n%s", p.name, block.line+1, block.text)
			default:
				text, err := wrapped(block, p)
				if err != nil {
					t.Errorf("%s: %v", block.at(p), err)
					continue
				}
				sources[name] = text
			}
		}
	}
	compile(t, sources)
}

// exampleFunctions are the bodies of examples in tests, by folder and name, without indentation.
func exampleFunctions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	testFiles(t, func(name string, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Example") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			start := int(f.Body.Lbrace) - int(file.FileStart) + 1
			found[path.Dir(name)+" "+f.Name.Name] = string(text[start : int(f.Body.Rbrace)-int(file.FileStart)])
		}
	})
	return found
}

// excerpt says what is wrong with a block as an excerpt of a function's body, or nothing. A line "// …" stands for what
// is left out; what is left in is as it stands there, in its order.
func excerpt(block, body string) string {
	if body == "" {
		return "there is no such function"
	}
	lines := func(text string) []string {
		var all []string
		for line := range strings.Lines(text) {
			all = append(all, strings.TrimSpace(line))
		}
		return all
	}
	rest := lines(body)
	for i, part := range slices.Collect(split(lines(block), "// …")) {
		at := indexOf(rest, part)
		if at < 0 {
			return fmt.Sprintf("part %d is not there, or not in this order:\n%s", i+1, strings.Join(part, "\n"))
		}
		rest = rest[at+len(part):]
	}
	return ""
}

func split(lines []string, by string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for {
			i := slices.Index(lines, by)
			if i < 0 {
				yield(lines)
				return
			}
			if !yield(lines[:i]) {
				return
			}
			lines = lines[i+1:]
		}
	}
}

func indexOf(lines, part []string) int {
	for i := range len(lines) - len(part) + 1 {
		if slices.Equal(lines[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}

func TestExcerpt(t *testing.T) {
	const body = "\n\ta := 1\n\tb := 2\n\tc := 3\n"
	for block, fine := range map[string]bool{
		"a := 1\nb := 2\n":         true,
		"a := 1\n// …\nc := 3\n":   true,
		"a := 1\nc := 3\n":         false,
		"c := 3\n// …\na := 1\n":   false,
		"a := 1\n// …\nb := 200\n": false,
	} {
		if problem := excerpt(block, body); (problem == "") != fine {
			t.Errorf("%q: %q", block, problem)
		}
	}
	if excerpt("", "") == "" {
		t.Error("an excerpt of nothing was accepted")
	}
}

// wrapped makes a package of a fragment: statements become the body of a function whose parameters are given,
// declarations stay what they are.
func wrapped(block fence, p page) (string, error) {
	variables := maps.Clone(given)
	if list, is := strings.CutPrefix(block.mark, "given: "); is {
		for entry := range strings.SplitSeq(list, "; ") {
			name, kind, found := strings.Cut(entry, " ")
			if !found {
				return "", fmt.Errorf("%q is no name and type", entry)
			}
			variables[name] = kind
		}
	}
	line := fmt.Sprintf("//line %s:%d\n", p.name, block.line+1)
	code := block.text
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0); err != nil {
		var body bytes.Buffer
		fmt.Fprintf(&body, "func _(%s) error {\n%s%s", parameters(code, variables), line, code)
		for _, name := range made(code) {
			fmt.Fprintf(&body, "_ = %s\n", name)
		}
		body.WriteString("return nil\n}\n")
		code = body.String()
	} else {
		code = line + code
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
	if err != nil {
		return "", err
	}
	var imports strings.Builder
	for _, name := range unresolved(file) {
		if whole, known := packages[name]; known {
			fmt.Fprintf(&imports, "import %s %q\n", name, whole)
		}
	}
	source := "package bookcheck\n" + imports.String() + code
	if _, err := format.Source([]byte(source)); err != nil {
		return "", err
	}
	return source, nil
}

// unresolved are the names in a file that it does not declare.
func unresolved(file *ast.File) []string {
	names := map[string]bool{}
	for _, name := range file.Unresolved {
		names[name.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// parameters are those of the variables that a fragment uses, in the form of a parameter list.
func parameters(code string, variables map[string]string) string {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+code+"\n}\n", 0)
	if err != nil {
		return "" // it is told when the whole does not parse
	}
	var list []string
	for _, name := range unresolved(file) {
		if kind, known := variables[name]; known {
			list = append(list, name+" "+kind)
		}
	}
	return strings.Join(list, ", ")
}

// made are the names that the statements of a fragment define, which it need not use.
func made(code string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+code+"\n}\n", 0)
	if err != nil {
		return nil
	}
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if a, ok := s.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, left := range a.Lhs {
				if name, ok := left.(*ast.Ident); ok && name.Name != "_" {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func TestBookCommands(t *testing.T) {
	tests := anyTests(t)
	for _, p := range pages(t, "docs") {
		for _, block := range p.fences {
			if block.language != "sh" {
				continue
			}
			mark := block.mark
			if mark == "" && elsewhere[p.name] != "" {
				mark = "not run: " + elsewhere[p.name]
			}
			switch {
			case mark == "run":
				run := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block.text)
				if out, err := run.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", block.at(p), err, out)
				}
				continue
			case strings.HasPrefix(mark, "run by "):
				if folder, name, _ := strings.Cut(strings.TrimPrefix(mark, "run by "), " "); !tests[name] || !isFolder(folder) {
					t.Errorf("%s: there is no test %s in %s", block.at(p), name, folder)
				}
			case !strings.HasPrefix(mark, "not run: "):
				t.Errorf("%s: neither run nor said why not: put <!-- run -->, <!-- run by FOLDER TEST --> or "+
					"<!-- not run: WHY --> in front of it", block.at(p))
			}
			// What is not run here is a script at least, of programs that are there.
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", block.text).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", block.at(p), out)
			}
			for _, program := range ownPrograms.FindAllString(block.text, -1) {
				if !isFolder(program) {
					t.Errorf("%s: there is no %s", block.at(p), program)
				}
			}
		}
	}
}

var ownPrograms = regexp.MustCompile(`\./(cmd|examples|conformance|docs)(/\w+)+`)

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// Links to files of the repository, and to headings in them, lead somewhere.
func TestLinks(t *testing.T) {
	all := map[string]page{}
	for _, p := range pages(t, ".") {
		all[p.name] = p
	}
	for _, p := range all {
		text := codeSpan.ReplaceAllString(strings.Join(p.prose, "\n"), "")
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, ":") {
				continue // of the network, which no test asks
			}
			file := p.name
			if target != "" {
				file = path.Join(path.Dir(p.name), target)
			}
			if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
				t.Errorf("%s: (%s) leads nowhere", p.name, found[1])
			} else if other, is := all[file]; is && anchor != "" && !other.anchors()[anchor] {
				t.Errorf("%s: (%s): no such heading", p.name, found[1])
			}
		}
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeSpan = regexp.MustCompile("`[^`\n]+`")
)

// What the book names in the form of code exists: fields and functions of packages, variables of the environment, tests.
func TestBookNames(t *testing.T) {
	exported, words, tests := exportedNames(t), wordsOfTheCode(t), anyTests(t)
	for _, p := range pages(t, "docs") {
		for _, span := range codeSpan.FindAllString(strings.Join(p.prose, "\n"), -1) {
			span = strings.Trim(span, "`")
			for _, name := range qualified.FindAllString(span, -1) {
				first, rest, _ := strings.Cut(name, ".")
				if first == "Config" || first == "Requirement" || first == "Issuer" {
					first, rest = "access", name
				}
				if names, ours := exported[first]; ours && !strings.HasPrefix(rest, "Test") && !strings.HasPrefix(rest, "Example") && !names[rest] {
					t.Errorf("%s: `%s` does not exist", p.name, name)
				}
			}
			for _, name := range testName.FindAllString(span, -1) {
				if !tests[name] {
					t.Errorf("%s: there is no `%s`", p.name, name)
				}
			}
			if name := variable.FindString(span); name != "" && !words[name] {
				t.Errorf("%s: nothing reads `%s`", p.name, name)
			}
		}
	}
}

// Flags of senderlock that the book names, in its commands and in the form of code, exist.
func TestBookFlags(t *testing.T) {
	names, err := filepath.Glob("cmd/senderlock/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	found := 0
	for _, p := range pages(t, "docs") {
		named := codeSpan.FindAllString(strings.Join(p.prose, "\n"), -1)
		named = slices.DeleteFunc(named, func(span string) bool { return !strings.HasPrefix(span, "`--") })
		for _, block := range p.fences {
			for line := range strings.Lines(strings.ReplaceAll(block.text, "\\\n", " ")) {
				if _, arguments, is := strings.Cut(line, "senderlock "); is && block.language == "sh" {
					named = append(named, arguments)
				}
			}
		}
		for _, flag := range longFlag.FindAllStringSubmatch(strings.Join(named, "\n"), -1) {
			if found++; !strings.Contains(source.String(), `"`+flag[1]+`"`) {
				t.Errorf("%s: senderlock has no --%s", p.name, flag[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d flags were found", found)
	}
}

var longFlag = regexp.MustCompile(`(?:^|[\s` + "`" + `])--([a-z][a-z-]*)`)

var (
	qualified = regexp.MustCompile(`\b[A-Za-z]\w*(\.[A-Z]\w*)+`)
	testName  = regexp.MustCompile(`\b(Test|Example|Fuzz|Benchmark)[A-Z_]\w*`)
	variable  = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b`)
)

// exportedNames are the exported names of each package, and "Type.Member" of each member, by the package's name.
func exportedNames(t *testing.T) map[string]map[string]bool {
	t.Helper()
	found := map[string]map[string]bool{}
	for name, whole := range packages {
		folder, ours := strings.CutPrefix(whole, module+"/")
		if !ours {
			continue
		}
		names := map[string]bool{}
		goFiles(t, func(name string, file *ast.File) {
			if path.Dir(name) != folder || strings.HasSuffix(name, "_test.go") {
				return
			}
			for _, d := range file.Decls {
				declared(d, names)
			}
		})
		if len(names) == 0 {
			t.Fatalf("%s declares nothing", folder)
		}
		found[name] = names
	}
	return found
}

// declared notes the names of a declaration.
func declared(d ast.Decl, names map[string]bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			of := d.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			name = fmt.Sprint(of, ".", name)
		}
		names[name] = true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				members(s, names)
			}
		}
	}
}

func members(s *ast.TypeSpec, names map[string]bool) {
	var list *ast.FieldList
	switch kind := s.Type.(type) {
	case *ast.StructType:
		list = kind.Fields
	case *ast.InterfaceType:
		list = kind.Methods
	default:
		return
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			names[s.Name.Name+"."+name.Name] = true
		}
	}
}

var word = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b`)

// wordsOfTheCode are the words of the form of a variable in what is no Markdown.
func wordsOfTheCode(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !slices.Contains([]string{".go", ".pml", ".yml", ".yaml", ".sh"}, path.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(filepath.FromSlash(name))
		for _, w := range word.FindAllString(string(text), -1) {
			found[w] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// anyTests are the names of all tests, examples, fuzz targets and benchmarks.
func anyTests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for name := range testFunctions(t) {
		found[name[strings.LastIndex(name, ".")+1:]] = true
	}
	return found
}

// Each row of a table of threats says which test holds it, or that nothing does and why.
func TestThreatModel(t *testing.T) {
	held := 0
	for _, name := range []string{"docs/threat-model.md", "docs/questions-tokens.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		inTable := false
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
			last := cells[len(cells)-1]
			switch {
			case !strings.HasPrefix(line, "| "):
				inTable = false
			case last == "held by" || last == "shown by":
				inTable = true
			case !inTable || strings.HasPrefix(line, "| ---"):
			case testName.MatchString(last): // that it exists is for TestBookNames
				held++
			case !strings.HasPrefix(last, "not held"):
				t.Errorf("%s: no test, and not said that nothing holds it: %s", name, line)
			}
		}
	}
	if held < 40 {
		t.Errorf("only %d rows were found", held)
	}
}

// The table of contents has every page.
func TestTableOfContents(t *testing.T) {
	contents, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t, "docs") {
		name := strings.TrimPrefix(p.name, "docs/")
		if name == "README.md" || strings.HasPrefix(name, "questions-") { // which questions.md lists
			continue
		}
		if !bytes.Contains(contents, []byte("("+name+")")) {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}
