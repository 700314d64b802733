package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

const feedURL = "https://login.example.com/events/poll"

// bubble is when time begins in a bubble of synctest.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// feed is a transmitter that hands out tokens as RFC 8936 has it, and takes nothing else from a receiver.
type feed struct {
	t    *testing.T
	hold time.Duration // for how long it holds a request that may wait

	mu      sync.Mutex
	changed chan struct{}
	waiting map[string]string // tokens that were not acknowledged, by jti
	given   map[string]bool   // those that were handed out
	codes   map[string]string // codes that came back
	asked   []question
	began   time.Time
	answers []func() (*http.Response, error) // in place of the next ones
	token   string
	silent  bool // it answers nothing
}

// question is a request that came.
type question struct {
	after  time.Duration
	most   int
	atOnce bool
	acks   []string
}

func newFeed(t *testing.T) *feed {
	return &feed{t: t, hold: 30 * time.Second, changed: make(chan struct{}, 100), began: time.Now(), token: "t-1",
		waiting: map[string]string{}, given: map[string]bool{}, codes: map[string]string{}}
}

// add puts tokens into the feed.
func (f *feed) add(tokens map[string]string) {
	f.mu.Lock()
	maps.Copy(f.waiting, tokens)
	f.mu.Unlock()
	f.changed <- struct{}{}
}

func (f *feed) questions() []question {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *feed) left() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.waiting))
}

func (f *feed) reported() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.codes)
}

// RoundTrip is the way to it within a bubble of synctest.
func (f *feed) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	q, problem := f.read(r)
	f.mu.Lock()
	f.asked = append(f.asked, q)
	var answer func() (*http.Response, error)
	if len(f.answers) > 0 {
		answer, f.answers = f.answers[0], f.answers[1:]
	}
	f.mu.Unlock()
	switch {
	case f.silent:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case problem != "":
		f.t.Errorf("the %d. request: %s", len(f.questions()), problem)
		return status(400), nil
	case answer != nil:
		return answer()
	}
	if !q.atOnce {
		late := time.After(f.hold)
		for len(f.left()) == 0 {
			select {
			case <-f.changed:
				continue
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-late:
			}
			break
		}
	}
	return f.hand(q.most), nil
}

// read judges a request and takes what it says of tokens (RFC 8936 §2.2, §2.4, §2.6).
func (f *feed) read(r *http.Request) (q question, problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q.after = time.Since(f.began)
	h := r.Header
	if r.Method != "POST" || r.URL.String() != feedURL || h.Get("Content-Type") != "application/json" ||
		h.Get("Accept") != "application/json" || h.Get("Authorization") != "Bearer "+f.token {
		return q, fmt.Sprintf("%s %s %v", r.Method, r.URL, h)
	}
	var body struct {
		Most   *int     `json:"maxEvents"`
		AtOnce *bool    `json:"returnImmediately"`
		Acks   []string `json:"ack"`
		Errors map[string]struct {
			Code        string `json:"err"`
			Description string `json:"description"`
		} `json:"setErrs"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || body.Most == nil || *body.Most < 0 || body.AtOnce == nil {
		return q, fmt.Sprintf("a body that is none: %v", err)
	}
	q.most, q.atOnce, q.acks = *body.Most, *body.AtOnce, body.Acks
	for _, id := range body.Acks {
		if !f.given[id] || body.Errors[id].Code != "" {
			return q, "acknowledges " + id
		}
		delete(f.waiting, id)
	}
	for id, e := range body.Errors {
		if !f.given[id] || e.Description == "" || strings.Contains(e.Description, "hostile") || h.Get("Content-Language") != "en" ||
			!slices.Contains([]string{"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"}, e.Code) {
			return q, fmt.Sprintf("reports %+v of %s", e, id)
		}
		f.codes[id] = e.Code
		delete(f.waiting, id)
	}
	return q, ""
}

// hand answers with what waits, as many as are wanted.
func (f *feed) hand(most int) *http.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	tokens := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(f.waiting)) {
		if len(tokens) < most {
			tokens[id], f.given[id] = f.waiting[id], true
		}
	}
	return answered(text(members{"sets": tokens, "moreAvailable": len(tokens) < len(f.waiting)}))
}

func answered(body string) *http.Response {
	r := status(200, "Content-Type", "application/json; charset=utf-8")
	r.Body = io.NopCloser(strings.NewReader(body))
	return r
}

// polled is a receiver and the feed that it polls, in the bubble of a test.
type polled struct {
	*setup
	*feed
	poller *events.Poller
}

func poll(t *testing.T, change func(*events.PollerConfig, *feed), changes ...func(*setup)) *polled {
	t.Helper()
	p := &polled{setup: newSetup(t, append(changes, func(s *setup) {
		var err error
		if _, failing := s.forSignals.Store.(*failing); !failing {
			if s.store, err = revocation.NewMemory(revocation.Options{}); err != nil { // by the bubble's clock
				t.Fatal(err)
			}
			s.forSignals.Store = s.store
		}
		s.forSignals.Provider.Now = nil
	})...), feed: newFeed(t)}
	config := events.PollerConfig{
		Receiver: p.signals, Endpoint: feedURL, HTTPClient: &http.Client{Transport: p.feed},
		AccessToken: func(context.Context) (string, error) { return "t-1", nil },
	}
	if change != nil {
		change(&config, p.feed)
	}
	var err error
	if p.poller, err = events.NewPoller(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.poller.Close() })
	return p
}

func every(d time.Duration) func(*events.PollerConfig, *feed) {
	return func(c *events.PollerConfig, _ *feed) { c.Interval = d }
}

// disabled is a token that says that the account of a user was disabled now.
func disabled(id, user string) string {
	return set(members{"jti": id, "iat": time.Now().Unix(), "sub_id": opaque(user)})
}

// held reports whether tokens of a user that were issued a minute ago are revoked.
func (p *polled) held(t *testing.T, user string) bool {
	t.Helper()
	k := token(0, of(user, "s-1"))
	k.IssuedAt, k.Expiry = time.Now().Add(-time.Minute), time.Now().Add(14*time.Minute)
	return p.by(t, k) != ""
}

func after(questions []question) (all []time.Duration) {
	for _, q := range questions {
		all = append(all, q.after)
	}
	return all
}

func seconds(all ...float64) (durations []time.Duration) {
	for _, s := range all {
		durations = append(durations, time.Duration(s*float64(time.Second)))
	}
	return durations
}

// A long poll brings a token the moment it is there, and says with the next question that it was acted on.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poll(t, nil)
		time.Sleep(45 * time.Second) // it holds the first one for thirty
		p.add(map[string]string{"a": disabled("a", "user-1")})
		synctest.Wait()
		if !p.held(t, "user-1") || p.held(t, "user-2") || len(p.left()) != 0 {
			t.Errorf("held: %v, %v; left: %v", p.held(t, "user-1"), p.held(t, "user-2"), p.left())
		}
		q := p.questions()
		if got, want := after(q), seconds(0, 30, 45); !slices.Equal(got, want) {
			t.Errorf("asked after %v, want %v", got, want)
		}
		if q[0].atOnce || q[0].most != 20 || len(q[1].acks) > 0 || !slices.Equal(q[2].acks, []string{"a"}) {
			t.Errorf("asked %+v", q)
		}
	})
}

// A short poll asks again after its interval, and at once while there is more.
func TestShortPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poll(t, func(c *events.PollerConfig, f *feed) {
			c.Interval, c.MaxEvents = time.Minute, 2
			f.add(map[string]string{"a": disabled("a", "user-1"), "b": disabled("b", "user-2"), "c": disabled("c", "user-3")})
		})
		synctest.Wait()
		if got, want := after(p.questions()), seconds(0, 0); !slices.Equal(got, want) {
			t.Errorf("asked after %v, want %v", got, want)
		}
		for _, user := range []string{"user-1", "user-2", "user-3"} {
			if !p.held(t, user) {
				t.Errorf("%s is not held", user)
			}
		}
		time.Sleep(2*time.Minute + time.Second)
		q := p.questions()
		if got, want := after(q), seconds(0, 0, 60, 120); !slices.Equal(got, want) {
			t.Errorf("asked after %v, want %v", got, want)
		}
		if !q[0].atOnce || q[0].most != 2 || !slices.Equal(q[1].acks, []string{"a", "b"}) || !slices.Equal(q[2].acks, []string{"c"}) || len(q[3].acks) > 0 {
			t.Errorf("asked %+v", q)
		}
	})
}

// What is refused is reported with the code that a push would get, and what is good beside it is acted on.
func TestPolledRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poll(t, nil)
		tokens := map[string]string{
			"good":     disabled("good", "user-1"),
			"foreign":  set(members{"jti": "foreign", "iat": time.Now().Unix(), "iss": "https://hostile.example.com"}),
			"audience": set(members{"jti": "audience", "iat": time.Now().Unix(), "aud": "hostile"}),
			"key":      compact(members{"typ": "secevent+jwt", "alg": "ES256", "kid": "hostile"}, setClaims(members{"jti": "key", "iat": time.Now().Unix()})),
			"subject":  set(members{"jti": "subject", "iat": time.Now().Unix(), "sub_id": members{"format": "iss_sub", "iss": "https://hostile.example.com", "sub": "user-2"}}),
			"event":    set(members{"jti": "event", "iat": time.Now().Unix()}, one(ownEvent, nil)),
			"another":  disabled("hostile", "user-2"), // under a name that is not its jti
			"":         disabled("unnamed", "user-2"),
			"no JWT":   "hostile",
			"logout":   logoutToken(members{"jti": "logout"}),
		}
		p.add(tokens)
		synctest.Wait()
		want := map[string]string{
			"foreign": "invalid_issuer", "audience": "invalid_audience", "key": "invalid_key", "subject": "access_denied",
			"event": "invalid_request", "another": "invalid_request", "": "invalid_request", "no JWT": "invalid_request", "logout": "invalid_request",
		}
		if got := p.reported(); !maps.Equal(got, want) {
			t.Errorf("reported %v, want %v", got, want)
		}
		if !p.held(t, "user-1") || p.held(t, "user-2") || len(p.left()) > 0 {
			t.Errorf("held: %v, %v; left: %v", p.held(t, "user-1"), p.held(t, "user-2"), p.left())
		}
		if !p.setup.log.heard("report of the identity provider refused") {
			t.Error("no refusal was logged")
		}
	})
}

// What could not be acted on is neither acknowledged nor reported, so that it comes again; what came beside it is.
func TestPolledTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := revocation.NewMemory(revocation.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := poll(t, nil, func(s *setup) { s.store, s.forSignals.Store = store, &failing{Store: store} })
		p.add(map[string]string{"a": disabled("a", "user-1"), "b": disabled("b", "user-2")})
		synctest.Wait()
		if got := p.left(); !slices.Equal(got, []string{"a", "b"}) || p.held(t, "user-2") { // before the next question
			t.Errorf("left: %v; held: %v", got, p.held(t, "user-2"))
		}
		if p.setup.log.last() != "event_unavailable" || !p.setup.log.heard("identity provider not polled") {
			t.Errorf("logged %q", p.setup.log.last())
		}
		time.Sleep(2 * time.Second)
		if len(p.left()) != 0 || !p.held(t, "user-1") || !p.held(t, "user-2") || len(p.reported()) > 0 {
			t.Errorf("left: %v", p.left())
		}
		q := p.questions()
		if got, want := after(q), seconds(0, 1, 1); !slices.Equal(got, want) || !slices.Equal(q[1].acks, []string{"a"}) || !slices.Equal(q[2].acks, []string{"b"}) {
			t.Errorf("asked %+v", q)
		}
	})
}

// What is no answer: nothing of it counts, what was to be acknowledged still is, and the pauses grow.
func TestNoAnswer(t *testing.T) {
	response := func(r *http.Response) func() (*http.Response, error) {
		return func() (*http.Response, error) { return r, nil }
	}
	typed := func(contentType, body string) func() (*http.Response, error) {
		r := answered(body)
		r.Header.Set("Content-Type", contentType)
		return response(r)
	}
	good := func() string {
		return `{"sets":{"x":"` + set(members{"jti": "x", "iat": bubble.Unix(), "sub_id": opaque("user-2")}) + `"}}`
	}
	for name, test := range map[string]struct {
		answer   func() (*http.Response, error)
		again    time.Duration
		answered bool
	}{
		"no connection":      {func() (*http.Response, error) { return nil, errBroken }, time.Second, false},
		"its trouble":        {response(status(503)), time.Second, false},
		"Retry-After":        {response(status(429, "Retry-After", "30")), 30 * time.Second, false},
		"an hour is asked":   {response(status(503, "Retry-After", "3600")), 5 * time.Minute, false},
		"a credential":       {response(status(401)), time.Second, false},
		"a redirect":         {response(status(307, "Location", "https://hostile.example.com")), time.Second, false},
		"another success":    {response(func() *http.Response { r := answered(good()); r.StatusCode = 202; return r }()), time.Second, false},
		"no content":         {response(status(204)), time.Second, false},
		"no type":            {typed("", good()), time.Second, true},
		"a page":             {typed("text/html", good()), time.Second, true},
		"no JSON":            {response(answered("hostile")), time.Second, true},
		"an array":           {response(answered("[]")), time.Second, true},
		"no sets":            {response(answered("{}")), time.Second, true},
		"sets that are none": {response(answered(`{"sets":["a"]}`)), time.Second, true},
		"a token twice":      {response(answered(`{"sets":{"a":"x","a":"y"}}`)), time.Second, true},
		"too large":          {response(answered(good() + strings.Repeat(" ", 4096+20*events.DefaultMaxSize))), time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := poll(t, every(time.Hour))
				synctest.Wait() // the first answer was an empty one
				p.add(map[string]string{"a": disabled("a", "user-1")})
				time.Sleep(time.Hour) // the second has a token
				synctest.Wait()
				p.mu.Lock()
				p.answers = []func() (*http.Response, error){test.answer}
				p.mu.Unlock()
				time.Sleep(time.Hour + test.again)
				synctest.Wait()
				q := p.questions()
				want := []time.Duration{0, time.Hour, 2 * time.Hour, 2*time.Hour + test.again}
				if got := after(q); !slices.Equal(got, want) {
					t.Fatalf("asked after %v, want %v", got, want)
				}
				if p.setup.log.last() != "events_not_polled" {
					t.Errorf("logged %q", p.setup.log.last())
				}
				acks := []string{"a"}
				if test.answered {
					acks = nil // the transmitter has them
				}
				if !slices.Equal(q[3].acks, acks) {
					t.Errorf("acknowledged %v, want %v", q[3].acks, acks)
				}
			})
		})
	}
}

// The pauses grow to five minutes, and begin anew once there was an answer.
func TestPollPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poll(t, func(c *events.PollerConfig, f *feed) {
			for range 10 {
				f.answers = append(f.answers, func() (*http.Response, error) { return nil, errBroken })
			}
			f.answers = append(f.answers, nil, func() (*http.Response, error) { return nil, errBroken })
		})
		time.Sleep(1145 * time.Second)
		want := seconds(0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 841, 842, 872, 902, 932, 962, 992, 1022, 1052, 1082, 1112, 1142)
		if got := after(p.questions()); !slices.Equal(got, want) {
			t.Errorf("asked after %v, want %v", got, want)
		}
	})
}

// A request that is refused as a whole is not sent for ever: what it acknowledged comes again, and is acted on again.
func TestAcknowledgmentsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poll(t, every(time.Minute))
		synctest.Wait()
		p.add(map[string]string{"a": disabled("a", "user-1")})
		time.Sleep(time.Minute)
		synctest.Wait()
		p.mu.Lock()
		p.answers = []func() (*http.Response, error){func() (*http.Response, error) { return status(400), nil }}
		p.mu.Unlock()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if q := p.questions(); len(q) != 4 || !slices.Equal(q[2].acks, []string{"a"}) || len(q[3].acks) > 0 {
			t.Errorf("asked %+v", q)
		}
	})
}

// A transmitter that answers at once, whatever it was asked, is not asked without a pause.
func TestTransmitterThatDoesNotWait(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                        `{"sets":{}}`,
		"more, which does not come":      `{"sets":{},"moreAvailable":true}`,
		"what was acknowledged, forever": "",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := poll(t, func(_ *events.PollerConfig, f *feed) {
					again := text(members{"sets": members{"a": disabled("a", "user-1")}, "moreAvailable": true})
					f.given["a"] = true
					for range 1000 {
						f.answers = append(f.answers, func() (*http.Response, error) {
							if body != "" {
								return answered(body), nil
							}
							return answered(again), nil
						})
					}
				})
				time.Sleep(59500 * time.Millisecond)
				got := len(p.questions())
				if body == "" {
					if got != 7 || p.setup.log.last() != "events_not_polled" { // 0, 0, 1, 3, 7, 15, 31
						t.Errorf("asked %d times, logged %q", got, p.setup.log.last())
					}
				} else if got != 60 {
					t.Errorf("asked %d times", got)
				}
			})
		})
	}
}

// A request that nobody answers ends, and so does everything when the Poller is closed: what was acted on is acknowledged,
// and nothing new is fetched.
func TestPollerEnds(t *testing.T) {
	t.Run("a request without an answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := poll(t, func(c *events.PollerConfig, f *feed) { c.Timeout, f.hold = 10*time.Second, 24*time.Hour })
			time.Sleep(11500 * time.Millisecond)
			if got, want := after(p.questions()), seconds(0, 11); !slices.Equal(got, want) || p.setup.log.last() != "events_not_polled" {
				t.Errorf("asked after %v, want %v; logged %q", got, want, p.setup.log.last())
			}
		})
	})
	t.Run("while it waits for the transmitter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := poll(t, nil)
			synctest.Wait()
			began := time.Now()
			if err := errors.Join(p.poller.Close(), p.poller.Close()); err != nil || time.Since(began) > 0 || len(p.questions()) != 1 {
				t.Errorf("got %v after %v, asked %v", err, time.Since(began), p.questions())
			}
		})
	})
	t.Run("with something to acknowledge", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := poll(t, func(c *events.PollerConfig, f *feed) {
				c.Interval = time.Hour
				f.add(map[string]string{"a": disabled("a", "user-1")})
			})
			synctest.Wait()
			p.add(map[string]string{"b": disabled("b", "user-2")})
			_ = p.poller.Close()
			q := p.questions()
			if len(q) != 2 || q[1].most != 0 || !q[1].atOnce || !slices.Equal(q[1].acks, []string{"a"}) || !slices.Equal(p.left(), []string{"b"}) {
				t.Errorf("asked %+v, left %v", q, p.left())
			}
		})
	})
	t.Run("with something to acknowledge, and nobody answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := poll(t, func(c *events.PollerConfig, f *feed) {
				c.Interval = time.Hour
				f.add(map[string]string{"a": disabled("a", "user-1")})
			})
			synctest.Wait()
			p.silent = true
			began := time.Now()
			_ = p.poller.Close()
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("took %v", took)
			}
			if !p.setup.log.heard("reports of the identity provider not acknowledged: they come again") {
				t.Error("nobody was told")
			}
		})
	})
}

// The access token is asked for anew each time; without one nothing is sent.
func TestPollerAccessToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := poll(t, func(c *events.PollerConfig, f *feed) {
			c.Interval = time.Minute
			c.AccessToken = func(context.Context) (string, error) {
				switch n++; n {
				case 1:
					return "", errBroken
				case 2:
					return "", nil
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				f.token = fmt.Sprint("t-", n)
				return f.token, nil
			}
		})
		time.Sleep(64 * time.Second)
		if got, want := after(p.questions()), seconds(3, 63); !slices.Equal(got, want) || p.setup.log.last() != "events_not_polled" {
			t.Errorf("asked after %v, want %v; logged %q", got, want, p.setup.log.last())
		}
	})
}

func TestPollerSettings(t *testing.T) {
	for want, change := range map[string]func(*events.PollerConfig){
		"Receiver is nil": func(c *events.PollerConfig) { c.Receiver = nil },
		`Endpoint is ""`:  func(c *events.PollerConfig) { c.Endpoint = "" },
		`Endpoint is "http://login.example.com/…": give the https address`: func(c *events.PollerConfig) { c.Endpoint = "http://login.example.com/poll" },
		"Interval is 999ms":    func(c *events.PollerConfig) { c.Interval = 999 * time.Millisecond },
		"Interval is -1ns":     func(c *events.PollerConfig) { c.Interval = -1 },
		"Interval is 24h0m1s":  func(c *events.PollerConfig) { c.Interval = 24*time.Hour + time.Second },
		"Timeout is 9s":        func(c *events.PollerConfig) { c.Timeout = 9 * time.Second },
		"Timeout is 1h0m1s":    func(c *events.PollerConfig) { c.Timeout = time.Hour + time.Second },
		"MaxEvents is -1":      func(c *events.PollerConfig) { c.MaxEvents = -1 },
		"MaxEvents is 101":     func(c *events.PollerConfig) { c.MaxEvents = 101 },
		`Endpoint is "https…`:  func(c *events.PollerConfig) { c.Endpoint = "https:" },
		`Endpoint is "ftp://a`: func(c *events.PollerConfig) { c.Endpoint = "ftp://a" },
	} {
		config := events.PollerConfig{Receiver: newSetup(t).signals, Endpoint: feedURL}
		change(&config)
		p, err := events.NewPoller(config)
		if want = strings.TrimSuffix(want, "https…"); p != nil || err == nil || !strings.HasPrefix(err.Error(), "events.PollerConfig: "+want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	p, err := events.NewPoller(events.PollerConfig{
		Receiver: newSetup(t).signals, Endpoint: "http://127.0.0.1:1/poll", HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errBroken })},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
}
