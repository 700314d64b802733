package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

var update = flag.Bool("update", false, "write the tables anew")

// The tables say what the vectors and the mutants are.
func TestDocuments(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), "-update -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the counts")
	}
	for name, want := range map[string]string{
		"README.md":  before + "-update -->\n" + counts() + "<!-- end -->" + after,
		"CASES.md":   casesTable(),
		"MUTANTS.md": mutantsTable(),
	} {
		got, err := os.ReadFile(name)
		if string(got) == want {
			continue
		}
		if !*update {
			t.Errorf("%s is old (%v): run go test ./conformance -run TestDocuments -update", name, err)
			continue
		}
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// isForm reports whether a case is a form that must be accepted.
func isForm(c *cases.Case) bool {
	return c.Level != cases.INFO && c.Steps[len(c.Steps)-1].Strict.Accept
}

func counts() string {
	var b strings.Builder
	var groups []string
	warm := 0
	all, forms, levels := map[string]int{}, map[string]int{}, map[string]int{}
	for _, c := range cases.All() {
		if all[c.Group] == 0 {
			groups = append(groups, c.Group)
		}
		all[c.Group]++
		levels[c.Level]++
		if c.Warm {
			warm++
		}
		if isForm(&c) {
			forms[c.Group]++
			forms[""]++
		}
	}
	fmt.Fprintf(&b, "%d cases: %d MUST, %d SHOULD, %d INFO, each with its RFC and section. %d of them are forms that must "+
		"be accepted.\n%d refusals are also asked warm. %d static proofs. %d planted defects.\n\n", len(cases.All()),
		levels[cases.MUST], levels[cases.SHOULD], levels[cases.INFO], forms[""], warm, len(cases.Statics()), len(mutants)+len(wired)+len(carelessness))
	b.WriteString("| group | cases | must be accepted |\n| --- | ---: | ---: |\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", g, all[g], forms[g])
	}
	return b.String()
}

var cell = strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;")

func casesTable() string {
	var b strings.Builder
	b.WriteString("# Cases\n\nMade from the vectors by `go test ./conformance -run TestDocuments -update`.\n")
	group := ""
	for _, c := range cases.All() {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "\n## %s\n\n| case | source | level | what is sent | answer |\n| --- | --- | --- | --- | --- |\n", group)
		}
		answer := "refused"
		last := c.Steps[len(c.Steps)-1].Strict
		if last.Any {
			answer = "not the resource"
		} else if last := c.Steps[len(c.Steps)-1].Strict; last.Accept && last.Exact == 0 {
			answer = "accepted"
		} else if last.Exact > 0 {
			answer = fmt.Sprintf("%d accepted", last.Exact)
		} else if len(last.Error) > 0 {
			answer = fmt.Sprintf("%d `%s`", last.Status[0], last.Error[0])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.ID, c.Requirement+", "+c.RFC, c.Level, cell.Replace(c.Title), answer)
	}
	return b.String()
}

func mutantsTable() string {
	var b strings.Builder
	b.WriteString("# Mutants\n\nEach defect is planted in a copy of this module, and the case beside it must find it. " +
		"Made by `go test ./conformance -run TestDocuments -update`.\n")
	for _, table := range []struct {
		title string
		list  []planted
	}{{"In the sources", mutants}, {"In the wiring", wired}, {"Careless servers", carelessness}} {
		fmt.Fprintf(&b, "\n## %s\n\n| defect | found by |\n| --- | --- |\n", table.title)
		for _, m := range table.list {
			fmt.Fprintf(&b, "| %s | `%s` |\n", cell.Replace(m.name), m.finds)
		}
	}
	return b.String()
}

// The list of what the OpenID Foundation's suite sends names cases that there are, and that expect the same.
func TestOpenID(t *testing.T) {
	list, err := os.ReadFile("OPENID.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*cases.Case{}
	for _, c := range cases.All() {
		known[c.ID] = &c
	}
	rows := 0
	for _, line := range strings.Split(string(list), "\n") {
		columns := strings.Split(line, " | ")
		if len(columns) != 3 || columns[1] != "accepted" && columns[1] != "refused" {
			continue
		}
		rows++
		for _, id := range strings.Split(strings.TrimSuffix(columns[2], " |"), ", ") {
			c := known[strings.Trim(id, "`")]
			if c == nil {
				t.Errorf("there is no case %s for %q", id, columns[0])
				continue
			}
			last := c.Steps[len(c.Steps)-1].Strict
			if last.Accept != (columns[1] == "accepted") || last.Refuses() != (columns[1] == "refused") {
				t.Errorf("case %s is not %s", id, columns[1])
			}
		}
	}
	if rows < 34 {
		t.Errorf("only %d rows are read", rows)
	}
}
