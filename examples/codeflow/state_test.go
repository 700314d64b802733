package codeflow_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/senderlock/senderlock/examples/codeflow"
)

// An answer counts only with the state of the login, once. Nothing is asked of the server for any other (RFC 6749 §10.12).
func TestStateOfTheAnswer(t *testing.T) {
	s := newStub(t)
	c := s.client(t, codeflow.Config{})
	begun, _ := c.Begin("http://127.0.0.1/cb", codeflow.Demand{})
	for name, test := range map[string]struct {
		login  codeflow.Login
		states []string
		good   bool
	}{
		"its own":              {begun, []string{begun.State}, true},
		"another":              {begun, []string{"guess"}, false},
		"none":                 {begun, nil, false},
		"an empty one":         {begun, []string{""}, false},
		"its own twice":        {begun, []string{begun.State, begun.State}, false},
		"its own, then other":  {begun, []string{begun.State, "guess"}, false},
		"longer":               {begun, []string{begun.State + "x"}, false},
		"empty, without login": {codeflow.Login{}, []string{""}, false},
		"none, without login":  {codeflow.Login{}, nil, false},
	} {
		s.asked = nil
		_, err := c.Finish(t.Context(), test.login, url.Values{"state": test.states, "code": {"c"}})
		if (err == nil) != test.good || !test.good && !errors.Is(err, codeflow.ErrState) || (s.asked != nil) != test.good {
			t.Errorf("%s: %v, asked %v", name, err, s.asked)
		}
	}
}

// The code is exchanged with the verifier of the login, whose hash the server has seen (RFC 7636 §4.5).
func TestVerifierOfTheExchange(t *testing.T) {
	s := newStub(t)
	c := s.client(t, codeflow.Config{})
	login, _ := c.Begin("http://127.0.0.1/cb", codeflow.Demand{})
	if _, err := c.Finish(t.Context(), login, url.Values{"state": {login.State}, "code": {"c"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.asked.Form.Get("code_verifier"); got != login.Verifier || len(got) < 43 {
		t.Errorf("verifier %q, want %q", got, login.Verifier)
	}
}
