package reason_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/reason"
)

var (
	errTarget = reason.New("htu_mismatch", "htu is not the URI of the request")
	errStale  = reason.New("iat_too_old", "the proof was made too long ago")
	// errTwin looks like errTarget, and is another cause.
	errTwin = reason.New("htu_mismatch", "htu is not the URI of the request")
)

func TestIs(t *testing.T) {
	for name, err := range map[string]error{
		"itself":  errTarget,
		"With":    errTarget.With("a", "b"),
		"Off":     errTarget.Off(time.Second),
		"Because": errTarget.Because(errors.New("x")),
		"Named":   errTarget.Named("other"),
		"twice":   errTarget.With("a", "b").Because(errors.New("x")).Named("other").Off(1),
		"wrapped": fmt.Errorf("dpop: %w", errTarget.With("a", "b")),
		"joined":  errors.Join(errors.New("x"), errTarget.With("a", "b")),
		"deeper":  errStale.Because(errTarget.With("a", "b")),
	} {
		if !errors.Is(err, errTarget) {
			t.Errorf("%s: not its sentinel", name)
		}
		if errors.Is(err, errTwin) || name != "deeper" && errors.Is(err, errStale) {
			t.Errorf("%s: another's sentinel", name)
		}
	}
	if copied := errTarget.With("a", "b"); errors.Is(errTarget, copied) || errors.Is(errTarget.With("a", "b"), copied) {
		t.Error("a copy is no sentinel")
	}
	if deeper := errors.New("x"); !errors.Is(errTarget.Because(deeper), deeper) {
		t.Error("Because hides the deeper cause")
	}
}

func TestSentinelIsNotChanged(t *testing.T) {
	before := *errTarget
	_ = errTarget.With("a", "b").Off(1).Because(errors.New("x")).Named("other")
	if *errTarget != before {
		t.Errorf("the sentinel became %+v", *errTarget)
	}
}

func TestOf(t *testing.T) {
	for want, err := range map[string]error{
		"htu_mismatch": fmt.Errorf("dpop: %w", errTarget.With("a", "b")),
		"iat_too_old":  errStale.Because(errTarget), // the first in the chain
		"renamed":      errTarget.Named("renamed").Because(errStale),
		"":             errors.New("htu_mismatch"),
	} {
		if got := reason.Of(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	if got := reason.Of(nil); got != "" {
		t.Errorf("nil: got %q", got)
	}
}

func TestError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errTarget, "htu is not the URI of the request"},
		{errTarget.With("a", ""), `htu is not the URI of the request: expected "a", received nothing`},
		{errTarget.With("", "b"), `htu is not the URI of the request: received "b"`},
		{errStale.Off(-1500 * time.Millisecond), "the proof was made too long ago (by -1.5s)"},
		{errTarget.Because(errors.New("x\ny")), `htu is not the URI of the request: "x\ny"`},
		// RS-181: one refusal stays on one line.
		{errTarget.With("a", "b\r\nlevel=INFO \x1b[2J\u2028\xff"),
			`htu is not the URI of the request: expected "a", received "b\r\nlevel=INFO \x1b[2J\u2028\xff"`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// RS-181: what the client chose is cut, wherever it stands.
func TestErrorIsShort(t *testing.T) {
	long := strings.Repeat("x", 8192)
	for name, err := range map[string]*reason.Error{
		"received": errTarget.With("a", long),
		"expected": errTarget.With(long, "a"),
		"deeper":   errTarget.Because(errors.New(long)),
	} {
		if n := len(err.Error()); n > 700 || len(err.Received) > 210 || len(err.Expected) > 210 {
			t.Errorf("%s: %d octets: %+v", name, n, err)
		}
	}
	if got := errTarget.With("a", long[:200]).Received; got != long[:200] {
		t.Errorf("200 octets are cut to %q", got)
	}
	if got := errTarget.With("a", long[:201]).Received; got != long[:200]+"…" {
		t.Errorf("201 octets become %q", got)
	}
}

// A line of a log has one set of names, whatever wraps the cause.
func TestAttrs(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errTarget.With("a", "b"), `[cause=htu is not the URI of the request: expected "a", received "b" expected=a received=b]`},
		{errTarget.With("a", ""), `[cause=htu is not the URI of the request: expected "a", received nothing expected=a received=]`},
		{errTarget.With("", "b"), `[cause=htu is not the URI of the request: received "b" received=b]`},
		{fmt.Errorf("wrapped: %w", errStale.Off(time.Second)), `[cause=wrapped: the proof was made too long ago (by 1s) difference=1s]`},
		{errors.New("down"), `[cause=down]`},
		{errFull.With("room", "none"), `[cause=the store is full: expected "room", received "none" expected=room received=none]`},
		{errTarget.With("a", "b").Because(errFull.With("", "x")),
			`[cause=htu is not the URI of the request: expected "a", received "b": "the store is full: received \"x\"" received=x]`},
	} {
		if got := fmt.Sprint(reason.Attrs(c.err)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
