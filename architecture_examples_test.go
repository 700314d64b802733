package senderlock_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exampled are the main types and functions that have an Example, by the folder of their package.
var exampled = map[string][]string{
	"access": {"New", "Guard_Handler", "Guard_Check", "Guard_Stream", "Requirement", "NewIntrospection", "NewToken", "Tickets",
		"Config_certificates", "WithGrant"},
	"conformance":       {"Run"},
	"dpop":              {"Signer", "Transport", "Transport_oauth2"},
	"dpop/keyfile":      {""},
	"echoauth":          {"", "Auth_Capture"},
	"echoauth/v5":       {"", "Auth_Capture"},
	"mtls":              {"ServerTLS", "FromProxy", "KeyPair", "Verification"},
	"otelauth":          {"New"},
	"redisstore":        {"Open"},
	"revocation":        {"Open", "NewMemory"},
	"senderlocktest":    {"", "Client_SignWithNonce", "Issuer_LogoutToken", "WithCertificate"},
	"revocation/events": {""},
}

// A reader can copy each Example as a whole program: it needs nothing that is declared in another file or in internal/.
func TestExamplesCanBeCopied(t *testing.T) {
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "internal" || path != "." && strings.HasPrefix(entry.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, example := range doc.Examples(file) {
			folder := filepath.ToSlash(filepath.Dir(path))
			found[folder] = append(found[folder], example.Name)
			if fault := uncopiable(example); fault != "" {
				t.Errorf("%s: Example %q %s", path, example.Name, fault)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, names := range exampled {
		for _, name := range names {
			if !slices.Contains(found[folder], name) {
				t.Errorf("%s has no Example %q", folder, name)
			}
		}
	}
}

// uncopiable says why an Example is not a program of its own, as go doc would show it.
func uncopiable(example *doc.Example) string {
	if example.Play == nil {
		return "uses what is declared in another file"
	}
	for _, path := range imports(example.Play) {
		if slices.Contains(strings.Split(path, "/"), "internal") {
			return "imports " + path
		}
	}
	if !runs(example.Play) {
		return "shows nothing"
	}
	return ""
}

// imports are those of a program that go/doc has put together, which fills in its declarations alone.
func imports(program *ast.File) (paths []string) {
	for _, d := range program.Decls {
		if d, ok := d.(*ast.GenDecl); ok {
			for _, spec := range d.Specs {
				if spec, ok := spec.(*ast.ImportSpec); ok {
					paths = append(paths, strings.Trim(spec.Path.Value, `"`))
				}
			}
		}
	}
	return paths
}

// runs reports whether the main function of a program does anything.
func runs(program *ast.File) bool {
	return slices.ContainsFunc(program.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Name.Name == "main" && len(f.Body.List) > 0
	})
}

func TestExampleRulesCanFail(t *testing.T) {
	for name, test := range map[string]struct{ imports, source, want string }{
		"in order":              {`"fmt"`, `func ExampleF() { fmt.Println() }`, ""},
		"with a helper":         {`"fmt"`, `func help() { fmt.Println() }; func ExampleF() { help() }`, ""},
		"beside a test":         {`"testing"`, `func TestF(*testing.T) {}; func ExampleF() { println() }`, ""},
		"a helper of elsewhere": {`"fmt"`, `func ExampleF() { fmt.Println(help()) }`, "uses what is declared in another file"},
		"internal":              {`"` + module + `/internal/poptest"`, `func ExampleF() { poptest.NewClock() }`, "imports " + module + "/internal/poptest"},
		"internal, in a helper": {`"` + module + `/internal/poptest"`, `func help() { poptest.NewClock() }; func ExampleF() { help() }`, "imports " + module + "/internal/poptest"},
		"internal to a package": {`"` + module + `/echoauth/internal/echotest"`, `func ExampleF() { echotest.Run() }`, "imports " + module + "/echoauth/internal/echotest"},
		"nothing but a comment": {`"fmt"`, `var _ = fmt.Sprint(); func ExampleF() { /* see TestF */ }`, "shows nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			source := fmt.Sprintf("package p_test\nimport %s\n%s", test.imports, test.source)
			file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", source, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if got := uncopiable(doc.Examples(file)[0]); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
