package main

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/explain"
)

// reasons are those for which the Guard refuses each scene; empty: it accepts.
var reasons = map[string]string{
	"good": "", "nonce": "", "certificate": "",

	"thief": "key_mismatch", "bearer": "bound_token_as_bearer", "noProof": "proof_missing", "forged": "signature_invalid",
	"otherCertificate": "certificate_mismatch",

	"replay": "proof_replayed", "url": "htu_mismatch", "method": "htm_mismatch", "otherToken": "ath_mismatch",
	"old": "iat_too_old", "early": "iat_in_future", "noNonce": "nonce_missing",

	"altered": "signature_invalid", "proofNone": "alg_not_allowed", "private": "key_private", "twoProofs": "proof_multiple",
	"tokenNone": "token_jws_malformed", "tokenHMAC": "token_alg_not_allowed", "promoted": "token_signature_invalid",
	"strangers": "token_signature_invalid",

	"expired": "token_expired", "long": "token_lifetime_too_long", "unbound": "token_unbound",
	"audience": "token_audience_wrong", "takenBack": "token_revoked", "scope": "scope_missing",
}

func newTestDemo(t *testing.T) *demo {
	t.Helper()
	d, err := newDemo()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// played is the request of a scene.
func (d *demo) played(t *testing.T, name string) inputs {
	t.Helper()
	s, ok := sceneOf(name)
	if !ok {
		t.Fatalf("there is no scene %s", name)
	}
	in, err := d.play(s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (d *demo) judgedNow(t *testing.T, in inputs) *explain.Report {
	t.Helper()
	report, err := d.judge(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Each scene ends at the step that its attack is about, and all before that step are passed.
func TestScenes(t *testing.T) {
	d := newTestDemo(t)
	count := 0
	for _, g := range groups {
		for _, s := range g.Scenes {
			count++
			t.Run(s.Name, func(t *testing.T) {
				want, ok := reasons[s.Name]
				report := d.judgedNow(t, d.played(t, s.Name))
				if v := report.Verdict; !ok || v.Reason != want || v.Accepted != (want == "") || v.NotJudged != nil {
					t.Fatalf("%+v, want %q", v, want)
				}
				_, text, _ := explain.StepOf(want)
				behind := false
				for i, step := range report.Steps {
					if i > 0 && step.At < report.Steps[i-1].At {
						t.Errorf("%s is not in the order of the Guard", step.Text)
					}
					switch {
					case want != "" && step.Text == text:
						behind = true
						if step.Result != explain.Refused {
							t.Errorf("%+v, want it refused", step)
						}
					case step.Result == explain.Refused, behind && step.Result != explain.NotReached:
						t.Errorf("%+v", step)
					}
				}
				if behind != (want != "") {
					t.Errorf("no step is refused for %s", want)
				}
			})
		}
	}
	if count != len(reasons) {
		t.Errorf("%d scenes, %d reasons", count, len(reasons))
	}
}

// A nonce that came with a refusal is good for the next proof.
func TestNonceOfARefusal(t *testing.T) {
	d := newTestDemo(t)
	in := d.played(t, "noNonce")
	nonce := d.judgedNow(t, in).Verdict.Nonce
	if nonce == "" {
		t.Fatal("no nonce came with the refusal")
	}
	var err error
	if in.Proof, err = d.proof(dpop.ProofOptions{
		Method: in.Method, URL: in.URL, AccessToken: in.Token, Nonce: nonce, IssuedAt: in.Now,
	}, "owner"); err != nil {
		t.Fatal(err)
	}
	if v := d.judgedNow(t, in).Verdict; !v.Accepted {
		t.Errorf("%+v", v)
	}
	in.Now = in.Now.Add(time.Hour)
	if v := d.judgedNow(t, in).Verdict; v.Reason != "nonce_old" {
		t.Errorf("an hour later: %+v", v)
	}
}

// One request leaves nothing behind for the next: only the switch says that it came before.
func TestNothingIsRemembered(t *testing.T) {
	d := newTestDemo(t)
	in := d.played(t, "good")
	for range 2 {
		if v := d.judgedNow(t, in).Verdict; !v.Accepted {
			t.Errorf("%+v", v)
		}
	}
	in.Again = true
	if v := d.judgedNow(t, in).Verdict; v.Reason != "proof_replayed" {
		t.Errorf("%+v", v)
	}
}
