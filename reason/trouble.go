package reason

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
)

// Trouble is a cause that lies with us: a store that is full or down, an issuer that does not answer. A sentinel made by
// [NewTrouble] has only Name and Text; [Trouble.With] and [Trouble.Because] return a copy that still matches the sentinel
// under [errors.Is]. A Trouble is immutable once returned.
type Trouble struct {
	Name     string // stable, for logs and metrics: "replay_memory_full"; empty leaves it to the deeper cause
	Part     string // which part of ours has it: "replay_store"; empty leaves it to the deeper cause
	Fallback string // the name if Name is empty and no deeper cause has one: "replay_store_unreachable"
	Text     string // one sentence of ours, for logs
	Expected string // what would have worked, cut to 200 octets; empty when there is nothing to compare
	Received string // what there was, cut to 200 octets
	Err      error  // a deeper cause, or nil

	kind *Trouble
}

// NewTrouble makes a sentinel.
func NewTrouble(name, text string) *Trouble {
	return &Trouble{Name: name, Text: text}
}

// With returns a copy of t that holds the expected and the received value.
func (t *Trouble) With(expected, received string) *Trouble {
	c := t.copy()
	c.Expected, c.Received = cut(expected, maxQuoted), strings.Clone(cut(received, maxQuoted))
	return c
}

// At returns a copy of t that says which part of ours has it, how it is called if no deeper cause has a name, and what it
// is in one sentence of ours.
func (t *Trouble) At(part, fallback, text string) *Trouble {
	c := t.copy()
	c.Part, c.Fallback, c.Text = part, fallback, text
	return c
}

// Because returns a copy of t with a deeper cause.
func (t *Trouble) Because(err error) *Trouble {
	c := t.copy()
	c.Err = err
	return c
}

func (t *Trouble) copy() *Trouble {
	c := *t
	if c.kind == nil {
		c.kind = t
	}
	return &c
}

// Error gives the text and what is known of the cause, on one line of a log.
func (t *Trouble) Error() string { return t.Text + compared(t.Expected, t.Received) + because(t.Err) }

// Part returns which part of ours has the trouble in err's chain, or the empty string.
func Part(err error) string {
	t, ok := errors.AsType[*Trouble](err)
	if !ok {
		return ""
	}
	return cmp.Or(t.Part, Part(t.Err))
}

// Attrs returns what the cause compares as attributes of a log line: expected and received, as far as they are known.
func (t *Trouble) Attrs() []slog.Attr { return comparison(t.Expected, t.Received) }

// LogValue gives name, text and what is known of the cause as a group.
func (t *Trouble) LogValue() slog.Value {
	return slog.GroupValue(append([]slog.Attr{slog.String("reason", Of(t)), slog.String("cause", t.Error())}, t.Attrs()...)...)
}

// Is reports whether target is the sentinel t was made from.
func (t *Trouble) Is(target error) bool {
	return t.kind != nil && target == error(t.kind)
}

// Unwrap returns the deeper cause.
func (t *Trouble) Unwrap() error { return t.Err }
