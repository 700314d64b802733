// Package reason has the two kinds of cause for which a request does not go on. An [Error] is a refusal: what the
// request brought was not enough, and the answer is a 4xx. A [Trouble] is our own: what a decision needs could not be
// had, and the answer is 503, whatever the request brought. Both have a stable name for logs and metrics, and what was
// expected and received, so that they diagnose themselves. Where both are in one chain of errors, the trouble counts.
//
// It knows nothing of proofs, tokens or HTTP; the causes themselves are in the packages that find them. Nothing in an
// Error or a Trouble is ever sent to a client but the Text of an Error.
package reason

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// How many octets of a value, and of a deeper cause in words, enter a log line. Both can hold what the
// client chose: an unknown algorithm in its key, the name of a doubled member.
const (
	maxQuoted = 200
	maxCause  = 500
)

// Error is a cause that lies with the request: a refusal. A sentinel made by [New] has only Name and Text;
// [Error.With] and its kin return a copy that still matches the sentinel under [errors.Is]. An Error is immutable once
// returned.
type Error struct {
	Name       string        // stable, for logs and metrics: "htu_mismatch"
	Text       string        // one sentence of ours
	Expected   string        // what would have been accepted, cut to 200 octets; empty when there is nothing to compare
	Received   string        // what came, cut to 200 octets; chosen by the client
	Difference time.Duration // for causes of time: how far outside the allowed window
	Err        error         // a deeper cause, or nil

	kind *Error
}

// New makes a sentinel.
func New(name, text string) *Error {
	return &Error{Name: name, Text: text}
}

// With returns a copy of e that holds the expected and the received value.
func (e *Error) With(expected, received string) *Error {
	c := e.copy()
	// A substring would keep the whole request field alive for as long as somebody holds the error.
	c.Expected, c.Received = cut(expected, maxQuoted), strings.Clone(cut(received, maxQuoted))
	return c
}

// Off returns a copy of e that says by how much a time missed its window.
func (e *Error) Off(difference time.Duration) *Error {
	c := e.copy()
	c.Difference = difference
	return c
}

// Because returns a copy of e with a deeper cause.
func (e *Error) Because(err error) *Error {
	c := e.copy()
	c.Err = err
	return c
}

// Named returns a copy of e under another name, still matching the same sentinel.
func (e *Error) Named(name string) *Error {
	c := e.copy()
	c.Name = name
	return c
}

func (e *Error) copy() *Error {
	c := *e
	if c.kind == nil {
		c.kind = e
	}
	return &c
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

// Error gives the text and what is known of the cause; received values are quoted, so that one refusal
// stays on one line of a log.
func (e *Error) Error() string {
	text := e.Text + compared(e.Expected, e.Received)
	if e.Difference != 0 {
		text += fmt.Sprintf(" (by %s)", e.Difference.Round(time.Millisecond))
	}
	return text + because(e.Err)
}

func compared(expected, received string) string {
	switch {
	case expected != "" && received != "":
		return fmt.Sprintf(": expected %q, received %q", expected, received)
	case expected != "":
		return fmt.Sprintf(": expected %q, received nothing", expected)
	case received != "":
		return fmt.Sprintf(": received %q", received)
	}
	return ""
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(": %q", cut(err.Error(), maxCause))
}

// Attrs returns what the cause compares as attributes of a log line: expected, received, difference, as far as they
// are known.
func (e *Error) Attrs() []slog.Attr {
	attrs := comparison(e.Expected, e.Received)
	if e.Difference != 0 {
		attrs = append(attrs, slog.Duration("difference", e.Difference))
	}
	return attrs
}

func comparison(expected, received string) (attrs []slog.Attr) {
	if expected != "" {
		attrs = append(attrs, slog.String("expected", expected))
	}
	if expected != "" || received != "" {
		attrs = append(attrs, slog.String("received", received))
	}
	return attrs
}

// Attrs returns err as attributes of a log line: its text as cause, the part of ours that has
// a [Trouble], and what the first cause in its chain compares, of a
// [Trouble] before that of an [Error].
func Attrs(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("cause", err.Error())}
	if part := Part(err); part != "" {
		attrs = append(attrs, slog.String("part", part))
	}
	if t, ok := errors.AsType[*Trouble](err); ok {
		return append(attrs, t.Attrs()...)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		attrs = append(attrs, e.Attrs()...)
	}
	return attrs
}

// LogValue gives name, text and what is known of the cause as a group.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(append([]slog.Attr{slog.String("reason", e.Name), slog.String("cause", e.Error())}, e.Attrs()...)...)
}

// Is reports whether target is the sentinel e was made from.
func (e *Error) Is(target error) bool {
	return e.kind != nil && target == error(e.kind)
}

// Unwrap returns the deeper cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the stable name of the cause in err's chain, of a [Trouble] before that of an [Error], or the empty string.
func Of(err error) string {
	if t, ok := errors.AsType[*Trouble](err); ok {
		return cmp.Or(t.Name, Of(t.Err), t.Fallback)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Name
	}
	return ""
}

// IsRefusal reports whether the cause in err's chain lies with the request: there is an [Error] and no [Trouble].
func IsRefusal(err error) bool {
	_, ours := errors.AsType[*Trouble](err)
	_, theirs := errors.AsType[*Error](err)
	return theirs && !ours
}
