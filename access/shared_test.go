package access_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// replayMemory keeps the two kinds of memory apart within shared.
type replayMemory = dpop.Memory

// shared is one store for both, as one in another process would be. It counts its round trips.
type shared struct {
	*replayMemory
	*revocation.Memory
	claims, lookups, together int
	trouble                   error // of what decides both
}

func newShared(t testing.TB, clock *poptest.Clock) *shared {
	t.Helper()
	replay, err := dpop.NewMemory(dpop.MemoryConfig{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := revocation.NewMemory(revocation.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(replay.Close(), revoked.Close()) })
	return &shared{replayMemory: replay, Memory: revoked}
}

func (s *shared) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	s.claims++
	return s.replayMemory.Claim(ctx, key, expiry)
}

func (s *shared) Revoked(ctx context.Context, token revocation.Token) (*revocation.Entry, error) {
	s.lookups++
	return s.Memory.Revoked(ctx, token)
}

func (s *shared) ClaimUnlessRevoked(ctx context.Context, key dpop.ReplayKey, expiry time.Time, token revocation.Token) (bool, *revocation.Entry, error) {
	s.together++
	entry, err := s.Memory.Revoked(ctx, token)
	if err != nil || s.trouble != nil {
		return false, entry, errors.Join(err, s.trouble)
	}
	fresh, err := s.replayMemory.Claim(ctx, key, expiry)
	return fresh, entry, err
}

var _ access.SharedStore = (*shared)(nil)

// outOfReach says that the store is, and remembers proofs in its place.
type outOfReach struct{ *dpop.Memory }

func (outOfReach) Down() bool { return true }

func (o outOfReach) Local() dpop.ReplayStore { return o.Memory }

// One store for both is asked once a request, and that a token was taken back counts whatever became of the claim.
func TestSharedStore(t *testing.T) {
	session := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"}
	for name, test := range map[string]struct {
		revoked bool
		trouble error
		status  int
		reason  string
	}{
		"good":                         {false, nil, 200, ""},
		"taken back":                   {true, nil, 401, "session_revoked"},
		"our own trouble":              {false, errors.New("no connection"), 503, "replay_store_unreachable"},
		"a named one":                  {false, dpop.ErrStoreFull, 503, "replay_memory_full"},
		"taken back, and trouble":      {true, errors.New("no connection"), 401, "session_revoked"},
		"trouble that looks a refusal": {false, access.ErrTokenInactive, 503, "token_inactive"},
	} {
		t.Run(name, func(t *testing.T) {
			var store *shared
			var register *revocation.Memory
			s := newSite(t, func(s *setup) {
				store, register = newShared(t, s.clock), newRevocations(t, s)
				s.Shared, s.Register = store, register
			})
			if test.revoked {
				if err := store.Revoke(t.Context(), session); err != nil {
					t.Fatal(err)
				}
			}
			store.trouble = test.trouble
			r := owner(bound(claim("sid", "s-1")))
			if test.status == 200 {
				s.accepts(t, s.Handler(s), r)
			} else {
				s.refuses(t, s.Handler(s), r, test.status, test.reason)
			}
			if store.together != 1 || store.claims != 0 || store.lookups != 0 {
				t.Errorf("%d round trips together, %d claims and %d look-ups apart", store.together, store.claims, store.lookups)
			}
			if uses := inUse(t, register); (len(uses) == 1) != (test.status == 200) {
				t.Errorf("on record: %+v", uses)
			}
			if test.status == 200 {
				s.refuses(t, s.Handler(s), r, 401, "proof_replayed")
			}
		})
	}
	t.Run("a proof that counts here alone does not go there", func(t *testing.T) {
		var store *shared
		s := newSite(t, func(s *setup) {
			store = newShared(t, s.clock)
			s.Shared, s.Fallback = store, outOfReach{newShared(t, s.clock).replayMemory}
		})
		if err := store.Revoke(t.Context(), session); err != nil {
			t.Fatal(err)
		}
		nonce := s.refuses(t, s.Handler(s), owner(bound()), 401, "replay_store_down").Header().Get("DPoP-Nonce")
		sent := func(token string) *http.Request {
			return get("DPoP "+token, poptest.Proof{Token: token, Nonce: nonce}.String())
		}
		s.refuses(t, s.Handler(s), sent(bound(claim("sid", "s-1"))), 401, "session_revoked")
		r := sent(bound())
		s.accepts(t, s.Handler(s), r)
		s.refuses(t, s.Handler(s), r, 401, "proof_replayed")
		if store.together != 0 || store.claims != 0 || store.lookups != 3 {
			t.Errorf("%d round trips together, %d claims and %d look-ups apart", store.together, store.claims, store.lookups)
		}
	})
	t.Run("without a proof there is only a look-up", func(t *testing.T) {
		var store *shared
		s := newSite(t, func(s *setup) {
			store = newShared(t, s.clock)
			s.Shared, s.InsecureAllowBearer = store, true
		})
		s.accepts(t, s.Handler(s), get("Bearer "+poptest.Token{}.String(), ""))
		if store.together != 0 || store.claims != 0 || store.lookups != 1 {
			t.Errorf("%d, %d, %d", store.together, store.claims, store.lookups)
		}
	})
}
