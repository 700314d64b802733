package access_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/revocation"
)

// A table that is wrong, of a client's key or an issuer's, is our own trouble: 503 for one request, with its reason in
// log and metrics, and no table is used any more.
func TestPrecomputedKeyThatDisagrees(t *testing.T) {
	poptest.NeedsTables(t)
	for name, test := range map[string]struct {
		change func(*setup)
		before int // accepted requests that make the table
	}{
		"a client's":  {func(s *setup) { s.PrecomputedKeys = 10 }, 4},
		"an issuer's": {func(s *setup) { s.PrecomputedIssuerKeys = 2 }, 0},
		"one of several issuer's keys": {func(s *setup) {
			s.PrecomputedIssuerKeys = 2
			s.Issuers[0].JWKS = poptest.JWKS(map[string]*poptest.Key{
				poptest.KeyID: poptest.IssuerKey(), "another": poptest.Keyed("ES256", "another"),
			})
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(precomputed.MakeWrong())
				var log bytes.Buffer
				var reasons []string
				s := newGuard(t, test.change, func(s *setup) {
					s.Log = slog.New(slog.NewTextHandler(&log, nil))
					s.Observer.Decided = func(_ context.Context, d access.Decision) {
						if d.Outcome() != access.Accepted {
							reasons = append(reasons, string(d.Outcome())+" "+d.Reason())
						}
					}
				})
				token := bound(func(t *poptest.Token) { t.Header = map[string]any{"kid": nil} })
				for range test.before {
					if _, err := s.Check(owner(token)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				_, err := s.Check(owner(token))
				expect(t, err, refusal{503, "", "precomputed_keys_disagree"})
				for range 3 {
					if _, err := s.Check(owner(bound())); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				}
				if want := []string{"unavailable precomputed_keys_disagree"}; !slices.Equal(reasons, want) {
					t.Errorf("decided %q, want %q", reasons, want)
				}
				if n := strings.Count(log.String(), "precomputed keys are off until"); n != 1 {
					t.Errorf("logged %d times that they are off:\n%s", n, log.String())
				}
				if n := s.PrecomputedStats().Disagreements; n != 1 {
					t.Errorf("%d disagreements", n)
				}
			})
		})
	}
}

// Both are off unless they are wanted, each by its own switch.
func TestPrecomputedKeysAreOffUnlessConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(precomputed.MakeWrong()) // so that any table would be noticed
		for name, change := range map[string]func(*setup){
			"none configured": func(*setup) {}, "WithoutDPoP": func(s *setup) { s.WithoutDPoP, s.InsecureAllowBearer = true, true },
		} {
			s := newGuard(t, change)
			for range 10 {
				r := owner(bound())
				if s.WithoutDPoP {
					r = get("Bearer "+poptest.Token{}.String(), "")
				}
				if _, err := s.Check(r); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				synctest.Wait()
			}
			if got := s.PrecomputedStats(); got != (dpop.PrecomputedStats{}) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

// What a shared store says of the token counts as well: a proof beside a token that was taken back was not accepted.
func TestPrecomputedKeysAndRevokedTokens(t *testing.T) {
	poptest.NeedsTables(t)
	synctest.Test(t, func(t *testing.T) {
		var store *shared
		s := newGuard(t, func(s *setup) {
			store = newShared(t, s.clock)
			s.Shared, s.PrecomputedKeys = store, 10
		})
		entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"}
		if err := store.Revoke(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			_, err := s.Check(owner(bound(claim("sid", "s-1"))))
			expect(t, err, refusal{401, access.CodeInvalidToken, "session_revoked"})
			synctest.Wait()
		}
		if got := s.PrecomputedStats(); got != (dpop.PrecomputedStats{}) {
			t.Errorf("revoked: %+v, want none", got)
		}
		for range 4 {
			if _, err := s.Check(owner(bound())); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := s.PrecomputedStats(); got.Held != 1 {
			t.Errorf("accepted: %+v, want one", got)
		}
	})
}
