// Command mutate changes the sources of this module in small ways and asks whether anything notices: the tests of the
// package, and the conformance suite with our own middleware as its subject. From the root of the module:
//
//	go run ./conformance/internal/mutate -seed 1 -budget 10m
//
// All mutants are built in at once, each behind a switch, so that one build of each test serves them all. Each is asked of the
// tests alone in which it makes a difference where it stands: those of its own folder first, and of these the ones that found
// its neighbours. Without -budget and -sample every mutant is asked. Those of survivors.txt may survive, each for the reason
// there: they are left aside and not in the score, unless -listed asks them too, to see whether a test finds one by now. The
// status is 1 if the score is below -least.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type settings struct {
	packages, excused, from string
	sample, workers         int
	seed                    uint64
	budget, one, longest    time.Duration
	least                   float64
	list, listed            bool
}

func main() {
	var s settings
	flag.StringVar(&s.packages, "packages", "dpop,access,mtls,internal/p256", "the folders whose sources are changed")
	flag.StringVar(&s.excused, "excused", "conformance/internal/mutate/survivors.txt", "the `file` of survivors with a reason")
	flag.IntVar(&s.sample, "sample", 0, "how `many` mutants are asked: 0 is all")
	flag.Uint64Var(&s.seed, "seed", 1, "the `number` of the order in which mutants are asked")
	flag.DurationVar(&s.budget, "budget", 0, "ask no new mutant after this `time`: 0 is no end")
	flag.DurationVar(&s.one, "each", 20*time.Second,
		"the `time` for one run of tests, beside ten times what they take without a mutant; after it the mutant counts as found")
	flag.IntVar(&s.workers, "workers", 2, "how `many` mutants at once")
	flag.Float64Var(&s.least, "least", 95, "the least score in percent")
	flag.DurationVar(&s.longest, "longest", 0, "leave out tests that take more `time` than this: 0 is none")
	flag.StringVar(&s.from, "from", "", "ask those mutants alone that an earlier output, the `file`, calls survivors")
	flag.BoolVar(&s.listed, "listed", false, "ask those of -excused too, and tell those that are found")
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
	excused, err := excuses(filepath.Join(root, s.excused))
	if err != nil {
		return err
	}
	if stale := unknown(excused, mutants); len(stale) > 0 {
		return fmt.Errorf("%s lists what is no mutant: %q", s.excused, stale)
	}
	if s.from != "" {
		if mutants, err = again(s.from, mutants); err != nil {
			return err
		}
	}
	aside := 0
	if !s.listed {
		mutants = slices.DeleteFunc(mutants, func(m mutant) bool {
			if excused[m.key()] {
				aside++
			}
			return excused[m.key()]
		})
	}
	order := rand.New(rand.NewPCG(s.seed, 0)) // to be repeated
	order.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
	if s.sample > 0 && s.sample < len(mutants) {
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
	programs, err := build(root, folder, sources, strings.Split(s.packages, ","))
	if err != nil {
		return err
	}
	tests, err := trace(s, programs, folder)
	if err != nil {
		return err
	}
	return report(s, try(s, tests, mutants), excused, aside)
}

// again are the mutants that an earlier run has written down as survivors.
func again(file string, mutants []mutant) (list []mutant, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	place := regexp.MustCompile(`^survives (?:untouched )?(\S+?):\d+: (.*)$`)
	wanted := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if m := place.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			wanted[m[1]+": "+m[2]] = true
		}
	}
	return slices.DeleteFunc(mutants, func(m mutant) bool { return !wanted[m.key()] }), nil
}

// unknown are the keys in the folders of the mutants that none of these has.
func unknown(excused map[string]bool, mutants []mutant) (list []string) {
	keys, folders := map[string]bool{}, map[string]bool{}
	for _, m := range mutants {
		keys[m.key()], folders[path.Dir(m.file)] = true, true
	}
	for key := range excused {
		if file, _, _ := strings.Cut(key, ":"); folders[path.Dir(file)] && !keys[key] {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
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

// program is a test program with all mutants in it, and the tests in it that are asked: all of them if only is empty.
type program struct {
	folder, binary, only string
}

// build builds the tests of the folders and those of the suite.
func build(root, folder string, sources []*source, folders []string) (programs []program, err error) {
	replace := map[string]string{}
	write := func(path, text string) error {
		file := filepath.Join(folder, fmt.Sprint(len(replace), ".go"))
		replace[filepath.Join(root, path)] = file
		return os.WriteFile(file, []byte(text), 0o600)
	}
	if err := write("internal/switches/mutant.go", mutantSource); err != nil {
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
	for _, f := range append(slices.Clone(folders), suite) {
		p := program{folder: f, binary: filepath.Join(folder, strings.ReplaceAll(f, "/", "-")+".test")}
		if f == suite {
			p.only = "^TestMiddlewareStrict$"
		}
		cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(folder, "overlay.json"), "-o", p.binary, "./"+f)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("the mutants of %s do not build: %w\n%s", f, err, out)
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// suite is the folder of the conformance suite, whose strict run is asked last.
const suite = "conformance"

// test is one test of a program: how long it takes without a mutant, and the mutants that would make a difference in it, such
// as a check that always holds where it did not.
type test struct {
	*program
	name    string
	took    time.Duration
	touches map[int]bool
}

// trace runs each test once without any mutant, so that a mutant is later asked of those tests alone that it touches.
func trace(s *settings, programs []program, folder string) ([]test, error) {
	var tests []test
	for i := range programs {
		p := &programs[i]
		out, err := exec.Command(p.binary, "-test.list", cmp.Or(p.only, "^(Test|Fuzz|Example)")).Output()
		if err != nil {
			return nil, err
		}
		for name := range strings.FieldsSeq(string(out)) {
			tests = append(tests, test{program: p, name: name, touches: map[int]bool{}})
		}
	}
	var failures []error
	var mu sync.Mutex
	atOnce(s.workers, len(tests), func(i int) {
		t := &tests[i]
		file := filepath.Join(folder, fmt.Sprint("reached", i))
		begin := time.Now()
		out, err := t.run([]string{t.name}, 5*time.Minute, "SENDERLOCK_REACHED="+file)
		t.took = time.Since(begin)
		text, _ := os.ReadFile(file) // a test that none touches writes none
		for line := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(line); err == nil {
				t.touches[n] = true
			}
		}
		if err != nil {
			mu.Lock()
			failures = append(failures, fmt.Errorf("%s %s fails without any mutant: %w\n%s", t.folder, t.name, err, out))
			mu.Unlock()
		}
	})
	if s.longest > 0 {
		tests = slices.DeleteFunc(tests, func(t test) bool { return t.took > s.longest })
	}
	return tests, errors.Join(failures...)
}

// atOnce does n things, some at the same time.
func atOnce(workers, n int, do func(int)) {
	todo := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range todo {
				do(i)
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	all.Wait()
}

// run runs tests of a program and ends them when they take too long.
func (p *program) run(names []string, within time.Duration, environment string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-test.failfast", "-test.short", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir, cmd.Env = p.folder, append(os.Environ(), environment)
	cmd.WaitDelay = time.Second // what it has started may hold its output open
	return cmd.CombinedOutput()
}

// answer is what became of a mutant.
type answer struct {
	mutant
	by string // the folder whose tests found it
}

// try asks the tests about each mutant until the time is over.
func try(s *settings, tests []test, mutants []mutant) (answers []answer) {
	begin := time.Now()
	var mu sync.Mutex
	finders := finders{}
	atOnce(s.workers, len(mutants), func(i int) {
		m := mutants[i]
		if s.budget > 0 && time.Since(begin) > s.budget {
			return
		}
		mu.Lock()
		list := batches(tests, finders[m.file], m)
		mu.Unlock()
		a := answer{mutant: m}
		for _, batch := range list {
			if out, err := batch.run(s, m); err != nil {
				a.by = batch[0].folder
				mu.Lock()
				finders.learn(m, out)
				mu.Unlock()
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, a)
		switch {
		case len(list) == 0:
			fmt.Println("survives untouched", m)
		case a.by == "":
			fmt.Println("survives", m)
		}
	})
	return answers
}

// finders are, for each file, the tests that have found a mutant in it, the last one first.
type finders map[string][]string

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

func (f finders) learn(m mutant, output []byte) {
	if name := failed.FindSubmatch(output); name != nil {
		f[m.file] = slices.Insert(slices.DeleteFunc(f[m.file], func(n string) bool { return n == string(name[1]) }), 0, string(name[1]))
	}
}

// batch are tests of one program that are asked in one run.
type batch []test

func (b batch) run(s *settings, m mutant) ([]byte, error) {
	var names []string
	within := s.one
	for _, t := range b {
		names = append(names, t.name)
		within += 10 * t.took
	}
	return b[0].run(names, within, fmt.Sprint("SENDERLOCK_MUTANT=", m.number))
}

// batches are the tests that a mutant touches, in the order in which they are asked: those of its own folder, then the suite,
// then the others. Of its own folder those come first that found its neighbours, then the quick ones before the slow.
func batches(tests []test, neighbours []string, m mutant) (list []batch) {
	rank := func(t test) int {
		switch at := slices.Index(neighbours, t.name); {
		case t.folder == suite:
			return 1
		case t.folder != filepath.ToSlash(filepath.Dir(m.file)):
			return 2
		case at >= 0 && at < someNeighbours && t.took < batchTime:
			return -1
		}
		return 0
	}
	near := slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return !t.touches[m.number] })
	slices.SortStableFunc(near, func(a, b test) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.folder, b.folder), cmp.Compare(a.took, b.took))
	})
	var took time.Duration
	for i, t := range near {
		if i == 0 || rank(near[i-1]) != rank(t) || near[i-1].folder != t.folder || took+t.took > batchTime {
			list, took = append(list, nil), 0
		}
		list[len(list)-1], took = append(list[len(list)-1], t), took+t.took
	}
	return list
}

// batchTime is how long the tests of one run take together, if there are several.
const batchTime = 2 * time.Second

// someNeighbours is how many tests are asked first because they found other mutants of the file.
const someNeighbours = 8

// report tells the score. aside is how many of those that may survive were not asked.
func report(s *settings, answers []answer, excused map[string]bool, aside int) error {
	found, asked, by := 0, 0, map[string]int{}
	for _, a := range answers {
		switch {
		case excused[a.key()] && a.by == "":
			aside++
			continue
		case excused[a.key()]:
			fmt.Println("listed, and found by", a.by, a.mutant)
		}
		asked++
		if a.by != "" {
			found++
			by[a.by]++
		}
	}
	score := 100 * float64(found) / float64(max(1, asked))
	fmt.Printf("%d of %d mutants found, %.1f %%: %v; %d that may survive by %s are not counted\n", found, asked, score, by, aside, s.excused)
	if score < s.least {
		return fmt.Errorf("the score is %.1f %%, want %.0f %%", score, s.least)
	}
	return nil
}

// excuses reads the mutants that may survive: a line each, with a reason in the line before.
func excuses(file string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
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
