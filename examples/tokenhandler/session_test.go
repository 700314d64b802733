package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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

func TestMemory(t *testing.T) {
	m := newMemory(time.Hour, 10, time.Now)
	answer := httptest.NewRecorder()
	now := time.Now()
	first := session{AccessToken: "first", Began: now, Expiry: now.Add(time.Minute)}
	if err := m.begin(answer, httptest.NewRequest("GET", "/", nil), first); err != nil {
		t.Fatal(err)
	}
	r := request(answer)
	if _, err := m.find(request(answer, "planted")); !errors.Is(err, errNoSession) {
		t.Errorf("with a second cookie of the name: %v", err)
	}
	newer, newest := first, first
	newer.AccessToken, newer.Expiry = "newer", now.Add(2*time.Minute)
	newest.AccessToken, newest.Expiry = "newest", now.Add(3*time.Minute)
	for _, s := range []session{newer, newest, newer} { // the last is from a request that took its time
		if err := m.keep(answer, r, s); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := m.find(r); err != nil || s.AccessToken != "newest" {
		t.Errorf("%+v, %v", s, err)
	}
	endless := session{AccessToken: "endless", Began: now} // the server did not say this time how long
	if err := m.keep(answer, r, endless); err != nil {
		t.Fatal(err)
	}
	if s, err := m.find(r); err != nil || s.AccessToken != "endless" {
		t.Errorf("%+v, %v", s, err)
	}
	m.end(httptest.NewRecorder(), r)
	if err := m.keep(answer, r, newest); !errors.Is(err, errNoSession) {
		t.Errorf("tokens for a session that ended meanwhile: %v", err)
	}
	if _, err := m.find(r); !errors.Is(err, errNoSession) {
		t.Errorf("they bring it back: %v", err)
	}
}

func TestCookiesHaveRoom(t *testing.T) {
	s, err := newSeal(newCookieKey(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := &stateless{s, time.Hour}
	for size, fits := range map[int]bool{2000: true, 4000: false} {
		answer := httptest.NewRecorder()
		err := c.begin(answer, nil, session{AccessToken: strings.Repeat("x", size), Began: time.Now()})
		if fits != (err == nil) || fits != (answer.Header().Get("Set-Cookie") != "") || !fits && !strings.Contains(err.Error(), "run without -stateless") {
			t.Errorf("a token of %d octets: %v", size, err)
		}
		if got, err := c.find(request(answer)); fits && (err != nil || len(got.AccessToken) != size) {
			t.Errorf("a token of %d octets comes back: %v", size, err)
		}
	}
}
