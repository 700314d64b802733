package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// request is a request with what a response has set, and further cookies.
func request(answer *httptest.ResponseRecorder, more ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, cookie := range answer.Result().Cookies() {
		r.AddCookie(cookie)
	}
	for _, value := range more {
		r.AddCookie(&http.Cookie{Name: sessionCookie().Name, Value: value})
	}
	return r
}

// kept are both ways of keeping sessions, with a clock that a test sets.
func kept(t *testing.T, now func() time.Time) map[string]sessions {
	t.Helper()
	s, err := newSeal(newCookieKey(), now)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]sessions{"memory": newMemory(time.Hour, 10, now), "stateless": newStateless(s, time.Hour)}
}

// What is written to a session is judged by what has become of that session, not of the browser's cookie.
func TestSessionsGoForward(t *testing.T) {
	now := time.Now()
	for name, all := range kept(t, func() time.Time { return now }) {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			first := newSession(&oauth2.Token{AccessToken: "first", ExpiresIn: 60}, now)
			if err := all.begin(answer, first); err != nil {
				t.Fatal(err)
			}
			second := first
			second.take(&oauth2.Token{AccessToken: "second"}, now)
			third := second
			third.take(&oauth2.Token{AccessToken: "third", ExpiresIn: 60}, now)
			for _, s := range []session{second, third, second} { // the last is from a request that took its time
				if err := all.keep(answer, s); err != nil {
					t.Fatal(err)
				}
			}
			r := request(answer)
			if _, err := all.find(request(answer, "planted")); !errors.Is(err, errNoSession) {
				t.Errorf("with a second cookie of the name: %v", err)
			}
			if s, err := all.find(r); err != nil || s.AccessToken != "third" {
				t.Errorf("%+v, %v", s, err)
			}
			if all.newest(second) || !all.newest(third) {
				t.Error("older tokens count as the newest")
			}
			other := newSession(&oauth2.Token{AccessToken: "other"}, now)
			if err := all.begin(httptest.NewRecorder(), other); err != nil {
				t.Fatal(err)
			}
			if first, again := all.end(third), all.end(third); !first || again {
				t.Errorf("it ends: %t, and once more: %t", first, again)
			}
			if err := all.keep(answer, third); !errors.Is(err, errNoSession) {
				t.Errorf("tokens for a session that ended meanwhile: %v", err)
			}
			if _, err := all.find(r); !errors.Is(err, errNoSession) || all.newest(third) {
				t.Errorf("they bring it back: %v", err)
			}
			if !all.newest(other) {
				t.Error("another session ended as well")
			}
			now = now.Add(time.Hour)
			if all.newest(other) {
				t.Error("a session is written that has had its time")
			}
		})
	}
}

func TestCookiesHaveRoom(t *testing.T) {
	s, err := newSeal(newCookieKey(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := newStateless(s, time.Hour)
	for size, fits := range map[int]bool{2000: true, 4000: false} {
		answer := httptest.NewRecorder()
		err := c.begin(answer, session{AccessToken: strings.Repeat("x", size), Began: time.Now()})
		if fits != (err == nil) || fits != (answer.Header().Get("Set-Cookie") != "") || !fits && !strings.Contains(err.Error(), "run without -stateless") {
			t.Errorf("a token of %d octets: %v", size, err)
		}
		if got, err := c.find(request(answer)); fits && (err != nil || len(got.AccessToken) != size) {
			t.Errorf("a token of %d octets comes back: %v", size, err)
		}
	}
}
