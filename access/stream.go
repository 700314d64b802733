package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

const defaultStreamInterval = time.Second

const (
	maxStreamInterval = time.Minute

	// lookLimit is how long a look at a token may take. A store that hangs cannot tell.
	lookLimit = 5 * time.Second
)

var errLook = reason.NewTrouble("look_too_slow", "access: the look at the token of a long-lived response took too long")

// Stream says how the token of a long-lived response is looked after while the response goes on: server-sent
// events, a WebSocket, a long poll. The zero Stream looks once a second whether the token has been taken back.
type Stream struct {
	// Every is the time between two looks: for how long at most a response outlives a revocation. Zero means one
	// second; a minute is the most. A look at a memory or file store takes less than a microsecond; a token of
	// [Introspection] or of a Validator of your own costs one question more.
	Every time.Duration
	// Policies are asked at each look as well, with the request that began the response. Those of [Config.Policies]
	// judge requests and are not asked again; list here the ones that can change their mind.
	Policies []Policy
}

// Validate checks the settings, so that a route can be refused when it is made. Its error names the field and
// what to put there.
func (s Stream) Validate() error {
	if err := setting.Between("Every", &s.Every, defaultStreamInterval, time.Millisecond, maxStreamInterval); err != nil {
		return fmt.Errorf("access.Stream: %w", err)
	}
	if err := validPolicies(s.Policies); err != nil {
		return fmt.Errorf("access.Stream: %w", err)
	}
	return nil
}

// Watch returns a context for the long-lived response to an accepted request. It ends as the request's own
// context does, and as soon as another request with the same token would be refused: when the token expires, when the
// entry of [Config.Bearer] that took it ends, when it is taken back, when its issuer withdraws the key that signed it, and
// when the Guard is closed. [context.Cause] is then the [*Error] with which that request would be refused, and [Reason] names the cause.
// A token that only its validator knows to be good, such as one of [Introspection], can be taken back there too: the
// validator is asked at each look.
//
// A store that cannot tell, or does not within five seconds, ends the response too, since a response that nobody
// can take back must not go on: the cause is then the [*Error] with status 503, and a client that comes back is
// answered with 503 until the store can tell again.
//
// The handler has to heed the context: it stops writing, or closes its WebSocket, when the context is done. Call
// cancel when the response has ended; it releases everything. A wrong setting gives a context that has ended.
func (g *Guard) Watch(r *http.Request, grant *Grant, s Stream) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(r.Context())
	err := s.Validate()
	if grant == nil {
		err = errors.New("access: Watch without a grant: it is for a request that was accepted")
	}
	if err != nil {
		end(unavailable(err))
		return ctx, func() {}
	}
	if s.Every == 0 {
		s.Every = defaultStreamInterval
	}
	// With fields and a Grant of its own: the handler may change those of the request meanwhile.
	own := *grant
	own.take(&grant.Token)
	r = r.Clone(ctx)
	// Most responses are over before there is anything to look at: until then it costs a timer.
	first := time.AfterFunc(min(s.Every, g.left(&own)), func() { g.watch(ctx, end, r, &own, s) })
	return ctx, func() {
		first.Stop()
		end(context.Canceled)
	}
}

// left is how long a grant goes on unless it is taken back.
func (g *Guard) left(grant *Grant) time.Duration {
	last := grant.Expiry.Add(g.config.Leeway)
	if !grant.until.IsZero() && grant.until.Before(last) {
		last = grant.until
	}
	return last.Sub(g.config.Now())
}

// watch looks until the context ends, and ends it with the first refusal.
func (g *Guard) watch(ctx context.Context, end context.CancelCauseFunc, r *http.Request, grant *Grant, s Stream) {
	// On its own, so that a store that hangs does not hold it up.
	expiry := time.AfterFunc(g.left(grant), func() {
		if err := g.over(grant); err != nil {
			end(g.refuse(grant.scheme, CodeInvalidToken, err))
		}
	})
	defer expiry.Stop()
	defer func() { // nobody else would catch it here
		if p := recover(); p != nil {
			end(unavailable(errPanic.With("", "the look at a token").Because(fmt.Errorf("%v", p))))
		}
	}()
	next := time.NewTicker(s.Every)
	defer next.Stop()
	for ctx.Err() == nil {
		late := time.AfterFunc(lookLimit, func() { end(unavailable(errLook)) })
		err := g.stillGood(r, grant, s.Policies)
		late.Stop()
		if err != nil {
			end(g.refuse(grant.scheme, CodeInvalidToken, err))
			return
		}
		select {
		case <-ctx.Done():
		case <-next.C:
		}
	}
}

// over returns the cause if the time of a grant has run out.
func (g *Guard) over(grant *Grant) error {
	now := g.config.Now()
	if err := grant.lives(now, g.config.Leeway); err != nil {
		return err
	}
	return grant.ended(now)
}

// stillGood judges a token again as Check would, without the sender, who cannot change.
func (g *Guard) stillGood(r *http.Request, grant *Grant, policies []Policy) error {
	if g.closed.Load() {
		return errClosed
	}
	if err := g.over(grant); err != nil {
		return err
	}
	if grant.current != nil && !grant.current() {
		return ErrTokenKey
	}
	if grant.raw != "" {
		if _, _, err := g.token(r.Context(), grant.key, grant.raw); err != nil {
			return err
		}
	}
	if err := g.revoked(r.Context(), &grant.Token); err != nil {
		return err
	}
	if err := g.record(r, &grant.Token); err != nil {
		return err
	}
	return applyPolicies(policies, r, grant)
}
