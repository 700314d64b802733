package senderlock_test

import (
	"go/ast"
	"path"
	"slices"
	"testing"

	"github.com/senderlock/senderlock/internal/speed"
)

// Every figure of docs/speed.md names the benchmark that makes it, and a test beside that benchmark runs the parts of it
// that are named.
func TestSpeedTableNamesItsBenchmarks(t *testing.T) {
	functions := map[string][]string{} // by folder
	goFiles(t, func(name string, file *ast.File) {
		for _, declared := range file.Decls {
			if f, is := declared.(*ast.FuncDecl); is && f.Recv == nil {
				folder := path.Dir(name)
				functions[folder] = append(functions[folder], f.Name.Name)
			}
		}
	})
	for _, row := range speed.Table(t, ".") {
		there := func(function string) bool { return slices.Contains(functions[row.Folder], function) }
		if !there(row.Top()) {
			t.Errorf("%s: there is no %s in %s", row.Path, row.Top(), row.Folder)
		}
		if !row.Fills() && !there("TestSpeedTable") {
			t.Errorf("%s: no TestSpeedTable in %s runs %s", row.Path, row.Folder, row.Top())
		}
	}
}

// README.md shows some rows of docs/speed.md, with its figures.
func TestReadmeShowsTheSpeedTable(t *testing.T) {
	table := speed.Table(t, ".")
	for _, cells := range speed.Below(t, "README.md", "| multiples of one bare verification |") {
		shown := func(row speed.Row) bool {
			return row.Path == cells[0] && row.Without == cells[1] && row.With == cells[2]
		}
		if !slices.ContainsFunc(table, shown) {
			t.Errorf("docs/speed.md has another row than README.md: %q", cells)
		}
	}
}
