package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/terminal"
	"github.com/senderlock/senderlock/reason"
)

// report is what the command explain says.
type report struct {
	Method  string        `json:"method"`
	Target  string        `json:"target"` // without the query
	Time    time.Time     `json:"time"`
	Scheme  string        `json:"scheme,omitempty"`
	Proof   *shownJWT     `json:"proof,omitempty"`
	Token   *shownJWT     `json:"token,omitempty"`
	Notes   []string      `json:"assumed,omitempty"`
	Steps   []stepOutcome `json:"steps"`
	Verdict verdict       `json:"verdict"`
}

// stepOutcome is what came of a step: "ok", "refused", "not judged" for want of something, or "not reached".
type stepOutcome struct {
	Source string `json:"source"`
	Text   string `json:"text"`
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

type verdict struct {
	Accepted   bool     `json:"accepted"`
	Status     int      `json:"status,omitempty"`
	Code       string   `json:"code,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Cause      string   `json:"cause,omitempty"`
	Expected   string   `json:"expected,omitempty"`
	Received   string   `json:"received,omitempty"`
	Difference string   `json:"difference,omitempty"`
	NotJudged  []string `json:"not_judged,omitempty"`
}

// report puts together what the request is and what the decision says about each step.
func (e *explain) report(refusal error) *report {
	scheme, _ := presented(e.r)
	p := &report{
		Method: e.r.Method, Target: targetOf(e.r), Time: e.now.UTC(), Scheme: scheme,
		Proof: e.proof, Token: e.shown, Notes: e.notes, Verdict: verdict{Accepted: refusal == nil},
	}
	p.refused(refusal)
	for i := range steps {
		outcome := e.outcome(&steps[i], stepOf(p.Verdict.Reason), refusal)
		if outcome.Result == "not judged" {
			p.Verdict.NotJudged = append(p.Verdict.NotJudged, steps[i].text)
		}
		p.Steps = append(p.Steps, outcome)
	}
	return p
}

// refused writes a refusal into the verdict.
func (p *report) refused(refusal error) {
	if refusal == nil {
		return
	}
	v := &p.Verdict
	v.Reason, v.Cause = reason.Of(refusal), refusal.Error()
	if told, ok := errors.AsType[*access.Error](refusal); ok {
		v.Status, v.Code, v.Cause = told.Status, told.Code, told.Err.Error()
	}
	if cause, ok := errors.AsType[*reason.Error](refusal); ok {
		v.Expected, v.Received = cause.Expected, cause.Received
		if cause.Difference != 0 {
			v.Difference = cause.Difference.String()
		}
	}
}

// outcome is what the decision says about a step. The Guard has taken all that come before the one at which it
// refused, in its own order.
func (e *explain) outcome(s, refused *step, refusal error) stepOutcome {
	o := stepOutcome{Source: s.source, Text: s.text, Result: "ok"}
	switch {
	case s == refused:
		o.Result = "refused"
	case refusal != nil && (refused == nil || s.at >= refused.at):
		o.Result = "not reached"
	case s.about == proofs && e.r.Header["Dpop"] == nil:
		o.Result, o.Why = "not reached", "there is no proof"
	case s.about != proofs && e.withoutToken():
		o.Result, o.Why = "not reached", "there is no token, as at a token endpoint"
	case s.text == stepHash && e.withoutToken():
		o.Result, o.Why = "not reached", "there is no token, as at a token endpoint"
	case s.text == stepNonce && e.proof.text("nonce") == "":
		o.Why = "there is none, and none is demanded"
	case s.text == stepNonce && e.nonceSecret == "":
		o.Result, o.Why = "not judged", "only the server knows: --nonce-secret-file"
	case s.text == stepNonce && !e.required:
		o.Why = "another server's would count as none"
	case s.text == stepTime && e.proof.text("nonce") != "":
		o.Why = "or a nonce of the server stands for that"
	case s.text == stepSignature && e.keyless:
		o.Result, o.Why = "not judged", "there are no keys: --jwks"
	}
	return o
}

// marks are the results in a column of a terminal.
var marks = map[string]string{"ok": "ok", "refused": "NO", "not judged": "?", "not reached": "-"}

// print prints the report for a reader.
func (p *report) print(out io.Writer) error {
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
	p.Verdict.print(&text)
	_, err := io.WriteString(terminal.Plain(out), text.String())
	return err
}

func printJWT(text io.Writer, name string, j *shownJWT) {
	switch {
	case j == nil:
	case j.Header == nil:
		fmt.Fprintf(text, "%s  %d octets, not a JWT\n", name, j.Octets)
	default:
		fmt.Fprintf(text, "%s  %s\n       %s\n       and a signature, not shown\n", name, j.Header, j.Claims)
	}
}

func (v *verdict) print(text io.Writer) {
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
