package reason_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/reason"
)

var (
	errFull = reason.NewTrouble("store_full", "the store is full")
	// errStore leaves its name to what is deeper.
	errStore = reason.NewTrouble("", "the store failed")
)

// Where a refusal and a trouble are in one chain, however they got there, the trouble counts.
func TestMixtures(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name    string
		err     error
		refusal bool
		of      string
	}{
		{"nothing", nil, false, ""},
		{"neither", down, false, ""},
		{"an Error", errTarget, true, "htu_mismatch"},
		{"a Trouble", errFull, false, "store_full"},
		{"an Error for a reason of neither kind", errTarget.Because(down), true, "htu_mismatch"},
		{"an Error with %w", fmt.Errorf("access: %w", errTarget.With("a", "b")), true, "htu_mismatch"},
		{"a Trouble with %w", fmt.Errorf("access: %w", errFull.Because(down)), false, "store_full"},
		{"a Trouble in an Error", errTarget.Because(errFull), false, "store_full"},
		{"a Trouble deep in an Error", errTarget.Because(fmt.Errorf("x: %w", errStale.Because(errFull))), false, "store_full"},
		{"an Error in a Trouble", errFull.Because(errTarget), false, "store_full"},
		{"an Error in a Trouble without a name", errStore.Because(errTarget), false, "htu_mismatch"},
		{"a Trouble in a Trouble", errFull.Because(errStore), false, "store_full"},
		{"a Trouble in one without a name", errStore.Because(fmt.Errorf("x: %w", errFull)), false, "store_full"},
		{"a Trouble without a name", errStore.Because(down), false, ""},
		{"joined, the Error first", errors.Join(errTarget, errFull), false, "store_full"},
		{"joined, the Trouble first", errors.Join(errFull, errTarget), false, "store_full"},
		{"joined, the Trouble has no name", errors.Join(errTarget, errStore), false, ""},
		{"joined Errors", errors.Join(down, errStale, errTarget), true, "iat_too_old"},
		{"joined Troubles", errors.Join(errFull, errStore), false, "store_full"},
		{"%w: %w, the Error first", fmt.Errorf("%w: %w", errTarget, errFull.With("a", "b")), false, "store_full"},
		{"%w: %w, the Trouble first", fmt.Errorf("%w: %w", errFull, errTarget.With("a", "b")), false, "store_full"},
		{"%w: %w, both deep", fmt.Errorf("%w: %w", errTarget.Because(errors.Join(down, errFull)), errStale), false, "store_full"},
		{"a Trouble in words only", errTarget.Because(errors.New(errFull.Error())), true, "htu_mismatch"},
	} {
		if got := reason.IsRefusal(c.err); got != c.refusal {
			t.Errorf("%s: IsRefusal = %t", c.name, got)
		}
		if got := reason.Of(c.err); got != c.of {
			t.Errorf("%s: Of = %q, want %q", c.name, got, c.of)
		}
	}
}

func TestTroubleIs(t *testing.T) {
	twin := reason.NewTrouble("store_full", "the store is full")
	for name, err := range map[string]error{
		"itself":  errFull,
		"With":    errFull.With("a", "b"),
		"Because": errFull.Because(errors.New("x")),
		"twice":   errFull.With("a", "b").Because(errors.New("x")).With("c", "d"),
		"wrapped": fmt.Errorf("dpop: %w", errFull.With("a", "b")),
		"deeper":  errStore.Because(errFull.With("a", "b")),
		"refused": errTarget.Because(errFull.With("a", "b")),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: not its sentinel", name)
		}
		if errors.Is(err, twin) || name != "deeper" && errors.Is(err, errStore) {
			t.Errorf("%s: another's sentinel", name)
		}
	}
	if deeper := errors.New("x"); !errors.Is(errFull.Because(deeper), deeper) {
		t.Error("Because hides the deeper cause")
	}
	if *errFull != *twin {
		t.Errorf("the sentinel became %+v", *errFull)
	}
}

func TestTroubleText(t *testing.T) {
	for _, c := range []struct {
		err  *reason.Trouble
		want string
	}{
		{errFull, "the store is full"},
		{errFull.With("a", ""), `the store is full: expected "a", received nothing`},
		{errFull.With("", "b"), `the store is full: received "b"`},
		{errFull.With("a", "b\r\nlevel=INFO").Because(errors.New("x\ny")),
			`the store is full: expected "a", received "b\r\nlevel=INFO": "x\ny"`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	long := strings.Repeat("x", 8192)
	for name, err := range map[string]*reason.Trouble{
		"received": errFull.With("a", long), "expected": errFull.With(long, "a"), "deeper": errFull.Because(errors.New(long)),
	} {
		if n := len(err.Error()); n > 700 || len(err.Received) > 210 || len(err.Expected) > 210 {
			t.Errorf("%s: %d octets", name, n)
		}
	}
}

// A log names a trouble as it names a refusal.
func TestTroubleLogValue(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Error("no answer", "err", errStore.Because(errFull).With("room", "none"))
	want := `level=ERROR msg="no answer" err.reason=store_full ` +
		`err.cause="the store failed: expected \"room\", received \"none\": \"the store is full\"" err.expected=room err.received=none` + "\n"
	if text.String() != want {
		t.Errorf("got  %swant %s", text.String(), want)
	}
}
