package echotest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// A proof is for the target that came over the wire, whatever Echo's middleware makes of it: with Capture in front of
// that, honest requests get in; without, none gets in by a proof for another target than the one that is asked for.
func (f suite) TestRewrittenTargets(t *testing.T) {
	add, remove := f.AddTrailingSlash(), f.RemoveTrailingSlash()
	rewrite := f.Rewrite(map[string]string{"/old/*": "/files/$1", "/api/*": "/$1"})
	for name, test := range map[string]struct {
		rewrites        Middleware
		target, htu     string
		captured, alone string // the reason of the refusal with Capture and without; empty: accepted
	}{
		"a slash added":                     {add, "/files/a", "/files/a", "", "htu_mismatch"},
		"a slash added, behind a query":     {add, "/files/a?b=c/", "/files/a", "", "htu_mismatch"},
		"none to add":                       {add, "/files/a/", "/files/a/", "", ""},
		"a slash added, for another":        {add, "/files/a", "/files/b", "htu_mismatch", "htu_mismatch"},
		"a slash added to an escaped ?":     {add, "/files/a%3Fb", "/files/a%3Fb", "", "target_rewritten"},
		"an escaped ? taken for a query":    {add, "/files/a%3Fb", "/files/a", "htu_mismatch", "target_rewritten"},
		"an escaped / taken for one":        {add, "/files/a%2Fb", "/files/a/b/", "htu_mismatch", "target_rewritten"},
		"escaped dots taken for dots":       {add, "/files/a%2F..%2Fb", "/files/b/", "htu_mismatch", "target_rewritten"},
		"an escaped % taken for one":        {add, "/files/%2561", "/files/a/", "htu_mismatch", "target_rewritten"},
		"a slash removed":                   {remove, "/files/a/", "/files/a/", "", "htu_mismatch"},
		"none to remove":                    {remove, "/files/a", "/files/a", "", ""},
		"a slash removed, an escaped ?":     {remove, "/files/a%3Fb/", "/files/a%3Fb/", "", "target_rewritten"},
		"removed, an escaped ? as a query":  {remove, "/files/a%3Fb/", "/files/a", "htu_mismatch", "target_rewritten"},
		"removed, an escaped / as one":      {remove, "/files/a%2Fb/", "/files/a/b", "htu_mismatch", "target_rewritten"},
		"rewritten":                         {rewrite, "/old/a", "/old/a", "", "target_rewritten"},
		"rewritten, proved as rewritten":    {rewrite, "/old/a", "/files/a", "htu_mismatch", "target_rewritten"},
		"rewritten, behind a query":         {rewrite, "/old/a?b=c", "/old/a", "", "target_rewritten"},
		"rewritten, an escaped ?":           {rewrite, "/old/a%3Fb", "/files/a", "htu_mismatch", "target_rewritten"},
		"not rewritten":                     {rewrite, "/files/a", "/files/a", "", ""},
		"a prefix stripped":                 {rewrite, "/api/files/a", "/api/files/a", "", ""},
		"a prefix stripped, proved without": {rewrite, "/api/files/a", "/files/a", "htu_mismatch", "htu_mismatch"},
	} {
		for _, capture := range []bool{true, false} {
			reason := test.alone
			if capture {
				reason = test.captured
			}
			t.Run(name+map[bool]string{true: ", captured"}[capture], func(t *testing.T) {
				a := f.newRewriting(t, capture, test.rewrites)
				r := get(test.target)
				r.Host = "api.example.com"
				a.expect(t, signed(r, bound(), poptest.Audience+test.htu), reason)
			})
		}
	}
}

// A field that nobody signed must not turn a proof for POST into one for DELETE.
func (f suite) TestRewrittenMethods(t *testing.T) {
	for name, test := range map[string]struct {
		override, htm   string
		captured, alone string
	}{
		"none":                    {"", "POST", "", ""},
		"the same":                {"POST", "POST", "", ""},
		"another, honest":         {"DELETE", "POST", "method_rewritten", "htm_mismatch"},
		"another, and its proof":  {"DELETE", "DELETE", "method_rewritten", ""}, // what Capture is for
		"another, another proof":  {"DELETE", "PUT", "method_rewritten", "htm_mismatch"},
		"none, and another proof": {"", "DELETE", "htm_mismatch", "htm_mismatch"},
	} {
		for _, capture := range []bool{true, false} {
			reason := test.alone
			if capture {
				reason = test.captured
			}
			t.Run(name+map[bool]string{true: ", captured"}[capture], func(t *testing.T) {
				a := f.newRewriting(t, capture, f.MethodOverride())
				r := httptest.NewRequest("POST", poptest.Audience+"/files/a", nil)
				if test.override != "" {
					r.Header.Set("X-HTTP-Method-Override", test.override)
				}
				htm := func(p *poptest.Proof) { p.Method = test.htm }
				a.expect(t, signed(r, bound(), poptest.Audience+"/files/a", htm), reason)
			})
		}
	}
}

// rewriting is an api with a middleware in front of its router that rewrites requests.
type rewriting struct {
	*api
	heard []access.Decision
}

func (f suite) newRewriting(t *testing.T, capture bool, rewrites Middleware) *rewriting {
	a := &rewriting{api: &api{Server: f.New()}}
	auth := f.newAuth(t, func(c *access.Config) {
		c.Observer.Decided = func(_ context.Context, d access.Decision) { a.heard = append(a.heard, d) }
	})
	if capture {
		a.Pre(auth.Capture())
	}
	a.Pre(rewrites)
	a.Handle("", "/files/*", a.handler, auth.Authenticate())
	return a
}

// expect compares the reason of a refusal; an empty one means that the handler runs.
func (a *rewriting) expect(t *testing.T, r *http.Request, reason string) {
	t.Helper()
	w := a.serve(r)
	if len(a.heard) != 1 || a.heard[0].Reason() != reason {
		t.Fatalf("decided %+v, want %q; %d %s", a.heard, reason, w.Code, w.Body)
	}
	status := http.StatusOK
	switch reason {
	case "":
	case "method_rewritten", "target_rewritten":
		status = http.StatusBadRequest
	default:
		status = http.StatusUnauthorized
	}
	if ran := a.ran(); w.Code != status || (ran == 1) != (reason == "") {
		t.Errorf("%d, want %d; the handler ran %d times", w.Code, status, ran)
	}
}
