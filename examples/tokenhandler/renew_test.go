package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/examples/codeflow"
)

// slow is an authorization server that takes a second for each answer, and answers what results say, in order.
type slow struct {
	asked   int
	results []error
	same    bool // the refresh token is not replaced
}

// lifetime is how long its tokens are good for.
const lifetime = 50 * time.Second

func (s *slow) Refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	s.asked++
	n := s.asked
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n <= len(s.results) && s.results[n-1] != nil {
		return nil, s.results[n-1]
	}
	token := &oauth2.Token{AccessToken: fmt.Sprint(refreshToken, n), ExpiresIn: int64(lifetime / time.Second), RefreshToken: "next"}
	if s.same {
		token.RefreshToken = refreshToken
	}
	return token, nil
}

func TestRenewals(t *testing.T) {
	outage := errors.New("outage")
	for name, test := range map[string]struct {
		results []error
		wait    time.Duration // between the first request and the second
		want    [2]string     // tokens or errors
		asked   int
	}{
		"at the same time":                  {nil, 0, [2]string{"rt1", "rt1"}, 1},
		"a little later":                    {nil, remembered, [2]string{"rt1", "rt1"}, 1},
		"when nobody can come with it":      {nil, remembered + 2*time.Second, [2]string{"rt1", "rt2"}, 2},
		"after an outage":                   {[]error{outage}, 2 * time.Second, [2]string{"outage", "rt2"}, 2},
		"during an outage":                  {[]error{outage}, 0, [2]string{"outage", "outage"}, 1},
		"the server is not asked for a ban": {[]error{codeflow.ErrEnded}, 2 * time.Second, [2]string{"the login is over", "the login is over"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &slow{results: test.results}
				n := newRenewals(server, time.Now)
				got := make(chan string, 2)
				ask := func() {
					token, _, err := n.renew(t.Context(), "rt")
					if err != nil {
						got <- err.Error()
						return
					}
					got <- token.AccessToken
				}
				go ask()
				time.Sleep(test.wait)
				go ask()
				if first, second := <-got, <-got; first != test.want[0] || second != test.want[1] || server.asked != test.asked {
					t.Errorf("%q, %q after %d questions, want %q after %d", first, second, server.asked, test.want, test.asked)
				}
			})
		})
	}
}

// An authorization server may let a refresh token stay the same. Then it brings newer tokens, however soon.
func TestRenewalWithTheSameRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slow{same: true}
		n := newRenewals(server, time.Now)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{{0, "rt1"}, {10 * time.Second, "rt1"}, {lifetime - early - 10*time.Second, "rt2"}} {
			time.Sleep(step.wait)
			if token, _, err := n.renew(t.Context(), "rt"); err != nil || token.AccessToken != step.want {
				t.Errorf("%v later: %v, %v, want %s", step.wait, token, err, step.want)
			}
		}
	})
}

// Who logs out with an old cookie takes back what has followed from it.
func TestLatestRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, server := range []*slow{{}, {same: true}, {results: []error{codeflow.ErrEnded}}} {
			n := newRenewals(server, time.Now)
			token, _, err := n.renew(t.Context(), "rt")
			want := "rt"
			if err == nil {
				want = token.RefreshToken
			}
			if got := n.latest("rt"); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := n.latest("unknown"); got != "unknown" {
				t.Errorf("got %s", got)
			}
		}
	})
}

// A renewal does not end with the request that began it: its refresh token would be used up, and the next one lost.
func TestRenewalOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(slow)
		n := newRenewals(server, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := n.renew(ctx, "rt"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if token, _, err := n.renew(t.Context(), "rt"); err != nil || token.AccessToken != "rt1" || server.asked != 1 {
			t.Errorf("%v, %v after %d questions", token, err, server.asked)
		}
	})
}
