package echoauth

import (
	"context"
	"log/slog"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
)

// teller tells decisions to the log and to the observer. Received values are quoted by the cause; tokens and proofs
// are not in it.
type teller struct {
	log     *slog.Logger
	level   slog.Level // of accepted requests
	observe func(context.Context, access.Decision)
}

func (c *Config) teller() teller {
	t := teller{log: c.Log, level: slog.LevelDebug, observe: c.Observer.Decided}
	if c.LogAccepted {
		t.level = slog.LevelInfo
	}
	return t
}

// hearsAccepted reports whether anybody wants to hear of accepted requests.
func (t teller) hearsAccepted(ctx context.Context) bool {
	return t.observe != nil || t.log.Enabled(ctx, t.level)
}

// accepted tells the decision about an accepted request, once.
func (t teller) accepted(c echo.Context, held *granted) {
	ctx := c.Request().Context()
	if held.told || !t.hearsAccepted(ctx) {
		return
	}
	held.told = true
	t.decided(ctx, access.NewDecision(c.Request(), c.Path(), held.grant, nil))
}

func (t teller) decided(ctx context.Context, d access.Decision) {
	text := "request refused"
	if d.Outcome() == access.Accepted {
		text = "request accepted"
	}
	t.say(ctx, text, d)
	if t.observe != nil {
		t.observe(ctx, d)
	}
}

// ended tells why a response that had begun was cut short. Its request was decided before.
func (t teller) ended(c echo.Context, held *granted, e *access.Error) {
	t.say(c.Request().Context(), "response ended", access.NewDecision(c.Request(), c.Path(), held.grant, e))
}

func (t teller) say(ctx context.Context, text string, d access.Decision) {
	level := slog.LevelInfo
	switch d.Outcome() {
	case access.Accepted:
		level = t.level
	case access.Unavailable:
		level = slog.LevelError
	}
	if t.log.Enabled(ctx, level) {
		t.log.LogAttrs(ctx, level, text, d.Attrs()...)
	}
}
