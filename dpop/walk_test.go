package dpop_test

import (
	"net/http"
	"runtime/debug"
	"testing"

	"github.com/senderlock/senderlock/dpop"
)

// collectSeldom is for walks, which leave a thousand Verifiers behind: to collect them costs as much as to use them.
func collectSeldom(t *testing.T) {
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// sender sends the proofs of a walk, the same ones time and again. What a signature is worth never changes, and a walk is
// about the rest: that of a proof that was accepted is not verified again.
type sender struct {
	request *http.Request
	good    map[string]bool
}

func newSender() sender { return sender{requestWith(), map[string]bool{}} }

func (s sender) send(v *dpop.Verifier, proof string) (*dpop.Proof, error) {
	s.request.Header["Dpop"] = []string{proof}
	if !s.good[proof] {
		p, err := v.Verify(s.request, accessToken)
		s.good[proof] = err == nil
		return p, err
	}
	p, err := v.Read(s.request, accessToken)
	if err != nil {
		return nil, err
	}
	p.VerifiedBefore()
	if err := v.Remember(s.request.Context(), p); err != nil {
		return nil, err
	}
	return p, nil
}
