package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/senderlock/senderlock/internal/explain"
	"github.com/senderlock/senderlock/internal/terminal"
)

// marks are the results in a column of a terminal.
var marks = map[explain.Result]string{
	explain.OK: "ok", explain.Refused: "NO", explain.NotJudged: "?", explain.NotReached: "-",
}

// printReport prints a report for a reader.
func printReport(out io.Writer, p *explain.Report) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s at %s\n", p.Method, p.Target, p.Time.Format(time.RFC3339))
	printJWT(&text, "proof", p.Proof)
	printJWT(&text, "token", p.Token)
	for _, note := range p.Notes {
		fmt.Fprintf(&text, "note   %s\n", note)
	}
	fmt.Fprintln(&text)
	for _, s := range p.Steps {
		fmt.Fprintf(&text, "%-2s  %-17s %s", marks[s.Result], s.Source, s.Text)
		if s.Why != "" {
			fmt.Fprintf(&text, " (%s)", s.Why)
		}
		fmt.Fprintln(&text)
	}
	printVerdict(&text, p.Verdict)
	_, err := io.WriteString(terminal.Plain(out), text.String())
	return err
}

func printJWT(text io.Writer, name string, j *explain.JWT) {
	switch {
	case j == nil:
	case j.Header == nil:
		fmt.Fprintf(text, "%s  %d octets, not a JWT\n", name, j.Octets)
	default:
		fmt.Fprintf(text, "%s  %s\n       %s\n       and a signature, not shown\n", name, j.Header, j.Claims)
	}
}

func printVerdict(text io.Writer, v explain.Verdict) {
	switch {
	case v.Accepted && v.NotJudged == nil:
		fmt.Fprintln(text, "\naccepted")
	case v.Accepted:
		fmt.Fprintf(text, "\naccepted, if this holds: %s\n", strings.Join(v.NotJudged, "; "))
	case v.Status != 0:
		fmt.Fprintf(text, "\nrefused with %d %s, reason %s\n%s\n", v.Status, v.Code, v.Reason, v.Cause)
	default:
		fmt.Fprintf(text, "\nrefused, reason %s\n%s\n", v.Reason, v.Cause)
	}
}
