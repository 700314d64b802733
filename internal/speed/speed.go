// Package speed reads the table of docs/speed.md, for the tests that hold it against the benchmarks that it names.
package speed

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Row is one of the table.
type Row struct {
	Path, Folder  string
	Benchmarks    []string // as go test prints them with -cpu 1
	Without, With string
}

// Top is the function that makes the figures of r.
func (r Row) Top() string {
	top, _, _ := strings.Cut(r.Benchmarks[0], "/")
	return top
}

// Fills reports whether the benchmark of r fills a memory first, which takes long: [Runs] leaves it out, and CI runs all
// benchmarks once.
func (r Row) Fills() bool {
	return slices.Contains([]string{"BenchmarkClients", "BenchmarkReplayClaim", "BenchmarkReplayMemory"}, r.Top())
}

// Table is the table of docs/speed.md in the repository at root.
func Table(t *testing.T, root string) (rows []Row) {
	t.Helper()
	for _, cells := range Below(t, filepath.Join(root, "docs/speed.md"), "| path | benchmark |") {
		name, variants, found := strings.Cut(strings.TrimPrefix(cells[1], "`"), "`")
		folder, benchmark, named := strings.Cut(name, " ")
		if !found || !named || len(cells) != 5 {
			t.Fatalf("docs/speed.md has a row without its benchmark: %q", cells)
		}
		row := Row{Path: cells[0], Folder: folder, Without: cells[2], With: cells[3]}
		for variant := range strings.SplitSeq(variants, ",") {
			row.Benchmarks = append(row.Benchmarks, benchmark+strings.TrimSpace(variant))
		}
		rows = append(rows, row)
	}
	return rows
}

// Below returns the cells of the table in a file whose first line begins like this, five in each row.
func Below(t *testing.T, file, begin string) (rows [][]string) {
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

// Runs fails where the table names a benchmark of the folder that there is not. The program of the test itself, which
// runs in that folder, runs each once, so that nothing is linked for it.
func Runs(t *testing.T, root, folder string) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("the tables that are measured are not built in FIPS 140 mode")
	}
	var tops, named []string
	for _, row := range Table(t, root) {
		if row.Folder == folder && !row.Fills() {
			tops, named = append(tops, row.Top()), append(named, row.Benchmarks...)
		}
	}
	if len(named) == 0 {
		t.Fatalf("docs/speed.md names no benchmark of %s", folder)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, "-test.run=^$", "-test.benchtime=1x", "-test.cpu=1",
		"-test.bench=^("+strings.Join(tops, "|")+")$")
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", run.Args, err, output)
	}
	var printed []string
	for line := range strings.Lines(string(output)) {
		name, _, _ := strings.Cut(line, " ")
		printed = append(printed, strings.TrimSpace(name))
	}
	for _, benchmark := range named {
		if !slices.Contains(printed, benchmark) {
			t.Errorf("docs/speed.md: there is no %s in %s", benchmark, folder)
		}
	}
}
