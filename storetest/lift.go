package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// TestLifter checks that a store does what [revocation.Lifter] promises; open is that of [TestRevocationStore]. A store
// that cannot lift leaves it out.
func TestLifter(t *testing.T, open func(t *testing.T) Revocation) {
	for _, c := range []struct {
		name string
		test func(*testing.T, lifting)
	}{
		{"what is in force can be looked at", testInForce},
		{"what has ended is not in force", testNotInForce},
		{"a lifted entry denies nothing", testLift},
		{"all that is in force for a value is lifted", testLiftAll},
		{"what another entry denies stays denied", testLiftOne},
		{"what is not there can be lifted", testLiftNothing},
		{"what was lifted can be revoked again", testLiftAgain},
		{"what names no value is refused", testLiftInvalid},
		{"revoked beside a lift of another is in force", testLiftBeside},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			l, ok := r.Store.(revocation.Lifter)
			if !ok {
				t.Fatalf("%T is no revocation.Lifter", r.Store)
			}
			c.test(t, lifting{r, l})
		})
	}
}

// lifting is a store under test as one that can lift.
type lifting struct {
	Revocation
	lifter revocation.Lifter
}

func (l lifting) lift(t *testing.T, e revocation.Entry) {
	t.Helper()
	if err := l.lifter.Lift(context.Background(), e); err != nil {
		t.Fatalf("Lift(%+v): %v", e, err)
	}
}

// inForce checks how many entries are in force for the value of e.
func (l lifting) inForce(t *testing.T, e revocation.Entry, want int) []revocation.Entry {
	t.Helper()
	entries, err := l.lifter.InForce(context.Background(), e)
	if err != nil || len(entries) != want {
		t.Fatalf("InForce(%+v) = %+v, %v, want %d", e, entries, err, want)
	}
	return entries
}

func testInForce(t *testing.T, l lifting) {
	l.inForce(t, l.subjectBefore(l.second()), 0)
	named := l.subjectBefore(l.second())
	named.ExceptSession = "session-2"
	l.revoke(t, named)
	got := l.inForce(t, revocation.Entry{Issuer: issuer, By: revocation.BySubject, Value: "alice"}, 1)[0]
	if !got.Before.Equal(named.Before) {
		t.Errorf("Before is %v, want %v", got.Before, named.Before)
	}
	if got.Before = named.Before; got != named {
		t.Errorf("InForce gives %+v, want %+v", got, named)
	}
	l.revoke(t, l.subjectBefore(time.Time{}))
	tok, denied := l.token(), false
	for _, e := range l.inForce(t, named, 2) {
		denied = denied || e.Denies(&tok)
	}
	if !denied {
		t.Error("none of what is in force denies what is denied")
	}
	other := named
	other.Issuer = "https://other.example.com"
	l.inForce(t, other, 0)
	other = named
	other.By = revocation.ByClient
	l.inForce(t, other, 0)
}

func testNotInForce(t *testing.T, l lifting) {
	if l.Advance == nil {
		t.Skip("the store's clock cannot be moved")
	}
	e := revocation.Entry{Issuer: issuer, By: revocation.BySession, Value: "session-1", Expiry: l.second().Add(time.Minute)}
	l.revoke(t, e)
	l.inForce(t, e, 1)
	l.Advance(time.Minute + l.Store.Retention().Leeway + 2*time.Second)
	l.inForce(t, e, 0)
}

func testLift(t *testing.T, l lifting) {
	tok := l.token()
	for _, p := range properties {
		e := revocation.Entry{Issuer: issuer, By: p.by, Value: *p.field(&tok)}
		l.revoke(t, e)
		l.expect(t, tok, true)
		l.lift(t, e)
		l.expect(t, tok, false)
		l.inForce(t, e, 0)
	}
}

func testLiftAll(t *testing.T, l lifting) {
	l.revoke(t, l.subjectBefore(time.Time{}))
	for _, session := range []string{"a", "b", ""} {
		e := l.subjectBefore(l.second())
		e.ExceptSession = session
		l.revoke(t, e)
	}
	l.lift(t, l.subjectBefore(time.Time{}))
	l.expect(t, l.token(), false)
}

func testLiftOne(t *testing.T, l lifting) {
	tok := l.token()
	l.revoke(t, l.subjectBefore(time.Time{}))
	l.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.BySubject, Value: "bob"})
	l.revoke(t, revocation.Entry{Issuer: "https://other.example.com", By: revocation.BySubject, Value: "alice"})
	l.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.BySession, Value: tok.Session})
	l.lift(t, l.subjectBefore(time.Time{}))
	if e := l.expect(t, tok, true); e.By != revocation.BySession {
		t.Errorf("denied by %s, want by session", e.By)
	}
	bob := l.token()
	bob.Subject, bob.Session = "bob", "session-2"
	l.expect(t, bob, true)
	other := l.token()
	other.Issuer = "https://other.example.com"
	l.expect(t, other, true)
}

func testLiftNothing(t *testing.T, l lifting) {
	for range 2 {
		l.lift(t, l.subjectBefore(time.Time{}))
	}
	l.expect(t, l.token(), false)
}

func testLiftAgain(t *testing.T, l lifting) {
	for range 3 {
		l.revoke(t, l.subjectBefore(l.second()))
		l.expect(t, l.token(), true)
		l.lift(t, l.subjectBefore(time.Time{}))
		l.expect(t, l.token(), false)
	}
}

func testLiftInvalid(t *testing.T, l lifting) {
	for name, e := range map[string]revocation.Entry{
		"zero":             {},
		"no issuer":        {By: revocation.BySubject, Value: "alice"},
		"no value":         {Issuer: issuer, By: revocation.BySubject},
		"no property":      {Issuer: issuer, Value: "alice"},
		"unknown property": {Issuer: issuer, By: 99, Value: "alice"},
	} {
		if err := l.lifter.Lift(context.Background(), e); !errors.Is(err, revocation.ErrInvalid) {
			t.Errorf("%s: Lift = %v, want ErrInvalid", name, err)
		}
		if _, err := l.lifter.InForce(context.Background(), e); !errors.Is(err, revocation.ErrInvalid) {
			t.Errorf("%s: InForce = %v, want ErrInvalid", name, err)
		}
	}
}

func testLiftBeside(t *testing.T, l lifting) {
	done := make(chan error)
	go func() {
		var all []error
		for i := range 50 {
			all = append(all, l.lifter.Lift(context.Background(), revocation.Entry{Issuer: issuer, By: revocation.BySession, Value: fmt.Sprint("lifted ", i)}))
		}
		done <- errors.Join(all...)
	}()
	for i := range 50 {
		l.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.BySession, Value: fmt.Sprint("revoked ", i)})
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		tok := l.token()
		tok.Session = fmt.Sprint("revoked ", i)
		l.expect(t, tok, true)
	}
}
