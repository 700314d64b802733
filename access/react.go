package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

const (
	defaultReactions = 60
	reactionLimit    = 5 * time.Second
)

// React answers an [Alert] by taking back what the token says: the token, its session, or the tokens of the key that it
// is bound to. Never by what the stranger presented, since anybody can present the key of somebody else. Fill in the
// fields and give [React.OnAlert] as [Config.OnAlert]. The zero React takes nothing back: the alert is told, and that is
// all.
//
// Mind that with any of them a thief, or a client that lost its key, can end what it has a token of.
type React struct {
	// By says what is taken back: [revocation.ByToken], [revocation.BySession], or [revocation.ByKey] for all tokens that
	// were issued until now to the key that the token is bound to, or to its certificate if it is bound to no key. Zero
	// takes nothing back.
	By revocation.By
	// Store is where it is taken back: that of [Config.Revocation] or Shared. Required with By.
	Store revocation.Store
	// MaxPerMinute is the most that is taken back in a minute, so that a flood neither fills the Store nor waits for it;
	// what is left out is logged at Error, and comes again with the next alert about the token. Zero means 60.
	MaxPerMinute int
	// Log hears at Warn of what was taken back, and at Error of what could not be. Nil means [slog.Default].
	Log *slog.Logger
}

// OnAlert checks the settings and makes the function; its error names the field and what to put there. The function is
// safe for concurrent use. It runs on the way of the refused request, for at most five seconds, also when its client has
// gone.
func (c React) OnAlert() (func(context.Context, Alert), error) {
	if err := errors.Join(
		setting.Between("MaxPerMinute", &c.MaxPerMinute, defaultReactions, 1, 10_000), setting.Made("Store", c.Store),
	); err != nil {
		return nil, fmt.Errorf("access.React: %w", err)
	}
	switch c.By {
	case 0:
		return func(context.Context, Alert) {}, nil
	case revocation.ByToken, revocation.BySession, revocation.ByKey:
	default:
		return nil, fmt.Errorf("access.React: By is %s: give ByToken, BySession, ByKey, or zero to take nothing back", c.By)
	}
	if c.Store == nil {
		return nil, errors.New("access.React: Store is nil: give the store of revocations that the Guard asks")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return (&reactor{React: c}).react, nil
}

// reactor counts what was taken back.
type reactor struct {
	React
	mu    sync.Mutex
	began time.Time // of the minute
	done  int       // in it
}

func (c *reactor) react(ctx context.Context, a Alert) {
	entry := c.entry(a)
	err := c.revoke(context.WithoutCancel(ctx), a, entry)
	attrs := []any{"by", entry.By.String(), "value", entry.Value, "issuer", entry.Issuer, "kind", a.Kind}
	if err != nil {
		c.Log.ErrorContext(ctx, "nothing was taken back after an alert", append(attrs, "cause", err.Error())...)
		return
	}
	c.Log.WarnContext(ctx, "taken back after an alert", attrs...)
}

func (c *reactor) revoke(ctx context.Context, a Alert, entry revocation.Entry) error {
	if entry.Value == "" {
		return fmt.Errorf("access: the token has no property by which to take back its %s", entry.By)
	}
	if !c.may(a.Time) {
		return fmt.Errorf("access: %d have been taken back within a minute", c.MaxPerMinute)
	}
	ctx, cancel := context.WithTimeout(ctx, reactionLimit)
	defer cancel()
	return c.Store.Revoke(ctx, entry)
}

// entry says what is taken back. A key is not lost with its token, so tokens that it gets from now on are good.
func (c *reactor) entry(a Alert) revocation.Entry {
	t, now := a.Token, a.Time.Add(cmp.Or(a.leeway, DefaultLeeway)) // on the issuer's clock
	switch {
	case c.By == revocation.ByToken:
		return revocation.Entry{Issuer: t.Issuer, By: c.By, Value: t.ID, Expiry: t.Expiry}
	case c.By == revocation.BySession:
		return revocation.Entry{Issuer: t.Issuer, By: c.By, Value: t.Session}
	case t.KeyThumbprint != "":
		return revocation.Entry{Issuer: t.Issuer, By: c.By, Value: t.KeyThumbprint, Before: now}
	}
	return revocation.Entry{Issuer: t.Issuer, By: revocation.ByCertificate, Value: t.CertThumbprint, Before: now}
}

// may counts one more, unless there have been too many.
func (c *reactor) may(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.began).Abs() >= time.Minute { // a clock that was set back does not wait to catch up
		c.began, c.done = now, 0
	}
	c.done++
	return c.done <= c.MaxPerMinute
}
