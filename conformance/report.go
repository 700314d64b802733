package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Warn Outcome = "warn" // a SHOULD that was not met, outside the strict profile
	Note Outcome = "note" // what the server does where the RFCs leave it free
	Skip Outcome = "skip"
)

// Report is what a server answered.
type Report struct {
	Subject      string          `json:"subject"`
	Profile      Profile         `json:"profile"`
	Started      time.Time       `json:"started"`
	Duration     time.Duration   `json:"duration_ns"`
	Algorithms   []string        `json:"algorithms"`     // of proofs, as the server offers them
	NonceInForce bool            `json:"nonce_in_force"` // every proof needed a nonce
	Count        map[Outcome]int `json:"count"`
	Results      []Result        `json:"results"`
}

// Result is how one case ended.
type Result struct {
	ID          string        `json:"id"`
	Requirement string        `json:"requirement"`
	Group       string        `json:"group"`
	Level       string        `json:"level"`
	Title       string        `json:"title"`
	Reason      string        `json:"reason,omitempty"`
	Outcome     Outcome       `json:"outcome"`
	Why         string        `json:"why,omitempty"`       // it was skipped
	Problems    []string      `json:"problems,omitempty"`  // what is not as wanted
	Exchanges   []Exchange    `json:"exchanges,omitempty"` // unless it passed
	Duration    time.Duration `json:"duration_ns"`
}

// Exchange is a request and its answer as text, without signatures and opaque tokens.
type Exchange struct {
	Request  string `json:"request"`
	Response string `json:"response"`
}

func (r *Report) add(result Result) {
	if r.Count == nil {
		r.Count = map[Outcome]int{}
	}
	r.Count[result.Outcome]++
	r.Results = append(r.Results, result)
}

// Failed reports whether any case failed. Warnings are no failures.
func (r *Report) Failed() bool { return r.Count[Fail] > 0 }

// Score counts the cases that passed among those that were asked and can fail.
func (r *Report) Score() string {
	return fmt.Sprintf("%d of %d", r.Count[Pass], r.Count[Pass]+r.Count[Fail]+r.Count[Warn])
}

func (r *Result) exchanges() string {
	var b strings.Builder
	for _, e := range r.Exchanges {
		fmt.Fprintf(&b, "\n> %s\n< %s\n", indent(e.Request, "> "), indent(e.Response, "< "))
	}
	return b.String()
}

func indent(s, prefix string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix)
}

// progress writes one line for each case that did not simply pass, and a count now and then.
func progress(w io.Writer, n, of int, r *Result) {
	switch r.Outcome {
	case Fail, Warn:
		_, _ = fmt.Fprintf(w, "%4d/%d  %-5s %s  %s: %s\n", n, of, r.Outcome, r.Requirement, r.ID,
			strings.Join(r.Problems, "; "))
	default:
		if n%50 == 0 || n == of {
			_, _ = fmt.Fprintf(w, "%4d/%d  …\n", n, of)
		}
	}
}

// WriteTable writes what a person reads in a terminal: a line for each group, then the failures and warnings with
// what was sent and answered, then notes and skips.
func (r *Report) WriteTable(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(out, "group\tpass\tfail\twarn\tnote\tskip\t\n")
	for _, g := range r.Groups() {
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t\n", g.Name, g.Count[Pass], g.Count[Fail], g.Count[Warn],
			g.Count[Note], g.Count[Skip])
	}
	_ = out.Flush()
	for _, section := range []struct {
		outcome Outcome
		title   string
	}{{Fail, "Failures"}, {Warn, "Warnings"}, {Note, "Notes"}, {Skip, "Skipped"}} {
		if r.Count[section.outcome] == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s\n", section.title)
		for _, result := range r.Results {
			if result.Outcome != section.outcome {
				continue
			}
			_, _ = fmt.Fprintf(w, "  %s  %-6s  %s: %s\n", result.Requirement, result.Level, result.ID, result.Title)
			if result.Why != "" {
				_, _ = fmt.Fprintf(w, "      %s\n", result.Why)
			}
			for _, problem := range result.Problems {
				_, _ = fmt.Fprintf(w, "      %s\n", problem)
			}
			if section.outcome == Fail || section.outcome == Warn {
				_, _ = fmt.Fprintf(w, "%s\n", strings.ReplaceAll(result.exchanges(), "\n", "\n      "))
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s passed in profile %s, %d failed, %d warnings, %d notes, %d skipped, in %v\n",
		r.Score(), r.Profile, r.Count[Fail], r.Count[Warn], r.Count[Note], r.Count[Skip],
		r.Duration.Round(time.Millisecond))
	return err
}

// GroupCount is how the cases of one group ended.
type GroupCount struct {
	Name    string
	Count   map[Outcome]int
	Results []Result
}

// Groups returns the results by group, in the order of the cases.
func (r *Report) Groups() []GroupCount {
	var groups []GroupCount
	for _, result := range r.Results {
		i := slices.IndexFunc(groups, func(g GroupCount) bool { return g.Name == result.Group })
		if i < 0 {
			i = len(groups)
			groups = append(groups, GroupCount{Name: result.Group, Count: map[Outcome]int{}})
		}
		groups[i].Count[result.Outcome]++
		groups[i].Results = append(groups[i].Results, result)
	}
	return groups
}

// WriteJSON writes the whole report.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteJUnit writes the report as JUnit XML, which CI systems read. Warnings and notes are output of cases that
// passed.
func (r *Report) WriteJUnit(w io.Writer) error {
	type message struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Failure *message `xml:"failure,omitempty"`
		Skipped *message `xml:"skipped,omitempty"`
		Output  string   `xml:"system-out,omitempty"`
	}
	type suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	type suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []suite  `xml:"testsuite"`
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
	all := suites{Name: "senderlock-conformance", Tests: len(r.Results), Failures: r.Count[Fail],
		Time: seconds(r.Duration)}
	for _, g := range r.Groups() {
		s := suite{Name: g.Name, Tests: len(g.Results), Failures: g.Count[Fail], Skipped: g.Count[Skip]}
		for _, result := range g.Results {
			c := testcase{Name: result.ID + ": " + result.Title, Class: result.Requirement,
				Time: seconds(result.Duration)}
			problems := strings.Join(result.Problems, "\n")
			switch result.Outcome {
			case Fail:
				c.Failure = &message{problems, result.exchanges()}
			case Skip:
				c.Skipped = &message{Message: result.Why}
			case Warn, Note:
				c.Output = string(result.Outcome) + ": " + problems
			}
			s.Cases = append(s.Cases, c)
		}
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
