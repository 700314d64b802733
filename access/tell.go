package access

import (
	"context"
	"log/slog"
	"net/http"
)

// decided tells the decision about a request. It returns the refusal to answer with: e, or our own trouble if the
// Observer panicked, or nil.
func (g *Guard) decided(r *http.Request, pattern string, grant *Grant, e *Error) *Error {
	e = g.pointing(r, e)
	if err := g.tell(r, pattern, grant, e); err != nil && e == nil {
		return unavailable(err)
	}
	return e
}

// tell tells a decision to the log and to the Observer. Received values are quoted by the cause; tokens and proofs are
// not in it. The error is that of an Observer that panicked.
func (g *Guard) tell(r *http.Request, pattern string, grant *Grant, e *Error) error {
	ctx := r.Context()
	if g.config.Observer.Decided == nil && !g.config.Log.Enabled(ctx, g.loudest(grant, e)) {
		return nil
	}
	d := g.decision(r, g.route(r, pattern), grant, e)
	text := "request refused"
	switch d.Outcome() {
	case Accepted:
		text = "request accepted"
	case Abandoned:
		text = "request abandoned"
	case Unavailable:
		text = "request could not be decided"
	}
	return g.announce(ctx, text, d)
}

// announce writes one line, and tells the Observer.
func (g *Guard) announce(ctx context.Context, text string, d Decision) error {
	g.say(ctx, text, d)
	if g.config.Observer.Decided == nil {
		return nil
	}
	err := guarded("Observer.Decided", func() error { g.config.Observer.Decided(ctx, d); return nil })
	if err != nil {
		g.config.Log.ErrorContext(ctx, "Observer.Decided failed", "cause", err.Error())
	}
	return err
}

// Logger returns [Config.Log], for adapters.
func (g *Guard) Logger() *slog.Logger { return g.config.Log }

// route is the pattern that a request matched, as the adapter knows it or else Config.Route. It is for people to read, so
// a function that panics costs no more than the name.
func (g *Guard) route(r *http.Request, pattern string) string {
	if pattern != "" {
		return pattern
	}
	if err := guarded("Route", func() error { pattern = g.config.Route(r); return nil }); err != nil {
		g.config.Log.ErrorContext(r.Context(), "Route failed", "cause", err.Error())
	}
	return pattern
}

// loudest is the highest level at which a decision may be told.
func (g *Guard) loudest(grant *Grant, e *Error) slog.Level {
	switch {
	case e != nil && e.Status >= http.StatusInternalServerError:
		return slog.LevelError
	case e == nil && grant.would == nil:
		return g.acceptedLevel()
	}
	return slog.LevelInfo
}

func (g *Guard) acceptedLevel() slog.Level {
	if g.config.LogAccepted {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// say writes one line.
func (g *Guard) say(ctx context.Context, text string, d Decision) {
	level := slog.LevelInfo
	switch d.Outcome() {
	case Accepted, Shadowed:
		if level = g.acceptedLevel(); d.Would != nil {
			level = slog.LevelInfo
		}
	case Unavailable:
		level = slog.LevelError
	case Abandoned:
		level = slog.LevelDebug
	}
	if g.config.Log.Enabled(ctx, level) {
		g.config.Log.LogAttrs(ctx, level, text, d.Attrs()...)
	}
}
