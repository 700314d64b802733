package senderlock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/senderlock/senderlock"

// expected are the packages without which the rules below would check nothing.
var expected = []string{"dpop", "access", "echoauth"}

// layers says which folders of this module a folder may reach, by any number
// of steps. None of them may reach Echo; that is for echoauth alone.
var layers = map[string][]string{
	"reason":     {},
	"dpop":       {"internal", "reason"},
	"mtls":       {"internal", "reason"},
	"revocation": {"internal", "reason"},
	"logqueue":   {},
	"redisstore": {"dpop", "revocation", "internal", "reason"},
	"access":     {"dpop", "mtls", "revocation", "internal", "reason"},
	"echoauth":   {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	"otelauth":   {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	"admin":      {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	"storetest":  {"dpop", "revocation", "internal", "reason"},
	// What users' tests need. It plays the issuer and the client; the guard under test is theirs.
	"senderlocktest": {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	"conformance":    {"internal/mint"},
	"gateway":        {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	// What packages share knows none of those that share it.
	"internal": {"reason"},
	// What programs share sits on top of the library, as they do.
	"internal/settings": {"access", "admin", "dpop", "mtls", "revocation", "redisstore", "internal", "reason"},
	"internal/explain":  {"access", "dpop", "mtls", "revocation", "internal", "reason"},
	// What tests share of the suite.
	"internal/onedecision": {"access", "conformance", "dpop", "mtls", "revocation", "internal", "reason"},
}

var programs = []string{"internal/settings", "internal/explain", "internal/onedecision"}

// apart are the packages of this module that a folder may import itself: those that share no code with what they test,
// and adapters, which decide nothing and so need nothing but the guard.
var apart = map[string][]string{
	"storetest":     {"dpop", "revocation"},
	"otelauth":      {"access", "reason"},
	"admin":         {"access", "revocation", "internal/setting"},
	"internal/mint": {},
	"internal/peer": {},
}

// adapters know their framework and the guard.
var adapters = map[string]string{"echoauth": echo + "/v4", "echoauth/v5": echo + "/v5"}

const echo = "github.com/labstack/echo"

// importers says which folders may import a library themselves.
var importers = map[string][]string{
	echo:                             {"echoauth", "examples"},
	"github.com/dgraph-io/ristretto": {"dpop", "internal/cache"},
	"github.com/lestrrat-go/jwx":     {"internal/jwx"},
	module + "/internal/jwx":         {"access", "dpop/keyfile", "revocation/events", "examples"},
	"github.com/redis/rueidis":       {"redisstore"},
	"go.etcd.io/bbolt":               {"revocation"},
	"filippo.io/nistec":              {"internal/p256"},
	"filippo.io/bigmod":              {"internal/p256"},
	"go.opentelemetry.io/otel":       {"otelauth", "examples"},
	"github.com/prometheus":          {"examples"},
	"github.com/chromedp":            {"examples"},
	"github.com/spf13":               {"cmd"},
	"google.golang.org/grpc":         {"cmd"},
	"github.com/envoyproxy":          {"cmd"},
	"github.com/go-chi/chi":          {}, // tests alone
	// It weakens a server: those that explain refusals are none.
	module + "/internal/anynonce": {"dpop", "internal/explain", "cmd", "examples/playground"},
	// Only tests import what is for tests.
	module + "/internal/poptest":     {"echoauth/internal/echotest"},
	module + "/internal/onedecision": {},
	module + "/internal/settings":    {"cmd", "examples"},
	module + "/internal/explain":     {"cmd", "examples"},
	module + "/storetest":            {},
	module + "/senderlocktest":       {},
}

// hidden are the libraries whose types stay out of the public API.
var hidden = []string{
	"github.com/lestrrat-go/jwx",
	"github.com/dgraph-io/ristretto",
	"github.com/redis/rueidis",
}

// A listed package is the part of the go list output that the rules need.
type listed struct {
	ImportPath   string
	Name         string
	Export       string // the file with its compiled API
	Imports      []string
	TestImports  []string
	XTestImports []string
}

type graph map[string]listed

func TestImportsPointOneWay(t *testing.T) {
	for _, v := range violations(goList(t)) {
		t.Error(v)
	}
}

// One word for one thing: settings are settled, which completes and judges them, and nothing else is.
func TestSettingsAloneAreSettled(t *testing.T) {
	found := 0
	goFiles(t, func(name string, file *ast.File) {
		if isTest(name) {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if !strings.HasPrefix(n.Name.Name, "settle") {
					break
				}
				found++
				if results := n.Type.Results; results != nil && (len(results.List) > 1 || types.ExprString(results.List[0].Type) != "error") {
					t.Errorf("%s: %s is not of settings: it tells more than an error", name, n.Name.Name)
				}
			case *ast.Ident:
				if n.Name == "settled" {
					t.Errorf("%s: settled is for settings", name)
				}
			}
			return true
		})
	})
	if found < 20 {
		t.Errorf("%d functions settle", found)
	}
}

// SECURITY.md says who uses the library that gets no more fixes, and for what.
func TestUsersOfJWXAreNamed(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## jwx\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, folder := range importers[module+"/internal/jwx"] {
		if !strings.Contains(section, "`"+folder+"`") {
			t.Errorf("SECURITY.md does not say what %s does with jwx", folder)
		}
	}
	if len(importers["github.com/lestrrat-go/jwx"]) != 1 {
		t.Error("SECURITY.md says that jwx stands in one package")
	}
}

// Each rule has to be able to fail: every case adds one import too many to a
// graph that is in order.
func TestImportRulesCanFail(t *testing.T) {
	imports := func(from string, to ...string) func(graph) {
		return func(g graph) {
			p := g[from]
			p.Imports = append(slices.Clone(p.Imports), to...)
			g[from] = p
		}
	}
	own := func(folder string) string { return module + "/" + folder }

	for name, test := range map[string]struct {
		change func(graph)
		want   string // empty: in order
	}{
		"in order":                    {func(graph) {}, ""},
		"access may import mtls":      {imports(own("access"), own("mtls"), own("revocation")), ""},
		"no dpop":                     {func(g graph) { delete(g, own("dpop")) }, "dpop is missing"},
		"no access":                   {func(g graph) { delete(g, own("access")) }, "access is missing"},
		"no echoauth":                 {func(g graph) { delete(g, own("echoauth")) }, "echoauth is missing"},
		"dpop imports access":         {imports(own("dpop"), own("access")), "dpop reaches access"},
		"dpop imports echoauth":       {imports(own("dpop"), own("echoauth")), "dpop reaches echoauth"},
		"dpop imports mtls":           {imports(own("dpop"), own("mtls")), "dpop reaches mtls"},
		"dpop imports revocation":     {imports(own("dpop"), own("revocation")), "dpop reaches revocation"},
		"dpop imports examples":       {imports(own("dpop"), own("examples/authserver")), "dpop reaches examples/authserver"},
		"dpop by way of internal":     {imports(own("internal/jose"), own("mtls")), "dpop reaches mtls"},
		"a folder of revocation":      {imports(own("revocation/events"), own("access")), "revocation/events reaches access"},
		"a folder of dpop":            {imports(own("dpop/inner"), own("access")), "dpop/inner reaches access"},
		"mtls imports access":         {imports(own("mtls"), own("access")), "mtls reaches access"},
		"access imports echoauth":     {imports(own("access"), own("echoauth")), "access reaches echoauth"},
		"access imports the root":     {imports(own("access"), module), "access reaches ."},
		"access imports Echo":         {imports(own("access"), echo+"/v4"), "access imports " + echo},
		"access reaches Echo":         {imports(own("access"), "example.com/wrapper"), "access reaches " + echo},
		"poptest imports Echo":        {imports(own("internal/poptest"), echo+"/v4"), "internal/poptest imports " + echo},
		"internal imports upwards":    {imports(own("internal/jose"), own("dpop")), "internal/jose reaches dpop"},
		"internal reaches upwards":    {imports(own("internal/jose"), own("storetest")), "internal/jose reaches dpop"},
		"settings import the library": {imports(own("internal/settings"), own("access"), own("redisstore")), ""},
		"settings import an adapter":  {imports(own("internal/settings"), own("echoauth")), "internal/settings reaches echoauth"},
		"access explains itself":      {imports(own("access"), own("internal/explain")), "access imports " + own("internal/explain")},
		"access imports settings":     {imports(own("access"), own("internal/settings")), "access imports " + own("internal/settings")},
		"an example imports settings": {imports(own("examples/quickstart"), own("internal/settings")), ""},
		"gateway imports an adapter":  {imports(own("gateway"), own("echoauth")), "gateway reaches echoauth"},
		"internal imports reasons":    {imports(own("internal/jose"), own("reason")), ""},
		"peer imports its neighbour":  {imports(own("internal/peer"), own("internal/jose")), "internal/peer imports internal/jose"},
		"reason imports internal":     {imports(own("reason"), own("internal/jose")), "reason reaches internal/jose"},
		"contracts reach access":      {imports(own("storetest"), own("access")), "storetest reaches access"},
		"contracts share a helper":    {imports(own("storetest"), own("internal/jose")), "storetest imports internal/jose"},
		"dpop imports contracts":      {imports(own("dpop"), own("storetest")), "dpop imports " + own("storetest")},
		"access imports test keys":    {imports(own("access"), own("senderlocktest")), "access imports " + own("senderlocktest")},
		"test keys reach echoauth":    {imports(own("senderlocktest"), own("echoauth")), "senderlocktest reaches echoauth"},
		"an adapter imports dpop":     {imports(own("echoauth"), own("dpop")), "echoauth imports dpop"},
		"an adapter of the other":     {imports(own("echoauth/v5"), echo+"/v4"), "echoauth/v5 imports " + echo + "/v4"},
		"an adapter of its own":       {imports(own("echoauth/v5"), echo+"/v5", own("access")), ""},
		"otelauth imports dpop":       {imports(own("otelauth"), own("dpop")), "otelauth imports dpop"},
		"admin imports dpop":          {imports(own("admin"), own("dpop")), "admin imports dpop"},
		"access imports admin":        {imports(own("access"), own("admin")), "access reaches admin"},
		"echoauth imports ristretto":  {imports(own("echoauth"), "github.com/dgraph-io/ristretto/v2"), "echoauth imports github.com/dgraph-io/ristretto"},
		"access imports rueidis":      {imports(own("access"), "github.com/redis/rueidis"), "access imports github.com/redis/rueidis"},
		"jose imports jwx":            {imports(own("internal/jose"), "github.com/lestrrat-go/jwx/v2/jws"), "internal/jose imports github.com/lestrrat-go/jwx"},
		"jose imports our jwx":        {imports(own("internal/jose"), own("internal/jwx")), "internal/jose imports " + own("internal/jwx")},
		"access imports bbolt":        {imports(own("access"), "go.etcd.io/bbolt"), "access imports go.etcd.io/bbolt"},
		"dpop imports nistec":         {imports(own("dpop"), "filippo.io/nistec"), "dpop imports filippo.io/nistec"},
		"access imports otel":         {imports(own("access"), "go.opentelemetry.io/otel/metric"), "access imports go.opentelemetry.io/otel"},
		"the root imports an example": {imports(module, own("examples/authserver")), ". imports examples/authserver"},
		"a command logs in":           {imports(own("cmd/senderlock"), own("examples/session"), "github.com/spf13/cobra"), ""},
		"an example has commands":     {imports(own("examples/quickstart"), "github.com/spf13/cobra"), "examples/quickstart imports github.com/spf13"},
		"an example imports poptest":  {imports(own("examples/quickstart"), own("internal/poptest")), "examples/quickstart imports " + own("internal/poptest")},
		"echoauth imports poptest":    {imports(own("echoauth"), own("internal/poptest")), "echoauth imports " + own("internal/poptest")},
		"its suite imports poptest":   {imports(own("echoauth/internal/echotest"), own("internal/poptest")), ""},
		"echoauth imports its suite":  {imports(own("echoauth"), own("echoauth/internal/echotest")), "echoauth imports echoauth/internal/echotest"},
		"conformance reaches access":  {imports(own("conformance"), own("access")), "conformance reaches access"},
		"conformance shares a parser": {imports(own("conformance"), own("internal/jose")), "conformance reaches internal/jose"},
		"conformance mints":           {imports(own("conformance"), own("internal/mint")), ""},
		"its command imports it":      {imports(own("conformance/cmd"), own("conformance")), ""},
		"its command imports others":  {imports(own("conformance/cmd"), own("echoauth")), "conformance/cmd reaches echoauth"},
		"a test imports an example": {func(g graph) {
			p := g[own("echoauth")]
			p.XTestImports = []string{own("examples/authserver")}
			g[own("echoauth")] = p
		}, "echoauth imports examples/authserver"},
		"a test imports poptest": {func(g graph) {
			p := g[own("echoauth")]
			p.TestImports = []string{own("internal/poptest")}
			g[own("echoauth")] = p
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := graph{
				module:                     {},
				own("dpop"):                {Imports: []string{own("internal/jose"), "github.com/dgraph-io/ristretto/v2"}},
				own("dpop/inner"):          {},
				own("mtls"):                {},
				own("revocation"):          {Imports: []string{"go.etcd.io/bbolt"}},
				own("access"):              {Imports: []string{own("dpop"), own("internal/jose")}},
				own("echoauth"):            {Imports: []string{own("access"), echo + "/v4"}},
				own("examples/authserver"): {},
				own("examples/quickstart"): {Imports: []string{own("echoauth"), own("examples/authserver"), echo + "/v4"}},
				own("internal/jose"):       {},
				own("conformance"):         {},
				own("conformance/cmd"):     {},
				own("cmd/senderlock"):      {},
				own("internal/poptest"):    {},
				own("internal/settings"):   {},
				own("gateway"):             {},
				own("storetest"):           {Imports: []string{own("dpop"), own("revocation")}},
				"example.com/wrapper":      {Imports: []string{echo + "/v4"}},
			}
			test.change(g)
			got := violations(g)
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("got %q, want nothing", got)
			case test.want != "" && !slices.Contains(got, test.want):
				t.Errorf("got %q, want %q among them", got, test.want)
			}
		})
	}
}

func TestPublicAPIHidesLibraries(t *testing.T) {
	g := goList(t)
	fset := token.NewFileSet()
	compiled := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		file := g[path].Export
		if file == "" {
			return nil, fmt.Errorf("go list gave no compiled API for %s", path)
		}
		return os.Open(file)
	})
	checked := 0
	for path, p := range g {
		rel, ok := inModule(path)
		if !ok || rel == "." || p.Name == "main" || in(rel, "internal", "examples") {
			continue
		}
		pkg, err := compiled.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range leaks(pkg) {
			t.Errorf("%s: %s", rel, leak)
		}
		checked++
	}
	if checked < len(expected) {
		t.Errorf("checked %d packages, want at least %d", checked, len(expected))
	}
}

func TestAPIRulesCanFail(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		leak   bool
	}{
		"parameter":                   {`func F(k jwk.Key) {}`, true},
		"result":                      {`func F() (*jwk.Key, error) { return nil, nil }`, true},
		"variable":                    {`var V []jwk.Key`, true},
		"map and function":            {`var V map[string]func(...jwk.Key)`, true},
		"exported field":              {`type T struct { K jwk.Key }`, true},
		"embedded":                    {`type T struct { jwk.Key }`, true},
		"embedded by way of a type":   {`type T struct { inner }; type inner struct { K jwk.Key }`, true},
		"method":                      {`type T struct{}; func (*T) M(jwk.Key) {}`, true},
		"method of a hidden result":   {`func F() inner { return inner{} }; type inner struct{}; func (inner) M(jwk.Key) {}`, true},
		"interface method":            {`type I interface { M() jwk.Key }`, true},
		"alias":                       {`type T = jwk.Key`, true},
		"defined from it":             {`type T jwk.Set`, false},
		"type argument":               {`type T[P any] struct{}; var V T[jwk.Key]`, true},
		"constraint":                  {`func F[P jwk.Key]() {}`, true},
		"constraint of a type":        {`type T[P jwk.Key] struct{}`, true},
		"unexported field":            {`type T struct { k jwk.Key }`, false},
		"unexported function":         {`func f(jwk.Key) {}`, false},
		"unexported method":           {`type T struct{}; func (T) m(jwk.Key) {}`, false},
		"a type of the same spelling": {`type Key int; func F(Key) {}; func f(jwk.Key) {}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			fset := token.NewFileSet()
			compile := func(path, source string, imports mapImporter) *types.Package {
				file, err := parser.ParseFile(fset, path+".go", source, 0)
				if err != nil {
					t.Fatal(err)
				}
				config := types.Config{Importer: imports}
				pkg, err := config.Check(path, fset, []*ast.File{file}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return pkg
			}
			const path = "github.com/lestrrat-go/jwx/v2/jwk"
			jwk := compile(path, "package jwk; type Key interface{ ID() string }; type Set struct{}", nil)
			pkg := compile(module+"/dpop", "package dpop\nimport \""+path+"\"\nvar _ jwk.Key\n"+test.source, mapImporter{path: jwk})
			if got := leaks(pkg); (len(got) > 0) != test.leak {
				t.Errorf("leaks = %q, want any: %t", got, test.leak)
			}
		})
	}
}

// violations names each import that goes the wrong way, sorted.
func violations(g graph) []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	for _, folder := range expected {
		if _, ok := g[module+"/"+folder]; !ok {
			report("%s is missing", folder)
		}
	}
	for path, p := range g {
		from, ok := inModule(path)
		if !ok {
			continue
		}
		for layer, allowed := range layers {
			if !in(from, layer) || layer == "internal" && in(from, programs...) {
				continue
			}
			for to := range reached(g, path) {
				if rel, ok := inModule(to); ok && !in(rel, layer) && !in(rel, allowed...) {
					report("%s reaches %s", from, rel)
				}
				if in(to, echo) && layer != "echoauth" {
					report("%s reaches %s", from, echo)
				}
			}
		}
		for _, to := range p.Imports {
			for library, allowed := range importers {
				if in(to, library) && !in(from, allowed...) {
					report("%s imports %s", from, library)
				}
			}
			rel, own := inModule(to)
			if in(rel, "echoauth/internal/echotest") {
				report("%s imports %s", from, rel)
			}
			for folder, allowed := range apart {
				if own && in(from, folder) && !in(rel, folder) && !in(rel, allowed...) {
					report("%s imports %s", from, rel)
				}
			}
			if framework, ok := adapters[from]; ok && (own && rel != "access" || in(to, echo) && !in(to, framework)) {
				report("%s imports %s", from, strings.TrimPrefix(to, module+"/"))
			}
		}
		for _, to := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if rel, _ := inModule(to); in(rel, "examples") && !in(from, "examples", "cmd") {
				report("%s imports %s", from, rel)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// reached is everything a package imports, directly or by way of others.
func reached(g graph, path string) map[string]bool {
	seen := map[string]bool{}
	var walk func(string)
	walk = func(from string) {
		for _, to := range g[from].Imports {
			if !seen[to] {
				seen[to] = true
				walk(to)
			}
		}
	}
	walk(path)
	return seen
}

// leaks names each exported declaration of pkg in which a caller meets a type
// of a hidden library. It does not follow into a type of another module: what
// such a type is made of is that module's affair.
func leaks(pkg *types.Package) []string {
	var found []string
	for _, name := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		for _, leak := range slices.Sorted(maps.Keys(exposed(object.Type()))) {
			found = append(found, fmt.Sprintf("%s exposes %s", name, leak))
		}
	}
	return found
}

// exposed are the hidden libraries' types that a user of root can name or hold.
func exposed(root types.Type) map[string]bool {
	found := map[string]bool{}
	seen := map[types.Type]bool{}
	var visit func(types.Type)
	named := func(object *types.TypeName, arguments *types.TypeList) (own bool) {
		for argument := range arguments.Types() {
			visit(argument)
		}
		if object.Pkg() == nil { // error, any
			return false
		}
		path := object.Pkg().Path()
		if in(path, hidden...) {
			found[path+"."+object.Name()] = true
		}
		_, own = inModule(path)
		return own
	}
	parameters := func(list *types.TypeParamList) {
		for parameter := range list.TypeParams() {
			visit(parameter.Constraint())
		}
	}
	visit = func(t types.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.Alias:
			named(t.Obj(), t.TypeArgs())
			parameters(t.TypeParams())
			visit(types.Unalias(t))
		case *types.Named:
			if !named(t.Obj(), t.TypeArgs()) {
				return
			}
			parameters(t.TypeParams())
			visit(t.Underlying())
			for method := range t.Methods() {
				if method.Exported() {
					visit(method.Signature())
				}
			}
		case interface{ Elem() types.Type }: // pointer, slice, array, channel, map
			if m, ok := t.(*types.Map); ok {
				visit(m.Key())
			}
			visit(t.Elem())
		case *types.Signature:
			parameters(t.TypeParams())
			for v := range t.Params().Variables() {
				visit(v.Type())
			}
			for v := range t.Results().Variables() {
				visit(v.Type())
			}
		case *types.Struct:
			for field := range t.Fields() {
				if field.Exported() || field.Embedded() {
					visit(field.Type())
				}
			}
		case *types.Interface:
			for method := range t.ExplicitMethods() {
				if method.Exported() {
					visit(method.Signature())
				}
			}
			for embedded := range t.EmbeddedTypes() {
				visit(embedded)
			}
		case *types.Union:
			for term := range t.Terms() {
				visit(term.Type())
			}
		}
	}
	visit(root)
	return found
}

type mapImporter map[string]*types.Package

func (m mapImporter) Import(path string) (*types.Package, error) {
	if pkg := m[path]; pkg != nil {
		return pkg, nil
	}
	return nil, errors.New("no package " + path)
}

// goList is every package of the library, the command line and the examples, and every package
// they depend on.
func goList(t *testing.T) graph {
	t.Helper()
	g, err := listOnce()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return g
}

var listOnce = sync.OnceValues(func() (graph, error) {
	command := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Name,Export,Imports,TestImports,XTestImports",
		"./...", "./cmd/senderlock/...", "./examples/...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &stderr)
	}
	g := graph{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		g[p.ImportPath] = p
	}
})

// inModule is a package's folder in this module, "." for the root.
func inModule(path string) (folder string, ok bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// in reports whether path is one of the folders or below one of them.
func in(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}
