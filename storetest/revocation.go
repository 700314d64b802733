package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// Revocation is an empty revocation store under test, with its clock. Store and Now are required.
type Revocation struct {
	Store revocation.Store

	// Now is the store's clock.
	Now func() time.Time

	// Advance moves the clock, by whole seconds. Nil leaves out the tests in which time passes.
	Advance func(time.Duration)
}

const issuer = "https://login.example.com"

// token returns a token with every property, issued now.
func (r Revocation) token() revocation.Token {
	return revocation.Token{
		Issuer: issuer, ID: "token-1", Session: "session-1", Subject: "alice", Client: "app",
		KeyThumbprint: "jkt-1", CertThumbprint: "x5t-1",
		IssuedAt: r.second(), Expiry: r.second().Add(5 * time.Minute),
	}
}

// second returns the beginning of the current second.
func (r Revocation) second() time.Time { return r.Now().Truncate(time.Second) }

func (r Revocation) revoke(t *testing.T, e revocation.Entry) {
	t.Helper()
	if err := r.Store.Revoke(context.Background(), e); err != nil {
		t.Fatalf("Revoke(%+v): %v", e, err)
	}
}

// expect checks whether tok is denied, and that the entry returned does deny it.
func (r Revocation) expect(t *testing.T, tok revocation.Token, denied bool) *revocation.Entry {
	t.Helper()
	e, err := r.Store.Revoked(context.Background(), tok)
	if err != nil {
		t.Fatalf("Revoked(%+v): %v", tok, err)
	}
	if (e != nil) != denied {
		t.Fatalf("Revoked(%+v) = %+v, want denied %t", tok, e, denied)
	}
	if e == nil {
		return nil
	}
	if !e.Denies(&tok) {
		t.Fatalf("Revoked(%+v) returned %+v, which does not deny it", tok, e)
	}
	if err := e.Cause(); !errors.Is(err, revocation.ErrRevoked) {
		t.Fatalf("Cause() = %v, want ErrRevoked", err)
	}
	return e
}

var properties = []struct {
	by    revocation.By
	field func(*revocation.Token) *string
}{
	{revocation.ByToken, func(t *revocation.Token) *string { return &t.ID }},
	{revocation.BySession, func(t *revocation.Token) *string { return &t.Session }},
	{revocation.BySubject, func(t *revocation.Token) *string { return &t.Subject }},
	{revocation.ByClient, func(t *revocation.Token) *string { return &t.Client }},
	{revocation.ByKey, func(t *revocation.Token) *string { return &t.KeyThumbprint }},
	{revocation.ByCertificate, func(t *revocation.Token) *string { return &t.CertThumbprint }},
}

// TestRevocationStore checks that a store does what [revocation.Store] promises. open returns a new, empty
// store each time, with a Retention.Lifetime of at least ten minutes and room for ten thousand entries, and
// has it closed when the test ends.
func TestRevocationStore(t *testing.T, open func(t *testing.T) Revocation) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Revocation)
	}{
		{"RS-164: an empty store denies nothing", func(t *testing.T, r Revocation) { r.expect(t, r.token(), false) }},
		{"RS-164: issued before, by the second", testSecond},
		{"RS-164: a token without iat counts as before", testNoIssuedAt},
		{"an exception keeps what it names", testException},
		{"an exception holds for its own entry alone", testExceptionsMeet},
		{"an earlier instant does not weaken a later one", testOnlyForward},
		{"this one and issued before add up", testKindsMeet},
		{"a repeated entry is harmless", testRepeat},
		{"an unusable entry is refused", testInvalidEntry},
		{"a token that no entry could hold is refused", testUncovered},
		{"values are compared octet for octet", testOctets},
		{"an entry is seen at once by another goroutine", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
	for _, p := range properties {
		t.Run("RS-164: by "+p.by.String(), func(t *testing.T) {
			testProperty(t, open, p.by, p.field)
		})
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, Revocation)
	}{
		{"this one is kept until the token has expired", testKeptOne},
		{"this one without expiry is kept for every token issued so far", testKeptDefault},
		{"issued before is kept until nothing older is valid", testKeptBefore},
		{"of two expiries the later counts", testKeptLater},
		{"an entry that has ended can be revoked again", testAgain},
		{"any sequence of calls agrees with the model", testModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			if r.Advance == nil {
				t.Skip("the store's clock cannot be moved")
			}
			c.test(t, r)
		})
	}
}

func testProperty(
	t *testing.T, open func(*testing.T) Revocation, by revocation.By, field func(*revocation.Token) *string,
) {
	kinds := []struct {
		name   string
		before func(Revocation) time.Time
	}{
		{"this one", func(Revocation) time.Time { return time.Time{} }},
		{"issued before", func(r Revocation) time.Time { return r.second() }},
	}
	if by == revocation.ByToken {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			r := open(t)
			tok := r.token()
			r.revoke(t, revocation.Entry{Issuer: issuer, By: by, Value: *field(&tok), Before: kind.before(r)})

			e := r.expect(t, tok, true)
			if e.By != by || e.Value != *field(&tok) || e.Issuer != issuer {
				t.Errorf("denied by %+v, want by %s", e, by)
			}

			other := tok
			other.Issuer = "https://other.example.com"
			r.expect(t, other, false)

			other = tok
			*field(&other) = "another"
			r.expect(t, other, false)

			other = tok
			*field(&other) = ""
			r.expect(t, other, false)

			// The value counts in its own property only.
			for _, p := range properties {
				other = revocation.Token{Issuer: issuer, IssuedAt: tok.IssuedAt, Expiry: tok.Expiry}
				*p.field(&other) = *field(&tok)
				r.expect(t, other, p.by == by)
			}
		})
	}
}

func (r Revocation) subjectBefore(at time.Time) revocation.Entry {
	return revocation.Entry{Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at}
}

func testSecond(t *testing.T, r Revocation) {
	at := r.second()
	r.revoke(t, r.subjectBefore(at.Add(300*time.Millisecond)))
	for _, c := range []struct {
		iat    time.Time
		denied bool
	}{
		{at.Add(-time.Minute), true},
		{at.Add(-time.Second), true},
		{at, true}, // same second
		{at.Add(300 * time.Millisecond), true},
		{at.Add(999 * time.Millisecond), true}, // same second, later: iat may have been cut
		{at.Add(time.Second), false},
		{at.Add(1500 * time.Millisecond), false},
	} {
		tok := r.token()
		tok.IssuedAt = c.iat
		r.expect(t, tok, c.denied)
	}
}

func testNoIssuedAt(t *testing.T, r Revocation) {
	r.revoke(t, r.subjectBefore(r.second().Add(-time.Minute)))
	tok := r.token()
	r.expect(t, tok, false)
	tok.IssuedAt = time.Time{}
	r.expect(t, tok, true)
}

func testException(t *testing.T, r Revocation) {
	tok := r.token()
	for _, c := range []struct {
		name   string
		entry  revocation.Entry
		denied bool
	}{
		{"its token", revocation.Entry{ExceptToken: tok.ID}, false},
		{"its session", revocation.Entry{ExceptSession: tok.Session}, false},
		{"another token", revocation.Entry{ExceptToken: "token-2"}, true},
		{"another session", revocation.Entry{ExceptSession: "session-2"}, true},
		{"a session named like its token", revocation.Entry{ExceptSession: tok.ID}, true},
		{"a token named like its session", revocation.Entry{ExceptToken: tok.Session}, true},
	} {
		e := c.entry
		// Each case has a client of its own, so that one store serves all.
		e.Issuer, e.By, e.Value, e.Before = issuer, revocation.ByClient, c.name, r.second()
		r.revoke(t, e)
		named := tok
		named.Client = c.name
		r.expect(t, named, c.denied)
		named.IssuedAt = tok.IssuedAt.Add(-time.Minute) // the issuer's clock may be behind
		r.expect(t, named, c.denied)
		named.IssuedAt = time.Time{}
		r.expect(t, named, c.denied)

		// A token without jti and sid is named by nothing.
		named.ID, named.Session = "", ""
		r.expect(t, named, true)
	}
}

func testExceptionsMeet(t *testing.T, r Revocation) {
	session := func(name string, iat time.Time) revocation.Token {
		tok := r.token()
		tok.ID, tok.Session, tok.IssuedAt = "of "+name, name, iat
		return tok
	}
	at := r.second()
	login := func(name string, at time.Time) {
		e := r.subjectBefore(at)
		e.ExceptSession = name
		r.revoke(t, e)
	}
	login("first", at.Add(-20*time.Second))
	r.expect(t, session("first", at.Add(-20*time.Second)), false)
	login("second", at.Add(-10*time.Second))
	r.expect(t, session("first", at.Add(-20*time.Second)), true)
	r.expect(t, session("second", at.Add(-10*time.Second)), false)
	r.expect(t, session("second", at.Add(-20*time.Second)), true) // older than the first login
	login("third", at)
	r.expect(t, session("second", at.Add(-10*time.Second)), true)
	r.expect(t, session("third", at), false)
	r.expect(t, session("third", at.Add(-9*time.Second)), false)
	r.expect(t, session("third", at.Add(-10*time.Second)), true)
	r.expect(t, session("other", at), true)

	// A token that two entries name, in different ways, is still denied by the third.
	e := r.subjectBefore(at.Add(time.Second))
	e.ExceptToken = "of third"
	r.revoke(t, e)
	r.expect(t, session("third", at), false)
	r.expect(t, session("third", at.Add(-10*time.Second)), true)

	// No exception: even what was named before is denied.
	r.revoke(t, r.subjectBefore(at))
	r.expect(t, session("third", at), true)
	r.expect(t, session("third", at.Add(time.Second)), false)
}

func testOnlyForward(t *testing.T, r Revocation) {
	r.revoke(t, r.subjectBefore(r.second()))
	r.revoke(t, r.subjectBefore(r.second().Add(-time.Minute)))
	r.expect(t, r.token(), true)
}

func testKindsMeet(t *testing.T, r Revocation) {
	e := r.subjectBefore(time.Time{})
	r.revoke(t, e)
	named := r.subjectBefore(r.second())
	named.ExceptToken = "token-1"
	r.revoke(t, named)
	r.expect(t, r.token(), true)
}

func testRepeat(t *testing.T, r Revocation) {
	for range 3 {
		r.revoke(t, r.subjectBefore(r.second()))
	}
	tok := r.token()
	r.expect(t, tok, true)
	tok.IssuedAt = tok.IssuedAt.Add(time.Second)
	r.expect(t, tok, false)
}

func testInvalidEntry(t *testing.T, r Revocation) {
	at := r.second()
	long := string(make([]byte, 5000))
	for name, e := range map[string]revocation.Entry{
		"zero":                         {},
		"no issuer":                    {By: revocation.BySubject, Value: "alice"},
		"no value":                     {Issuer: issuer, By: revocation.BySubject},
		"no session to deny":           {Issuer: issuer, By: revocation.BySession, Before: at},
		"no property":                  {Issuer: issuer, Value: "alice"},
		"unknown property":             {Issuer: issuer, By: 99, Value: "alice"},
		"issued before, for one token": {Issuer: issuer, By: revocation.ByToken, Value: "token-1", Before: at},
		"exception without instant":    {Issuer: issuer, By: revocation.BySubject, Value: "alice", ExceptToken: "t"},
		"two exceptions": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at,
			ExceptToken: "t", ExceptSession: "s"},
		"session except session": {Issuer: issuer, By: revocation.BySession, Value: "s", Before: at,
			ExceptSession: "s"},
		"expiry beside instant": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at, Expiry: at},
		"long issuer":           {Issuer: long, By: revocation.BySubject, Value: "alice"},
		"long value":            {Issuer: issuer, By: revocation.BySubject, Value: long},
		"long exception":        {Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at, ExceptToken: long},
	} {
		if err := r.Store.Revoke(context.Background(), e); !errors.Is(err, revocation.ErrInvalid) {
			t.Errorf("%s: Revoke = %v, want ErrInvalid", name, err)
		}
	}
	r.expect(t, r.token(), false)
}

func testUncovered(t *testing.T, r Revocation) {
	life := r.Store.Retention().Lifetime
	for _, c := range []struct {
		name   string
		change func(*revocation.Token)
		want   error
	}{
		{"no issuer", func(t *revocation.Token) { t.Issuer = "" }, revocation.ErrInvalid},
		{"no expiry", func(t *revocation.Token) { t.Expiry = time.Time{} }, revocation.ErrLifetime},
		{"no expiry, no iat", func(t *revocation.Token) { t.Expiry, t.IssuedAt = time.Time{}, time.Time{} },
			revocation.ErrLifetime},
		{"lives too long", func(t *revocation.Token) { t.Expiry = t.IssuedAt.Add(life + 1) }, revocation.ErrLifetime},
		{"lives just long enough", func(t *revocation.Token) { t.Expiry = t.IssuedAt.Add(life) }, nil},
		{"no iat", func(t *revocation.Token) { t.IssuedAt = time.Time{} }, nil},
	} {
		tok := r.token()
		c.change(&tok)
		if _, err := r.Store.Revoked(context.Background(), tok); !errors.Is(err, c.want) {
			t.Errorf("%s: Revoked = %v, want %v", c.name, err, c.want)
		}
	}
}

func testOctets(t *testing.T, r Revocation) {
	values := []string{"a", "A", "a ", "ä", "a\u0308", "a\x00", "\xff", "a:b", "a/b", "%61", "*", "{a}"}
	for i, value := range values {
		r.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.BySubject, Value: value})
		for j, other := range values {
			tok := r.token()
			tok.Subject = other
			r.expect(t, tok, j <= i)
		}
	}
	// Issuer and value do not run together.
	r.revoke(t, revocation.Entry{Issuer: issuer + "/x", By: revocation.BySession, Value: "y"})
	tok := r.token()
	tok.Session = "/xy"
	r.expect(t, tok, false)
}

func testConcurrent(t *testing.T, r Revocation) {
	const callers, each = 8, 50
	done := make(chan string, callers)
	var revokers, checkers sync.WaitGroup
	for i := range callers {
		revokers.Go(func() {
			for j := range each {
				value := fmt.Sprintf("%d/%d", i, j)
				e := revocation.Entry{Issuer: issuer, By: revocation.BySession, Value: value}
				if j%2 == 0 {
					e.Before = r.Now()
				}
				if err := r.Store.Revoke(context.Background(), e); err != nil {
					t.Errorf("Revoke: %v", err)
				}
				done <- value
			}
		})
		checkers.Go(func() {
			for value := range done {
				tok := r.token()
				tok.Session, tok.IssuedAt = value, tok.IssuedAt.Add(-time.Minute)
				if e, err := r.Store.Revoked(context.Background(), tok); e == nil || err != nil {
					t.Errorf("Revoked(%q) = %v, %v after Revoke returned", value, e, err)
				}
			}
		})
	}
	revokers.Wait()
	close(done)
	checkers.Wait()
}

func testKeptOne(t *testing.T, r Revocation) {
	tok := r.token()
	r.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.ByToken, Value: tok.ID, Expiry: tok.Expiry})
	left := tok.Expiry.Add(r.Store.Retention().Leeway).Sub(r.second())
	r.Advance(left - time.Second)
	r.expect(t, tok, true)
	r.Advance(2 * time.Second)
	r.expect(t, tok, false)
}

func testKeptDefault(t *testing.T, r Revocation) {
	keep := r.Store.Retention()
	e := r.subjectBefore(time.Time{})
	r.revoke(t, e)
	// The longest-lived token whose issuer's clock is as far ahead as is allowed.
	tok := r.token()
	tok.IssuedAt = r.second().Add(keep.Leeway)
	tok.Expiry = tok.IssuedAt.Add(keep.Lifetime)
	r.Advance(keep.Leeway + keep.Lifetime + keep.Leeway - time.Second)
	r.expect(t, tok, true)
	r.Advance(3 * time.Second)
	r.expect(t, tok, false)
}

func testKeptBefore(t *testing.T, r Revocation) {
	keep := r.Store.Retention()
	r.revoke(t, r.subjectBefore(r.Now()))
	tok := r.token()
	tok.IssuedAt = r.second().Add(999 * time.Millisecond)
	tok.Expiry = tok.IssuedAt.Add(keep.Lifetime)
	r.Advance(keep.Lifetime + keep.Leeway)
	r.expect(t, tok, true)
	r.Advance(3 * time.Second)
	r.expect(t, tok, false)
}

func testKeptLater(t *testing.T, r Revocation) {
	tok := r.token()
	tok.Expiry = r.second().Add(8 * time.Minute)
	for _, m := range []time.Duration{5, 8, 2} {
		r.revoke(t, revocation.Entry{Issuer: issuer, By: revocation.ByToken, Value: tok.ID,
			Expiry: r.second().Add(m * time.Minute)})
	}
	r.Advance(8*time.Minute - time.Second)
	r.expect(t, tok, true)
}

func testAgain(t *testing.T, r Revocation) {
	keep := r.Store.Retention()
	for range 3 {
		r.expect(t, r.token(), false)
		r.revoke(t, r.subjectBefore(r.second()))
		r.expect(t, r.token(), true)
		r.Advance(keep.Lifetime + keep.Leeway + 5*time.Second)
	}
}

// model is a list of everything ever revoked, judged one by one.
type model []struct {
	entry revocation.Entry
	until time.Time
}

func (m model) denies(tok revocation.Token, now time.Time) bool {
	for _, e := range m {
		if now.Before(e.until) && denies(e.entry, tok) {
			return true
		}
	}
	return false
}

// denies is written apart from Entry.Denies, so that the one checks the other.
func denies(e revocation.Entry, tok revocation.Token) bool {
	var carried string
	for _, p := range properties {
		if p.by == e.By {
			carried = *p.field(&tok)
		}
	}
	switch {
	case tok.Issuer != e.Issuer, carried != e.Value:
		return false
	case e.Before.IsZero():
		return true
	case e.ExceptToken != "" && e.ExceptToken == tok.ID, e.ExceptSession != "" && e.ExceptSession == tok.Session:
		return false
	}
	return tok.IssuedAt.IsZero() || !tok.IssuedAt.Truncate(time.Second).After(e.Before)
}

func testModel(t *testing.T, r Revocation) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	keep := r.Store.Retention()
	pick := func(names ...string) string { return names[rnd.IntN(len(names))] }
	var m model
	for step := range 1500 {
		now := r.Now()
		switch rnd.IntN(10) {
		case 0:
			r.Advance(time.Duration(rnd.IntN(40)) * time.Second)
		case 1, 2, 3:
			e := revocation.Entry{
				Issuer: pick(issuer, "https://other.example.com"),
				By:     revocation.By(1 + rnd.IntN(6)),
				Value:  pick("a", "b"),
			}
			until := now.Add(keep.Lifetime + 2*keep.Leeway)
			if e.By != revocation.ByToken && rnd.IntN(8) > 0 {
				e.Before = now.Add(time.Duration(rnd.IntN(20_000)-15_000) * time.Millisecond)
				until = e.Before.Truncate(time.Second).Add(time.Second + keep.Lifetime + keep.Leeway)
				switch rnd.IntN(3) {
				case 0:
					e.ExceptToken = pick("a", "b", "c")
				case 1:
					if e.By != revocation.BySession {
						e.ExceptSession = pick("a", "b", "c")
					}
				}
			} else if rnd.IntN(4) > 0 {
				e.Expiry = now.Truncate(time.Second).Add(time.Duration(rnd.IntN(60)-20) * time.Second)
				until = e.Expiry.Add(keep.Leeway)
			}
			r.revoke(t, e)
			m = append(m, model{{e, until}}...)
		default:
			tok := revocation.Token{
				Issuer: pick(issuer, "https://other.example.com"), ID: pick("a", "b", "c", ""),
				Session: pick("a", "b", "c", ""), Subject: pick("a", "b", ""), Client: pick("a", "b", ""),
				KeyThumbprint: pick("a", "b", ""), CertThumbprint: pick("a", "b", ""),
				IssuedAt: now.Add(time.Duration(rnd.IntN(40_000)-35_000) * time.Millisecond),
				Expiry:   now.Add(time.Minute),
			}
			if rnd.IntN(10) == 0 {
				tok.IssuedAt = time.Time{}
			}
			// Most properties empty, or nearly everything would be denied by something.
			for _, p := range properties {
				if rnd.IntN(3) > 0 {
					*p.field(&tok) = ""
				}
			}
			got, err := r.Store.Revoked(context.Background(), tok)
			if want := m.denies(tok, now); err != nil || (got != nil) != want {
				t.Fatalf("seed %d, step %d: Revoked(%+v) = %+v, %v; the model says %t", seed, step, tok, got, err, want)
			}
		}
	}
}
