package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/internal/recent"
	"github.com/senderlock/senderlock/reason"
)

const (
	defaultRecheckTokens = 100_000
	lookupLimit          = 5 * time.Second
)

// Recheck looks the user of a token up from time to time instead of on every request, so that a locked account
// loses its tokens soon without a data base behind each call. Fill in the fields and call [Recheck.Policy].
//
// The first request with a token always looks up. With Requests and Percent both zero every request does; with both
// set, whichever comes first.
type Recheck struct {
	// Lookup asks the application about the user, or whatever else a token stands for. It returns nil to accept, and
	// refuses as a [Policy] does, [ErrAccount] being the usual cause. Any other error is our own trouble: the request
	// is answered with 503, and the next one looks up again. It has five seconds, after which its context ends.
	// Required; called by several goroutines at once.
	Lookup func(ctx context.Context, token *Token) error
	// Requests looks up again after so many requests with one token.
	Requests int
	// Percent looks up again after so much of the token's life, from 1 to 100: of a token of 15 minutes, 10 looks up
	// every 90 seconds.
	Percent int
	// Tokens is how many tokens are remembered, those that were used last, of some 250 octets each. Zero means 100,000.
	// One that is forgotten is looked up again, a refused one too.
	Tokens int
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Policy checks the settings and makes the policy; its error names the field and what to put there. A refusal is
// remembered with the token, which is not looked up again. Requests with one token that need a look-up at the same
// time share one.
func (c Recheck) Policy() (Policy, error) {
	switch {
	case c.Lookup == nil:
		return nil, errors.New("access.Recheck: Lookup is nil: give the function that knows whether a user is still welcome")
	case c.Requests < 0:
		return nil, fmt.Errorf("access.Recheck: Requests is %d: give a number of requests, or zero not to count", c.Requests)
	case c.Percent < 0 || c.Percent > 100:
		return nil, fmt.Errorf("access.Recheck: Percent is %d: give 1 to 100, or zero not to look at the time", c.Percent)
	case c.Tokens < 0:
		return nil, fmt.Errorf("access.Recheck: Tokens is %d: give a number of tokens, or zero for %d", c.Tokens, defaultRecheckTokens)
	}
	if c.Tokens == 0 {
		c.Tokens = defaultRecheckTokens
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &rechecker{Recheck: c, tokens: recent.New[string, *checked](c.Tokens)}
	return k.check, nil
}

// rechecker remembers when tokens were looked up.
type rechecker struct {
	Recheck
	flight singleflight.Group

	mu     sync.Mutex
	tokens *recent.Map[string, *checked]
}

// checked is what is known of one token.
type checked struct {
	mu      sync.Mutex
	known   bool      // it was looked up
	refusal error     // what was found; final unless nil
	uses    int       // since it was looked up
	until   time.Time // when it is looked up again
}

func (k *rechecker) check(r *http.Request, grant *Grant) error {
	if grant.key == "" { // not from Check: nothing to remember it by
		return k.lookup(r.Context(), &grant.Token)
	}
	token := k.token(grant.key)
	if due, refusal := k.due(token); !due {
		return refusal
	}
	// Not in the context of this request: others wait for the answer too.
	ctx := context.WithoutCancel(r.Context())
	asked := grant.Token
	question := k.flight.DoChan(grant.key, func() (any, error) {
		if due, refusal := k.due(token); !due { // another request was faster
			return nil, refusal
		}
		err := k.lookup(ctx, &asked)
		k.learn(token, &asked, err)
		return nil, err
	})
	_, err := await(r.Context(), question, lookupLimit, ErrUnavailable)
	return err
}

// token returns what is known of a token.
func (k *rechecker) token(key string) *checked {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, known := k.tokens.Get(key)
	if !known {
		t = &checked{}
		k.tokens.Add(key, t)
	}
	return t
}

// due reports whether a request has to look its token up. Otherwise it counts it, and returns what is known.
func (k *rechecker) due(t *checked) (due bool, refusal error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.refusal != nil:
		return false, t.refusal
	case !t.known, k.Requests == 0 && k.Percent == 0,
		k.Requests > 0 && t.uses >= k.Requests,
		k.Percent > 0 && !k.Now().Before(t.until):
		return true, nil
	}
	t.uses++
	return false, nil
}

// lookup calls the application. A panic is an error, since it may happen where nobody would catch it.
func (k *rechecker) lookup(ctx context.Context, token *Token) error {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	return guarded("Recheck.Lookup", func() error { return k.Lookup(ctx, token) })
}

// learn remembers an answer. Trouble is none, so the token stays due; nor is what may pass, such as too many requests.
func (k *rechecker) learn(t *checked, token *Token, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		begin := token.IssuedAt
		if begin.IsZero() {
			begin = token.NotBefore
		}
		t.known, t.uses = true, 1
		t.until = k.Now().Add(token.Expiry.Sub(begin) * time.Duration(k.Percent) / 100)
	case final(err):
		t.refusal = err
	}
}

// final reports whether a refusal will stand for as long as the token lives.
func final(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter == 0 && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
	}
	return reason.IsRefusal(err)
}
