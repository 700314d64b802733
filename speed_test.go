package senderlock_test

import (
	"os"
	"os/exec"
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

// Every figure of docs/speed.md names the benchmark that makes it. Those that fill a memory first are listed here and not
// run; CI runs all of them once.
func TestSpeedTableNamesItsBenchmarks(t *testing.T) {
	fill := []string{"BenchmarkClients", "BenchmarkReplayClaim", "BenchmarkReplayMemory"}
	printed := map[string]string{}
	once := func(args ...string) string {
		key := strings.Join(args, " ")
		if printed[key] == "" {
			printed[key] = run(t, "go", append([]string{"test"}, args...)...)
		}
		return printed[key]
	}
	for _, row := range speedTable(t) {
		for _, benchmark := range row.benchmarks {
			top, _, _ := strings.Cut(benchmark, "/")
			var lines string
			if slices.Contains(fill, top) {
				benchmark, lines = top, once("-list", "^Benchmark", "./"+row.folder)
			} else {
				lines = once("-run", "^$", "-bench", "^"+top+"$", "-benchtime", "1x", "-cpu", "1", "./"+row.folder)
			}
			begins := func(line string) bool { return strings.Fields(line + " x")[0] == benchmark }
			if !slices.ContainsFunc(strings.Split(lines, "\n"), begins) {
				t.Errorf("%s: there is no %s in %s", row.path, benchmark, row.folder)
			}
		}
	}
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
