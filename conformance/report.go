package conformance

import (
	"encoding/json"
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
	HTTP2        bool            `json:"http2,omitempty"`
	Shuffle      uint64          `json:"shuffle,omitempty"` // the seed of the order
	Count        map[Outcome]int `json:"count"`
	Results      []Result        `json:"results"`
}

// Result is how one case ended.
type Result struct {
	ID          string        `json:"id"`
	Requirement string        `json:"requirement"`
	RFC         string        `json:"rfc"`
	Group       string        `json:"group"`
	Level       string        `json:"level"`
	Title       string        `json:"title"`
	Reason      string        `json:"reason,omitempty"`
	Wanted      string        `json:"wanted"` // "accepted", "refused", or how many were to be accepted
	Outcome     Outcome       `json:"outcome"`
	Why         string        `json:"why,omitempty"`       // it was skipped, and what would ask it
	Look        string        `json:"look,omitempty"`      // where the server decides it
	Problems    []string      `json:"problems,omitempty"`  // what is not as wanted
	Exchanges   []Exchange    `json:"exchanges,omitempty"` // unless it passed
	Duration    time.Duration `json:"duration_ns"`
}

// Exchange is a request and its answer as text, without signatures and opaque tokens.
type Exchange struct {
	Request  string `json:"request"`
	Response string `json:"response"`
	Rows     []Row  `json:"rows"` // what is in the request, beside a good one
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

// Failures returns the results of the cases that failed.
func (r *Report) Failures() []Result { return r.with(Fail) }

func (r *Report) with(outcome Outcome) (list []Result) {
	for _, result := range r.Results {
		if result.Outcome == outcome {
			list = append(list, result)
		}
	}
	return list
}

// Score counts the cases that passed among those that were asked and can fail.
func (r *Report) Score() string {
	return fmt.Sprintf("%d of %d cases", r.Count[Pass], r.Count[Pass]+r.Count[Fail]+r.Count[Warn])
}

// Verdict is the score in a sentence.
func (r *Report) Verdict() string {
	verdict := fmt.Sprintf("%s passed in profile %s", r.Score(), r.Profile)
	if r.HTTP2 {
		verdict += " over HTTP/2"
	}
	if r.Shuffle != 0 {
		verdict += fmt.Sprintf(" in the order %d", r.Shuffle)
	}
	return fmt.Sprintf("%s, %d failed, %d warnings, %d notes, %d skipped", verdict, r.Count[Fail], r.Count[Warn],
		r.Count[Note], r.Count[Skip])
}

// String tells the result as a terminal shows it: what was asked by which section, what is wrong, where to look, and the
// requests beside good ones.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n  %s %s, %s; wanted: %s\n", r.ID, r.Title, r.Level, r.Requirement, r.RFC, r.Wanted)
	for _, problem := range r.Problems {
		fmt.Fprintf(&b, "  ! %s\n", problem)
	}
	if r.Look != "" {
		fmt.Fprintf(&b, "  %s\n", r.Look)
	}
	for _, e := range r.Exchanges {
		b.WriteString("\n" + e.beside() + "\n  < " + strings.ReplaceAll(narrow(e.Response), "\n", "\n  < ") + "\n")
	}
	return b.String()
}

// The widths of a terminal's columns.
const (
	nameColumn  = 20
	valueColumn = 46
)

// beside is the table of an exchange: the good request on the left, the one that was sent on the right, and a star where
// they differ.
func (e *Exchange) beside() string {
	var b strings.Builder
	line := func(mark, name, good, sent string) {
		fmt.Fprintf(&b, "  %1s %-*s  %-*s  %s\n", mark, nameColumn, short(name, nameColumn), valueColumn,
			short(good, valueColumn), short(sent, 2*valueColumn))
	}
	part := ""
	line("", "", "a good request", "this request")
	for _, row := range e.Rows {
		if row.Part != part {
			part = row.Part
			fmt.Fprintf(&b, "    %s\n", part)
		}
		mark := ""
		if row.Changed {
			mark = "*"
		}
		line(mark, row.Name, row.Good, row.Sent)
	}
	return strings.TrimRight(b.String(), "\n")
}

// short cuts a text to a width.
func short(s string, width int) string {
	if letters := []rune(s); len(letters) > width {
		return string(letters[:width-1]) + "…"
	}
	return s
}

// narrow cuts the lines of an answer.
func narrow(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = short(lines[i], 2*valueColumn)
	}
	return strings.Join(lines[:min(len(lines), 20)], "\n")
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

// inFull is of how many warnings and failures a terminal shows what was sent and answered.
const inFull = 20

// WriteTable writes what a person reads in a terminal: a line for each group, what was not asked and why, the notes and
// warnings, and last the failures, the first 20 with what was sent and answered.
func (r *Report) WriteTable(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(out, "group\tpass\tfail\twarn\tnote\tskip\t\n")
	for _, g := range r.Groups() {
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t\n", g.Name, g.Count[Pass], g.Count[Fail], g.Count[Warn],
			g.Count[Note], g.Count[Skip])
	}
	_ = out.Flush()
	if skips := r.Skips(); len(skips) > 0 {
		_, _ = fmt.Fprintf(w, "\nNot asked\n")
		for _, skip := range skips {
			_, _ = fmt.Fprintf(w, "  %4d  %s\n", len(skip.Results), skip.Why)
		}
	}
	for _, section := range []struct {
		outcome Outcome
		title   string
	}{{Note, "Notes: what this server does where the RFCs leave it free"}, {Warn, "Warnings"}, {Fail, "Failures"}} {
		list := r.with(section.outcome)
		if len(list) > 0 {
			_, _ = fmt.Fprintf(w, "\n%s\n", section.title)
		}
		for i, result := range list {
			if i == inFull && section.outcome != Note {
				_, _ = fmt.Fprintf(w, "\n%d more, in full by --html, --json or --only NAME\n", len(list)-inFull)
			}
			if section.outcome == Note || i >= inFull {
				_, _ = fmt.Fprintf(w, "  %s  %s: %s: %s\n", result.Requirement, result.ID, result.Title,
					strings.Join(result.Problems, "; "))
				continue
			}
			_, _ = fmt.Fprintf(w, "\n%s", result)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s, in %v\n", r.Verdict(), r.Duration.Round(time.Millisecond))
	return err
}

// SkipReason are cases that were skipped for one reason.
type SkipReason struct {
	Why     string
	Results []Result
}

// Skips returns the skipped cases by the reason, in the order of the cases.
func (r *Report) Skips() (list []SkipReason) {
	for _, result := range r.with(Skip) {
		i := slices.IndexFunc(list, func(s SkipReason) bool { return s.Why == result.Why })
		if i < 0 {
			i = len(list)
			list = append(list, SkipReason{Why: result.Why})
		}
		list[i].Results = append(list[i].Results, result)
	}
	return list
}

// GroupCount is how the cases of one group ended.
type GroupCount struct {
	Name     string
	Count    map[Outcome]int
	Results  []Result
	Duration time.Duration
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
		groups[i].Duration += result.Duration
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
