package senderlock_test

import (
	"bytes"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// logging are the methods of slog.Logger that take a text, and our own functions that pass one on.
var logging = strings.Fields("Debug Info Warn Error DebugContext InfoContext WarnContext ErrorContext LogAttrs tell undone")

// Each line that the library logs is on the page that promises what is kept of them.
func TestLogLines(t *testing.T) {
	const name = "docs/logs-and-metrics.md"
	page, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, folder := range strings.Fields("access admin dpop echoauth gateway internal logqueue mtls otelauth redisstore revocation") {
		for _, text := range textsOfLogs(t, folder) {
			found++
			if !bytes.Contains(page, []byte("`"+text+"`")) {
				t.Errorf("%s has no line `%s` of %s", name, text, folder)
			}
		}
	}
	if found < 20 {
		t.Fatalf("only %d lines were found in the code", found)
	}
}

func textsOfLogs(t *testing.T, folder string) (texts []string) {
	t.Helper()
	goFiles(t, func(name string, file *ast.File) {
		if !in(name, folder) || isTest(name) || strings.Contains(name, "test/") {
			return
		}
		for n := range ast.Preorder(file) {
			call, is := n.(*ast.CallExpr)
			if !is || !slices.Contains(logging, called(call)) {
				continue
			}
			if i := slices.IndexFunc(call.Args, func(a ast.Expr) bool { return literal(a) != "" }); i >= 0 {
				texts = append(texts, literal(call.Args[i]))
			}
		}
	})
	return texts
}

// called is the name of the function or method; http.Error, which tells a client, has none.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if of, is := f.X.(*ast.Ident); !is || of.Name != "http" {
			return f.Sel.Name
		}
	}
	return ""
}
