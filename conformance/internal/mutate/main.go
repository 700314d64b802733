// Command mutate changes the sources of this module in small ways and asks whether anything notices: the tests of the
// package, and the conformance suite with our own middleware as its subject. From the root of the module:
//
//	go run ./conformance/internal/mutate -sample 60 -seed 1 -for 10m
//
// All mutants are built in at once, each behind a switch, so that one build of each test serves them all. Without -sample
// every mutant is asked, which takes hours. survivors.txt lists those that may survive, each with a reason; the status is 1
// if another one does, or if the score is below -least.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

type settings struct {
	packages, excused string
	sample, workers   int
	seed              uint64
	within, one       time.Duration
	least             float64
	list              bool
}

func main() {
	var s settings
	flag.StringVar(&s.packages, "packages", "dpop,access,mtls", "the folders whose sources are changed")
	flag.StringVar(&s.excused, "excused", "conformance/internal/mutate/survivors.txt", "the `file` of survivors with a reason")
	flag.IntVar(&s.sample, "sample", 0, "how `many` mutants are asked: 0 is all")
	flag.Uint64Var(&s.seed, "seed", 1, "of the sample")
	flag.DurationVar(&s.within, "for", 0, "ask no new mutant after this `time`: 0 is no end")
	flag.DurationVar(&s.one, "each", 4*time.Minute, "for one run of a test, after which the mutant counts as found")
	flag.IntVar(&s.workers, "workers", 2, "how `many` mutants at once")
	flag.Float64Var(&s.least, "least", 95, "the least score in percent")
	flag.BoolVar(&s.list, "list", false, "list the mutants and ask none")
	flag.Parse()
	if err := run(&s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(s *settings) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	sources, mutants, err := plantAll(root, strings.Split(s.packages, ","))
	if err != nil {
		return err
	}
	if s.sample > 0 && s.sample < len(mutants) {
		order := rand.New(rand.NewPCG(s.seed, 0)) //nolint:gosec // to be repeated
		order.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:s.sample]
	}
	if s.list {
		for _, m := range mutants {
			fmt.Println(m)
		}
		return nil
	}
	folder, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	tests, err := build(root, folder, sources, strings.Split(s.packages, ","))
	if err != nil {
		return err
	}
	for _, test := range tests {
		if found, out := test.finds(s, mutant{}); found {
			return fmt.Errorf("%s fails without any mutant:\n%s", test.folder, out)
		}
	}
	return report(s, ask(s, tests, mutants), root)
}

// plantAll plants every mutant in the sources of the folders.
func plantAll(root string, folders []string) (sources []*source, mutants []mutant, err error) {
	n := 0
	for _, folder := range folders {
		names, err := fs.Glob(os.DirFS(root), folder+"/*.go")
		if err != nil {
			return nil, nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			s, err := plant(root, name, func() int { n++; return n })
			if err != nil {
				return nil, nil, err
			}
			if len(s.mutants) > 0 {
				sources, mutants = append(sources, s), append(mutants, s.mutants...)
			}
		}
	}
	return sources, mutants, nil
}

// test is a test program with all mutants in it.
type test struct {
	folder, binary, run string
}

// build builds the tests of the folders and those of the suite.
func build(root, folder string, sources []*source, folders []string) (tests []test, err error) {
	replace := map[string]string{}
	write := func(path, text string) error {
		file := filepath.Join(folder, fmt.Sprint(len(replace), ".go"))
		replace[filepath.Join(root, path)] = file
		return os.WriteFile(file, []byte(text), 0o600)
	}
	if err := write("internal/mutant/mutant.go", mutantSource); err != nil {
		return nil, err
	}
	for _, s := range sources {
		if err := write(s.path, s.planted()); err != nil {
			return nil, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		return nil, err
	}
	for _, f := range append(slices.Clone(folders), "conformance") {
		t := test{folder: f, binary: filepath.Join(folder, strings.ReplaceAll(f, "/", "-")+".test")}
		if f == "conformance" {
			t.run = "^TestMiddlewareStrict$"
		}
		cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(folder, "overlay.json"), "-o", t.binary, "./"+f) //nolint:gosec // ours
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("the mutants of %s do not build: %w\n%s", f, err, out)
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// finds reports whether a test fails with a mutant, and what it said.
func (t *test) finds(s *settings, m mutant) (bool, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), s.one)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.binary, "-test.failfast", "-test.short", "-test.run", t.run) //nolint:gosec // ours
	cmd.Dir, cmd.Env = t.folder, append(os.Environ(), fmt.Sprint("SENDERLOCK_MUTANT=", m.number))
	out, err := cmd.CombinedOutput()
	return err != nil, out
}

// answer is what became of a mutant.
type answer struct {
	mutant
	by string // the test that found it
}

// ask asks the tests about each mutant: those of its own folder first, the suite last.
func ask(s *settings, tests []test, mutants []mutant) (answers []answer) {
	begin := time.Now()
	todo := make(chan mutant)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() {
			for m := range todo {
				a := answer{mutant: m}
				for _, t := range order(tests, m) {
					if found, _ := t.finds(s, m); found {
						a.by = t.folder
						break
					}
				}
				mu.Lock()
				answers = append(answers, a)
				if a.by == "" {
					fmt.Println("survives", m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		if s.within > 0 && time.Since(begin) > s.within {
			break
		}
		todo <- m
	}
	close(todo)
	workers.Wait()
	return answers
}

// order is in which order the tests are asked about a mutant.
func order(tests []test, m mutant) []test {
	own := func(t test) int {
		switch t.folder {
		case filepath.ToSlash(filepath.Dir(m.file)):
			return 0
		case "conformance":
			return 1
		}
		return 2
	}
	list := slices.Clone(tests)
	slices.SortStableFunc(list, func(a, b test) int { return own(a) - own(b) })
	return list
}

// report tells the score, and which survivors nobody has excused.
func report(s *settings, answers []answer, root string) error {
	excused, err := excuses(filepath.Join(root, s.excused))
	if err != nil {
		return err
	}
	found, without, by := 0, 0, map[string]int{}
	for _, a := range answers {
		switch {
		case a.by != "":
			found++
			by[a.by]++
		case excused[a.key()]:
			found++
			by["(excused)"]++
		default:
			without++
		}
	}
	score := 100 * float64(found) / float64(max(1, len(answers)))
	fmt.Printf("%d of %d mutants found, %.1f %%: %v\n", found, len(answers), score, by)
	if score < s.least {
		return fmt.Errorf("the score is %.1f %%, want %.0f %%", score, s.least)
	}
	if without > 0 {
		fmt.Printf("%d survive and are not in %s\n", without, s.excused)
	}
	return nil
}

// key is what a mutant is called in the file of survivors: without its line, which moves.
func (m mutant) key() string { return m.file + ": " + m.operator + ": " + m.text }

// excuses reads the mutants that may survive: a line each, with a reason in the line before.
func excuses(file string) (map[string]bool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // of this module
	if err != nil {
		return nil, err
	}
	known, reason := map[string]bool{}, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			reason = true
		case line == "":
			reason = false
		case !reason:
			return nil, fmt.Errorf("%s: %q has no reason before it", file, line)
		default:
			known[line] = true
		}
	}
	return known, nil
}
