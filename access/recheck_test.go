package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// users is an application's table of users: whether one is active, and whether the table answers.
type users struct {
	asked  int
	answer error
}

func (u *users) lookup(_ context.Context, token *access.Token) error {
	u.asked++
	if token.Subject != "user-1" {
		return errors.New("asked about " + token.Subject)
	}
	return u.answer
}

// rechecked is a guard with a Recheck, and a function that sends a request with a token.
func rechecked(t *testing.T, u *users, c access.Recheck) (s *setup, call func(token string) error) {
	t.Helper()
	s = newGuard(t, func(s *setup) {
		c.Lookup, c.Now = u.lookup, s.clock.Now
		policy, err := c.Policy()
		if err != nil {
			t.Fatal(err)
		}
		s.Policies = []access.Policy{policy}
	})
	return s, func(token string) error {
		_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String()))
		return err
	}
}

// How often ten requests look up, one every thirty seconds; the token lives for five minutes.
func TestRecheckHowOften(t *testing.T) {
	for name, test := range map[string]struct {
		c    access.Recheck
		want int
	}{
		"zero: each time":       {access.Recheck{}, 10},
		"every request":         {access.Recheck{Requests: 1}, 10},
		"every third request":   {access.Recheck{Requests: 3}, 4},
		"every tenth request":   {access.Recheck{Requests: 10}, 1},
		"every ten percent":     {access.Recheck{Percent: 10}, 10},
		"every half":            {access.Recheck{Percent: 50}, 2},
		"once":                  {access.Recheck{Percent: 100}, 1},
		"whichever comes first": {access.Recheck{Requests: 9, Percent: 50}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			u := &users{}
			s, call := rechecked(t, u, test.c)
			token := bound()
			for range 10 {
				if err := call(token); err != nil {
					t.Fatal(err)
				}
				s.clock.Advance(30 * time.Second)
			}
			if u.asked != test.want {
				t.Errorf("%d look-ups, want %d", u.asked, test.want)
			}
		})
	}
}

func TestRecheckRefuses(t *testing.T) {
	inactive := refusal{401, "invalid_token", "account_not_active"}
	trouble := refusal{503, "", "policy_failed"}
	u := &users{}
	_, call := rechecked(t, u, access.Recheck{Requests: 2})
	token := bound()
	for range 2 {
		if err := call(token); err != nil {
			t.Fatal(err)
		}
	}

	// A look-up that fails refuses, and is tried again by the next request.
	for _, err := range []error{errors.New("no connection"), fmt.Errorf("%w: %w", access.ErrUnavailable, access.ErrAccount), context.DeadlineExceeded} {
		u.answer = err
		expect(t, call(token), trouble)
	}
	u.answer = nil
	if err := call(token); err != nil || u.asked != 5 {
		t.Fatalf("%v after %d look-ups", err, u.asked)
	}
	if err := call(token); err != nil || u.asked != 5 {
		t.Fatalf("%v after %d look-ups", err, u.asked)
	}

	// A refusal stays, whatever the table says later; another token is looked up.
	u.answer = fmt.Errorf("row 7: %w", access.ErrAccount)
	expect(t, call(token), inactive)
	u.answer = nil
	for range 3 {
		expect(t, call(token), inactive)
	}
	if u.asked != 6 {
		t.Errorf("%d look-ups, want 6", u.asked)
	}
	if err := call(bound()); err != nil || u.asked != 7 {
		t.Errorf("another token: %v after %d look-ups", err, u.asked)
	}

	// An answer of the application's own stays too; one that says 503 does not.
	u.answer = &access.Error{Status: 403, Code: "insufficient_scope", Description: "no", Err: access.ErrScope}
	other := bound()
	for range 2 {
		expect(t, call(other), refusal{403, "insufficient_scope", "scope_missing"})
		u.answer = &access.Error{Status: 503, Err: access.ErrScope}
	}
	other = bound()
	expect(t, call(other), refusal{503, "", "scope_missing"})
	u.answer = nil
	if err := call(other); err != nil {
		t.Error(err)
	}
}

// Requests with one token that come at the same time share one look-up, and those with another do not wait for it.
func TestRecheckConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan error)
		slow := bound()
		s := inBubble(t, func(s *setup) {
			policy, err := access.Recheck{Requests: 1000, Lookup: func(ctx context.Context, token *access.Token) error {
				asked.Add(1)
				if token.Subject == "user-2" {
					return nil
				}
				select {
				case err := <-answer:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}}.Policy()
			if err != nil {
				t.Fatal(err)
			}
			s.Policies = []access.Policy{policy}
		})
		leaving, leave := context.WithCancel(t.Context())
		var accepted atomic.Int32
		var all sync.WaitGroup
		for i := range 20 {
			r := owner(slow)
			if i == 0 {
				r = r.WithContext(leaving)
			}
			all.Go(func() {
				if _, err := s.Check(r); err == nil {
					accepted.Add(1)
				} else if i > 0 {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if _, err := s.Check(owner(bound(claim("sub", "user-2")))); err != nil {
			t.Error(err)
		}
		leave() // of the one that began the look-up
		synctest.Wait()
		answer <- nil
		all.Wait()
		if accepted.Load() != 19 || asked.Load() != 2 {
			t.Errorf("%d accepted, %d look-ups", accepted.Load(), asked.Load())
		}
	})
}

// A look-up that ends because it takes too long says why, also if it takes a moment to: the request does not give up before.
func TestLookUpsSayWhyTheyTookTooLong(t *testing.T) {
	slow := func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(time.Millisecond)
		return errors.New("dial tcp 192.0.2.1:5432: i/o timeout")
	}
	for name, set := range map[string]func(*setup){
		"Recheck.Lookup": func(s *setup) {
			policy, err := access.Recheck{Lookup: func(ctx context.Context, _ *access.Token) error { return slow(ctx) }}.Policy()
			if err != nil {
				t.Fatal(err)
			}
			s.Policies = []access.Policy{policy}
		},
		"Tenants.Find": func(s *setup) {
			s.Issuers = nil
			s.Tenants = &access.Tenants{Find: func(ctx context.Context, _ string) (*access.Issuer, error) { return nil, slow(ctx) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := inBubble(t, set).Check(owner(bound()))
				if !errors.Is(err, access.ErrUnavailable) || !strings.Contains(err.Error(), "192.0.2.1:5432") {
					t.Error(err)
				}
			})
		})
	}
}

// A look-up that takes too long or panics is our own trouble.
func TestRecheckLookupMisbehaves(t *testing.T) {
	for name, test := range map[string]struct {
		lookup func(context.Context, *access.Token) error
		takes  time.Duration
		reason string
	}{
		"it heeds its context": {func(ctx context.Context, _ *access.Token) error { <-ctx.Done(); return ctx.Err() }, 5 * time.Second, "policy_failed"},
		"it does not":          {func(context.Context, *access.Token) error { time.Sleep(time.Minute); return nil }, 5100 * time.Millisecond, "policy_failed"},
		"it panics":            {func(context.Context, *access.Token) error { panic("a bug") }, 0, "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t, func(s *setup) {
					policy, err := access.Recheck{Lookup: test.lookup}.Policy()
					if err != nil {
						t.Fatal(err)
					}
					s.Policies = []access.Policy{policy}
				})
				begin := time.Now()
				_, err := s.Check(owner(bound()))
				expect(t, err, refusal{503, "", test.reason})
				if took := time.Since(begin); took != test.takes {
					t.Errorf("it took %v, want %v", took, test.takes)
				}
				time.Sleep(time.Hour) // of the bubble
			})
		})
	}
}

// What is remembered is bounded: tokens in use stay, others are looked up again.
func TestRecheckForgets(t *testing.T) {
	u := &users{}
	_, call := rechecked(t, u, access.Recheck{Requests: 1000, Tokens: 3})
	used, idle := bound(), bound()
	for _, token := range []string{used, idle, used, bound(), used, bound(), bound(), used} {
		if err := call(token); err != nil {
			t.Fatal(err)
		}
	}
	if u.asked != 5 {
		t.Errorf("%d look-ups, want one for each of five tokens", u.asked)
	}
	if err := call(idle); err != nil || u.asked != 6 {
		t.Errorf("%v after %d look-ups, want 6", err, u.asked)
	}
}

// A grant that no Guard made has nothing to be remembered by.
func TestRecheckOfAGrantMadeByHand(t *testing.T) {
	u := &users{}
	policy, err := access.Recheck{Requests: 1000, Lookup: u.lookup}.Policy()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := policy(get("", ""), &access.Grant{Token: access.Token{Subject: "user-1"}}); err != nil {
			t.Error(err)
		}
	}
	u.answer = access.ErrAccount
	if err := policy(get("", ""), &access.Grant{Token: access.Token{Subject: "user-1"}}); !errors.Is(err, access.ErrAccount) || u.asked != 3 {
		t.Errorf("%v after %d look-ups", err, u.asked)
	}
}

func TestRecheckSettings(t *testing.T) {
	lookup := (&users{}).lookup
	for want, c := range map[string]access.Recheck{
		"Lookup is nil":  {},
		"Requests is -1": {Lookup: lookup, Requests: -1},
		"Percent is 101": {Lookup: lookup, Percent: 101},
		"Percent is -1":  {Lookup: lookup, Percent: -1},
		"Tokens is -1":   {Lookup: lookup, Tokens: -1},
	} {
		if policy, err := c.Policy(); policy != nil || err == nil || !strings.HasPrefix(err.Error(), "access.Recheck: "+want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// A token without iat lives from its nbf on.
func TestRecheckOfATokenWithoutIssuedAt(t *testing.T) {
	u := &users{}
	s, call := rechecked(t, u, access.Recheck{Percent: 10})
	token := bound(claim("iat", nil), claim("nbf", poptest.Now.Unix())) // for five minutes
	for i, want := range []int{1, 1, 2} {
		if err := call(token); err != nil || u.asked != want {
			t.Errorf("request %d: %d look-ups, want %d; %v", i, u.asked, want, err)
		}
		s.clock.Advance(20 * time.Second)
	}
}
