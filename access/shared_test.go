package access_test

import (
	"context"
	"errors"
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
