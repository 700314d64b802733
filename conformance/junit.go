package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The elements of a JUnit report, as far as CI systems read them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML, which CI systems read. Warnings and notes are output of cases that
// passed.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{
		Name: "senderlock-conformance", Tests: len(r.Results), Failures: r.Count[Fail], Time: seconds(r.Duration),
	}
	for _, g := range r.Groups() {
		s := junitSuite{
			Name: g.Name, Tests: len(g.Results), Failures: g.Count[Fail], Skipped: g.Count[Skip], Time: seconds(g.Duration),
		}
		for _, result := range g.Results {
			s.Cases = append(s.Cases, result.junit())
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

func (r *Result) junit() junitCase {
	c := junitCase{Name: r.ID + ": " + r.Title, Class: r.Requirement, Time: seconds(r.Duration)}
	problems := strings.Join(r.Problems, "\n")
	switch r.Outcome {
	case Fail:
		c.Failure = &junitMessage{problems, r.String()}
	case Skip:
		c.Skipped = &junitMessage{Message: r.Why}
	case Warn, Note:
		c.Output = string(r.Outcome) + ": " + problems
	}
	return c
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
