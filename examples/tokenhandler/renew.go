package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/examples/codeflow"
)

const (
	// early is how long before the end of a token it is replaced.
	early = 30 * time.Second
	// longest is how long a request may last, from its first octet to the last of its answer.
	longest = 5 * time.Minute
	// remembered is for how long requests with the old tokens get the new ones: the answer that brings those to the
	// browser may be the slowest of all.
	remembered = longest
	// renewing is how long a renewal may take.
	renewing = 30 * time.Second
)

// refresher exchanges refresh tokens, as codeflow.Client does.
type refresher interface {
	Refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error)
}

// renewals refreshes each refresh token once, however many requests ask for it at the same time or a little later: an
// authorization server takes a refresh token that comes twice for a stolen one. It is safe for concurrent use.
type renewals struct {
	client refresher
	now    func() time.Time

	mu   sync.Mutex
	made map[[sha256.Size]byte]*renewal
}

type renewal struct {
	done  chan struct{} // closed once the rest is there
	token *oauth2.Token
	err   error
	ended time.Time
}

func newRenewals(client refresher, now func() time.Time) *renewals {
	return &renewals{client: client, now: now, made: map[[sha256.Size]byte]*renewal{}}
}

// renew returns the tokens that follow a refresh token, and when they came. The renewal goes on when the request that
// began it ends.
func (n *renewals) renew(ctx context.Context, refreshToken string) (*oauth2.Token, time.Time, error) {
	key := sha256.Sum256([]byte(refreshToken))
	n.mu.Lock()
	maps.DeleteFunc(n.made, func(_ [sha256.Size]byte, r *renewal) bool {
		return !r.ended.IsZero() && n.now().Sub(r.ended) >= remembered
	})
	r := n.made[key]
	if r == nil || r.outlived(refreshToken, n.now()) {
		r = &renewal{done: make(chan struct{})}
		n.made[key] = r
		go n.run(context.WithoutCancel(ctx), key, refreshToken, r)
	}
	n.mu.Unlock()
	select {
	case <-r.done:
		return r.token, r.ended, r.err
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// outlived reports whether the refresh token is still the one to use, as where servers do not replace it, while the
// token that it brought last is nearly over.
func (r *renewal) outlived(refreshToken string, now time.Time) bool {
	if r.token == nil || r.token.RefreshToken != refreshToken || r.token.ExpiresIn <= 0 {
		return false
	}
	return now.Sub(r.ended) >= time.Duration(r.token.ExpiresIn)*time.Second-early
}

func (n *renewals) run(ctx context.Context, key [sha256.Size]byte, refreshToken string, r *renewal) {
	ctx, cancel := context.WithTimeout(ctx, renewing)
	defer cancel()
	token, err := n.client.Refresh(ctx, refreshToken)
	n.mu.Lock()
	defer n.mu.Unlock()
	r.token, r.err, r.ended = token, err, n.now()
	if err != nil && !errors.Is(err, codeflow.ErrEnded) && n.made[key] == r {
		delete(n.made, key) // an outage; the next request tries again
	}
	close(r.done)
}

// latest returns the refresh token that has followed from another, as far as is known.
func (n *renewals) latest(refreshToken string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range len(n.made) {
		r := n.made[sha256.Sum256([]byte(refreshToken))]
		if r == nil || r.token == nil || r.token.RefreshToken == "" {
			break
		}
		refreshToken = r.token.RefreshToken
	}
	return refreshToken
}
