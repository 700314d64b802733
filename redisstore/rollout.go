package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// Rollout keeps the summary of package access/rollout, whose Store it is, for all instances together.
type Rollout struct{ store *Store }

// Rollout returns where the summary of clients is kept: one key, for 400 days from the last change.
func (s *Store) Rollout() *Rollout { return &Rollout{s} }

const (
	rolloutLife = 400 * 24 * time.Hour

	// swapScript compares and sets. What is not there is an empty text, which no summary is.
	swapScript = `if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`
)

func (r *Rollout) key() string { return r.store.config.Namespace + ":rollout" }

// Load returns what is kept, or nil if nothing is.
func (r *Rollout) Load(ctx context.Context) ([]byte, error) {
	ctx, cancel := r.store.within(ctx)
	defer cancel()
	text, err := r.store.client.Do(ctx, r.store.client.B().Get().Key(r.key()).Build()).AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return text, nil
}

// Swap puts a new text in the place of the old one, and reports whether that was still what is kept.
func (r *Rollout) Swap(ctx context.Context, old, new []byte) (bool, error) {
	ctx, cancel := r.store.within(ctx)
	defer cancel()
	b := r.store.client.B()
	done, err := r.store.client.Do(ctx, b.Eval().Script(swapScript).Numkeys(1).Key(r.key()).
		Arg(string(old), string(new), fmt.Sprint(rolloutLife.Milliseconds())).Build()).AsInt64()
	if err != nil {
		return false, fmt.Errorf("redisstore: %w", err)
	}
	return done == 1, nil
}
