package explain

import (
	"errors"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/anynonce"
	"github.com/senderlock/senderlock/reason"
)

// Report is what a request is, and what the decision says of each step.
type Report struct {
	Method  string    `json:"method"`
	Target  string    `json:"target"` // without the query
	Time    time.Time `json:"time"`
	Scheme  string    `json:"scheme,omitempty"`
	Proof   *JWT      `json:"proof,omitempty"`
	Token   *JWT      `json:"token,omitempty"`
	Notes   []string  `json:"assumed,omitempty"` // the caller's
	Steps   []Outcome `json:"steps"`
	Verdict Verdict   `json:"verdict"`
}

// Outcome is what came of a step.
type Outcome struct {
	Source string `json:"source"`
	Text   string `json:"text"`
	Result Result `json:"result"`
	Why    string `json:"why,omitempty"`
	At     int    `json:"-"` // where it stands in the order of the Guard
}

// Result is one of the following.
type Result string

// NotJudged is for want of something that only the server has, NotReached for a request that was refused before, or has
// nothing for the step to be about.
const (
	OK         Result = "ok"
	Refused    Result = "refused"
	NotJudged  Result = "not judged"
	NotReached Result = "not reached"
)

// Verdict is the decision. Nonce is what the server would answer in DPoP-Nonce.
type Verdict struct {
	Accepted   bool     `json:"accepted"`
	Status     int      `json:"status,omitempty"`
	Code       string   `json:"code,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Cause      string   `json:"cause,omitempty"`
	Expected   string   `json:"expected,omitempty"`
	Received   string   `json:"received,omitempty"`
	Difference string   `json:"difference,omitempty"`
	Nonce      string   `json:"-"`
	NotJudged  []string `json:"not_judged,omitempty"`
}

// report puts together what the request is and what the decision says.
func (s Server) report(r *http.Request, refusal error, proofAlone bool) *Report {
	scheme, token := Presented(r)
	p := &Report{
		Method: r.Method, Target: targetOf(r), Time: s.Config.Now().UTC(), Scheme: scheme,
		Proof: Show(r.Header.Get("DPoP")), Token: Show(token), Verdict: verdictOf(refusal),
	}
	j := judged{s, r, p, proofAlone}
	for i := range steps {
		if steps[i].remembered() && !s.Remembers || s.Opaque && steps[i].ofJWT() || !s.Opaque && steps[i].text == stepActive {
			continue
		}
		outcome := j.outcome(&steps[i], stepOf(p.Verdict.Reason), refusal != nil)
		if outcome.Result == NotJudged {
			p.Verdict.NotJudged = append(p.Verdict.NotJudged, outcome.Text)
		}
		p.Steps = append(p.Steps, outcome)
	}
	return p
}

func verdictOf(refusal error) Verdict {
	if refusal == nil {
		return Verdict{Accepted: true}
	}
	v := Verdict{Reason: reason.Of(refusal), Cause: refusal.Error()}
	if told, ok := errors.AsType[*access.Error](refusal); ok {
		v.Status, v.Code, v.Cause, v.Nonce = told.Status, told.Code, told.Err.Error(), told.Nonce
	}
	if cause, ok := errors.AsType[*reason.Error](refusal); ok {
		v.Expected, v.Received = cause.Expected, cause.Received
		if cause.Difference != 0 {
			v.Difference = cause.Difference.String()
		}
	}
	return v
}

// judged is a request that was decided about.
type judged struct {
	Server
	r          *http.Request
	report     *Report
	proofAlone bool
}

// outcome is what the decision says about a step. The Guard has taken all that come before the one at which it
// refused, in its own order.
func (j judged) outcome(s, refusedAt *step, refused bool) Outcome {
	o := Outcome{Source: s.source, Text: s.text, Result: OK, At: s.at}
	switch {
	case s == refusedAt:
		o.Result = Refused
	case refused && (refusedAt == nil || s.at >= refusedAt.at):
		o.Result = NotReached
	case s.about == proofs && j.r.Header["Dpop"] == nil:
		o.Result, o.Why = NotReached, "there is no proof"
	case j.proofAlone && (s.about != proofs || s.text == stepHash):
		o.Result, o.Why = NotReached, "there is no token, as at a token endpoint"
	case s.about == tokens && j.Opaque && j.Answer == nil && !s.remembered():
		o.Result, o.Why = NotJudged, "only the issuer knows"
	case s.text == stepKey && j.r.Header["Dpop"] == nil:
		o.Why = "it is bound to no key"
	case s.text == stepCertificate && j.r.TLS == nil:
		o.Why = "it is bound to none"
	case s.text == StepNonce && j.report.Proof.Text("nonce") == "":
		o.Why = "there is none, and none is demanded"
	case s.text == StepNonce && anynonce.Is(j.Config.Nonces.Secrets):
		o.Result, o.Why = NotJudged, "only the server knows"
	case s.text == StepNonce && !j.Config.RequireNonce:
		o.Why = "another server's would count as none"
	case s.text == stepTime && j.report.Proof.Text("nonce") != "":
		o.Why = "or a nonce of the server stands for that"
	case s.text == StepSignature && j.Keyless:
		o.Result, o.Why = NotJudged, "there are no keys"
	}
	return o
}
