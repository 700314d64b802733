package senderlock_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A speedRow is one of the table in docs/speed.md.
type speedRow struct {
	path, folder  string
	benchmarks    []string // as go test prints them with -cpu 1
	without, with string
}

func speedTable(t *testing.T) (rows []speedRow) {
	t.Helper()
	for _, cells := range tableBelow(t, "docs/speed.md", "| path | benchmark |") {
		name, variants, found := strings.Cut(strings.TrimPrefix(cells[1], "`"), "`")
		folder, benchmark, named := strings.Cut(name, " ")
		if !found || !named || len(cells) != 5 {
			t.Fatalf("docs/speed.md has a row without its benchmark: %q", cells)
		}
		row := speedRow{path: cells[0], folder: folder, without: cells[2], with: cells[3]}
		for variant := range strings.SplitSeq(variants, ",") {
			row.benchmarks = append(row.benchmarks, benchmark+strings.TrimSpace(variant))
		}
		rows = append(rows, row)
	}
	return rows
}

// tableBelow returns the cells of a table whose first line begins like this.
func tableBelow(t *testing.T, file, begin string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n"+begin)
	if !found {
		t.Fatalf("%s has no table that begins with: %s", file, begin)
	}
	for line := range strings.SplitSeq(table, "\n") {
		if line == "" {
			break
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, slices.Concat(cells, make([]string, max(0, 5-len(cells))))[:max(5, len(cells))])
	}
	if len(rows) == 0 {
		t.Fatalf("%s has an empty table: %s", file, begin)
	}
	return rows
}

// Every figure of docs/speed.md names the benchmark that makes it. Those that fill a memory first are looked up in the source
// and not run; CI runs all of them once. The others run together, so that the go tool links each package once.
func TestSpeedTableNamesItsBenchmarks(t *testing.T) {
	fill := []string{"BenchmarkClients", "BenchmarkReplayClaim", "BenchmarkReplayMemory"}
	named := map[string][]string{} // to run, by folder
	var tops []string
	for _, row := range speedTable(t) {
		for _, benchmark := range row.benchmarks {
			top, _, _ := strings.Cut(benchmark, "/")
			switch {
			case !slices.Contains(fill, top):
				named[row.folder], tops = append(named[row.folder], benchmark), append(tops, top)
			case !slices.Contains(benchmarksIn(t, row.folder), top):
				t.Errorf("%s: there is no %s in %s", row.path, top, row.folder)
			}
		}
	}
	args := []string{"test", "-vet=off", "-run", "^$", "-benchtime", "1x", "-cpu", "1", "-bench", "^(" + strings.Join(tops, "|") + ")$"}
	for folder := range named {
		args = append(args, "./"+folder)
	}
	printed := map[string][]string{} // by folder
	var folder string
	for line := range strings.Lines(run(t, "go", args...)) {
		if path, is := strings.CutPrefix(line, "pkg: "+module+"/"); is {
			folder = strings.TrimSpace(path)
		}
		printed[folder] = append(printed[folder], strings.Fields(line + " x")[0])
	}
	for folder, benchmarks := range named {
		for _, benchmark := range benchmarks {
			if !slices.Contains(printed[folder], benchmark) {
				t.Errorf("docs/speed.md: there is no %s in %s", benchmark, folder)
			}
		}
	}
}

// benchmarksIn are the benchmarks of a package, as go test -list shows them.
func benchmarksIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	p, err := build.ImportDir(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if f, is := declared.(*ast.FuncDecl); is && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Benchmark") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// README.md shows some rows of docs/speed.md, with its figures.
func TestReadmeShowsTheSpeedTable(t *testing.T) {
	table := speedTable(t)
	for _, cells := range tableBelow(t, "README.md", "| multiples of one bare verification |") {
		shown := func(row speedRow) bool {
			return row.path == cells[0] && row.without == cells[1] && row.with == cells[2]
		}
		if !slices.ContainsFunc(table, shown) {
			t.Errorf("docs/speed.md has another row than README.md: %q", cells)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}
