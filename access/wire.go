package access

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/senderlock/senderlock/reason"
)

// The causes for which a request is refused because something in front of the Guard has rewritten it. A proof speaks of
// the method and the target that came over the wire (RFC 9449 §4.3 items 8 and 9).
var (
	ErrMethodRewritten = reason.New("method_rewritten", "the method is not the one that came over the wire")
	ErrTargetRewritten = reason.New("target_rewritten", "the path is not the one that came over the wire")
)

// wire is what came over it.
type wire struct{ method, target string }

type wireKey struct{}

// Capture remembers method and target of requests as they came over the wire. It belongs in front of whatever rewrites
// them: redirects of slashes, rewrites of paths, overridden methods. Behind it a proof is compared with what the client
// sent; a method that differs is refused, since a field that nobody signed must not turn a proof for POST into one for
// DELETE. Where a request comes by several, the first counts.
func Capture(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, Captured(r)) })
}

// Captured is [Capture] for the adapters of frameworks: the request to go on with.
func Captured(r *http.Request) *http.Request {
	if _, captured := r.Context().Value(wireKey{}).(wire); captured {
		return r // what it is now did not come over the wire
	}
	return r.WithContext(context.WithValue(r.Context(), wireKey{}, wire{r.Method, r.RequestURI}))
}

// overTheWire returns the request with the method and the target that came over the wire, where they were captured.
// Where they were not, it refuses a path that cannot be the one of the target.
func overTheWire(r *http.Request) (*http.Request, error) {
	if r.RequestURI == "" {
		return r, nil // it was never read from a connection
	}
	came, captured := r.Context().Value(wireKey{}).(wire)
	switch {
	case captured && came.method != r.Method:
		return r, ErrMethodRewritten.With(came.method, r.Method)
	case captured && came.target != r.RequestURI:
		original := *r
		original.RequestURI = came.target
		return &original, nil
	case !captured && !consistent(r):
		return r, ErrTargetRewritten.With("the path of "+r.RequestURI+"; put Capture in front of what rewrites it", r.URL.Path)
	}
	return r, nil
}

// consistent reports whether the URL of a request is that of its target, as net/http has read it, or what
// [http.StripPrefix] leaves of it.
func consistent(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if r.URL.RawPath == "" && !strings.ContainsAny(path, "%:") && strings.HasSuffix(path, r.URL.Path) {
		return true
	}
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return true // such as the authority of a CONNECT; the target is refused for what it is
	}
	return strings.HasSuffix(u.Path, r.URL.Path) && (r.URL.RawPath == "" || strings.HasSuffix(u.RawPath, r.URL.RawPath))
}
