package access_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// inBubble makes a guard whose clock begins at poptest.Now and runs with the time of the bubble.
func inBubble(t *testing.T, changes ...func(*setup)) *setup {
	return newGuard(t, append([]func(*setup){inBubbleTime}, changes...)...)
}

func inBubbleTime(s *setup) {
	start := time.Now()
	s.Now = func() time.Time { return poptest.Now.Add(time.Since(start)) }
}

// watched is a long-lived response to the token's owner.
func watched(t *testing.T, s *setup, stream access.Stream) (context.Context, context.CancelFunc) {
	t.Helper()
	r := owner(bound(claim("sid", "s-1"))).WithContext(t.Context())
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	return s.Watch(r, grant, stream)
}

// slowStore takes its time to answer from ten seconds after the begin on, and does not look at the context.
type slowStore struct {
	revocation.Store
	takes time.Duration
}

func (s slowStore) Revoked(context.Context, revocation.Token) (*revocation.Entry, error) {
	if time.Since(bubbleStart) > 10*time.Second {
		time.Sleep(s.takes) // of the bubble
	}
	return nil, nil
}

// panickingLater is a store that panics from ten seconds after the begin on.
type panickingLater struct{ revocation.Store }

func (s panickingLater) Revoked(ctx context.Context, token revocation.Token) (*revocation.Entry, error) {
	if time.Since(bubbleStart) > 10*time.Second {
		panic("a bug")
	}
	return s.Store.Revoked(ctx, token)
}

// bubbleStart is when the time of every bubble begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// When a long-lived response ends, and with which cause. The token lives for five minutes, and ten seconds more by
// the leeway.
func TestWatch(t *testing.T) {
	session := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"}
	for name, test := range map[string]struct {
		stream access.Stream
		change func(*setup)                 // of the guard
		event  func(t *testing.T, s *setup) // after ten and a half seconds
		ends   time.Duration                // after the begin
		want   refusal
	}{
		"at the end of the token": {ends: 310 * time.Second, want: refusal{401, "invalid_token", "token_expired"}},
		"between two looks": {
			stream: access.Stream{Every: time.Minute}, ends: 310 * time.Second, want: refusal{401, "invalid_token", "token_expired"},
		},
		"taken back": {
			event: func(t *testing.T, s *setup) { mustRevoke(t, s, session) },
			ends:  11 * time.Second, want: refusal{401, "invalid_token", "session_revoked"},
		},
		"taken back, looked at less often": {
			stream: access.Stream{Every: 4 * time.Second},
			event:  func(t *testing.T, s *setup) { mustRevoke(t, s, session) },
			ends:   12 * time.Second, want: refusal{401, "invalid_token", "session_revoked"},
		},
		"the store cannot tell": {
			event: func(t *testing.T, s *setup) { _ = s.Revocation.(*revocation.Memory).Close() },
			ends:  11 * time.Second, want: refusal{503, "", "revocation_closed"},
		},
		"the store hangs": {
			change: func(s *setup) { s.Revocation = slowStore{s.Revocation, time.Hour} },
			ends:   16 * time.Second, want: refusal{503, "", "look_too_slow"},
		},
		"the store is slow": {
			change: func(s *setup) { s.Revocation = slowStore{s.Revocation, 4 * time.Second} },
			ends:   310 * time.Second, want: refusal{401, "invalid_token", "token_expired"},
		},
		"the store panics": {
			change: func(s *setup) { s.Revocation = panickingLater{s.Revocation} },
			ends:   11 * time.Second, want: refusal{503, "", "panic"},
		},
		"the guard is closed": {
			event: func(_ *testing.T, s *setup) { _ = s.Close() },
			ends:  11 * time.Second, want: refusal{503, "", "guard_closed"},
		},
		"a policy changes its mind": {
			stream: access.Stream{Policies: []access.Policy{func(_ *http.Request, grant *access.Grant) error {
				if grant.Subject == "user-1" && time.Since(bubbleStart) < 30*time.Second {
					return nil
				}
				return access.ErrTokenInactive
			}}},
			ends: 30 * time.Second, want: refusal{401, "invalid_token", "token_inactive"},
		},
		"a policy panics": {
			stream: access.Stream{Policies: []access.Policy{func(*http.Request, *access.Grant) error { panic("a bug") }}},
			ends:   time.Second, want: refusal{503, "", "panic"},
		},
		"a policy for requests is not asked again": {
			change: func(s *setup) {
				asked := false
				s.Policies = []access.Policy{func(*http.Request, *access.Grant) error {
					if asked {
						return access.ErrTokenInactive
					}
					asked = true
					return nil
				}}
			},
			ends: 310 * time.Second, want: refusal{401, "invalid_token", "token_expired"},
		},
		"a wrong setting": {stream: access.Stream{Every: -1}, want: refusal{503, "", "unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t, func(s *setup) {
					s.Revocation = newRevocations(t, s)
					if test.change != nil {
						test.change(s)
					}
				})
				begin := time.Now()
				ctx, cancel := watched(t, s, test.stream)
				defer cancel()
				if test.event != nil {
					time.AfterFunc(10*time.Second+500*time.Millisecond, func() { test.event(t, s) })
				}
				<-ctx.Done()
				if took := time.Since(begin); took != test.ends {
					t.Errorf("the response ended after %v, want %v", took, test.ends)
				}
				expect(t, context.Cause(ctx), test.want)
				if test.want.status == 401 && len(challenges(context.Cause(ctx).(*access.Error))) == 0 {
					t.Error("the cause has no challenge")
				}
				cancel()
				time.Sleep(2 * time.Hour) // of the bubble, for the store that hangs
			})
		})
	}
}

// The clock of the Guard says when a token has expired, and no timer of the machine.
func TestWatchByTheClockOfTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGuard(t) // its clock stands still
		ctx, cancel := watched(t, s, access.Stream{Every: time.Minute})
		defer cancel()
		time.Sleep(time.Hour) // of the bubble
		if ctx.Err() != nil {
			t.Fatalf("the response has ended: %v", context.Cause(ctx))
		}
		s.clock.Advance(310 * time.Second)
		<-ctx.Done()
		expect(t, context.Cause(ctx), refusal{401, "invalid_token", "token_expired"})
	})
}

func mustRevoke(t *testing.T, s *setup, e revocation.Entry) {
	if err := s.Revocation.Revoke(t.Context(), e); err != nil {
		t.Error(err)
	}
}

// A response that ends by itself leaves nothing behind: a bubble with a goroutine that waits would not end.
func TestWatchIsReleased(t *testing.T) {
	for name, end := range map[string]func(leave, cancel context.CancelFunc){
		"the client leaves":   func(leave, _ context.CancelFunc) { leave() },
		"the handler returns": func(_, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inBubble(t, func(s *setup) { s.Revocation = newRevocations(t, s) })
				connection, leave := context.WithCancel(t.Context())
				defer leave()
				r := owner(bound()).WithContext(connection)
				grant, err := s.Check(r)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := s.Watch(r, grant, access.Stream{})
				time.Sleep(time.Minute) // of the bubble
				if ctx.Err() != nil {
					t.Fatalf("it ended by itself: %v", context.Cause(ctx))
				}
				end(leave, cancel)
				synctest.Wait()
				if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
					t.Errorf("cause %v", cause)
				}
				cancel()
			})
		})
	}
}

// errPolicy has a policy of the stream refuse, and not who knows the tokens.
var errPolicy = errors.New("by a policy")

// What is taken back where opaque tokens are kept ends the responses to them, as it refuses the next request.
func TestWatchOfAnOpaqueToken(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		ends   time.Duration
		want   refusal
	}{
		"refused by a policy":          {errPolicy, 11 * time.Second, refusal{401, "invalid_token", "account_not_active"}},
		"taken back":                   {access.ErrTokenInactive, 11 * time.Second, refusal{401, "invalid_token", "token_inactive"}},
		"the data base is down":        {errors.New("down"), 11 * time.Second, refusal{503, "", "validator_failed"}},
		"good to the end of the token": {nil, 310 * time.Second, refusal{401, "invalid_token", "token_expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := inBubble(t, func(s *setup) {
					s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
						if test.answer != nil && test.answer != errPolicy && time.Since(begin) > 10*time.Second {
							return nil, test.answer
						}
						return &access.Token{
							Issuer: poptest.Issuer, IssuedAt: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
							Confirmation: access.Confirmation{JKT: poptest.ClientKey().Thumbprint()},
						}, nil
					})
				})
				r := owner("opaque").WithContext(t.Context())
				grant, err := s.Check(r)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Del("Authorization") // as some middleware does before it passes a request on
				ctx, cancel := s.Watch(r, grant, access.Stream{Policies: []access.Policy{func(*http.Request, *access.Grant) error {
					if test.answer == errPolicy && time.Since(begin) > 10*time.Second {
						return access.ErrAccount
					}
					return nil
				}}})
				defer cancel()
				<-ctx.Done()
				if took := time.Since(begin); took != test.ends {
					t.Errorf("the response ended after %v, want %v", took, test.ends)
				}
				expect(t, context.Cause(ctx), test.want)
			})
		})
	}
}

// A key that its issuer withdraws ends the responses to tokens that it signed.
func TestWatchOfAWithdrawnKey(t *testing.T) {
	issuer := poptest.NewPlainIssuerServer(t)
	s := newGuard(t, func(s *setup) {
		s.Issuers = []access.Issuer{{URL: issuer.URL(), Audience: poptest.Audience}}
	})
	sign := func(key *poptest.Key, kid string) string {
		return poptest.Token{Issuer: issuer.URL(), Key: key, KeyID: kid, JKT: poptest.ClientKey().Thumbprint()}.String()
	}
	r := owner(sign(poptest.IssuerKey(), poptest.KeyID))
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := s.Watch(r, grant, access.Stream{Every: 5 * time.Millisecond})
	defer cancel()
	next := poptest.Keyed("ES256", "next")
	issuer.SetKeys(map[string]*poptest.Key{"next": next})
	s.clock.Advance(time.Minute)                                                // past the pause between two fetches
	if _, err := s.ValidateToken(t.Context(), sign(next, "next")); err != nil { // fetches the keys again
		t.Fatal(err)
	}
	<-ctx.Done()
	expect(t, context.Cause(ctx), refusal{401, "invalid_token", "token_key_unknown"})
}

func TestStreamSettings(t *testing.T) {
	for want, stream := range map[string]access.Stream{
		"Every is -1ns":      {Every: -1},
		"Every is 1h0m0s":    {Every: time.Hour},
		"Policies[0] is nil": {Policies: []access.Policy{nil}},
	} {
		if _, err := newGuard(t).Guard.StreamRoute(stream); err == nil || !strings.HasPrefix(err.Error(), "access.Stream: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// There is no response to watch without a grant.
func TestWatchWithoutAGrant(t *testing.T) {
	s := newGuard(t)
	ctx, cancel := s.Watch(get("", ""), nil, access.Stream{})
	defer cancel()
	<-ctx.Done()
	e := expect(t, context.Cause(ctx), refusal{503, "", "unavailable"})
	if !strings.Contains(e.Error(), "Watch without a grant") {
		t.Errorf("the cause is %v", e)
	}
}

// The handler may change the fields of its request and its grant while the response is looked after. The race detector
// sees it if they are shared.
func TestWatchHasFieldsOfItsOwn(t *testing.T) {
	looks := make(chan string)
	s := newSite(t, func(s *setup) {
		source, err := access.ForwardedAddress(access.Peers{Addresses: []string{"192.0.2.0/24"}})
		if err != nil {
			t.Fatal(err)
		}
		s.Register, s.Address = newRevocations(t, s), source
	})
	looking := access.Stream{Every: time.Millisecond, Policies: []access.Policy{func(r *http.Request, grant *access.Grant) error {
		select {
		case looks <- r.Header.Get("X-Forwarded-For") + " " + grant.Subject + " " + strings.Join(grant.Scopes, " "):
		case <-r.Context().Done():
		}
		return nil
	}}}
	s.answer = func(_ http.ResponseWriter, r *http.Request) {
		grant := access.GrantFrom(r.Context())
		for range 20 {
			for range 100 {
				r.Header.Set("X-Forwarded-For", "here")
				r.Header.Del("X-Forwarded-For")
				grant.Subject, grant.Scopes[0] = "admin", "admin"
			}
			if got := <-looks; got != "203.0.113.9 user-1 accounts:read" {
				t.Errorf("the look sees %s", got)
			}
		}
	}
	r := owner(bound())
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	s.accepts(t, s.Stream(s, looking), r)
}
