package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/examples/codeflow"
)

// loopback is where the browser brings the answer: a port of this machine that others cannot reach (RFC 8252 §7.3).
type loopback struct {
	uri      string // the redirect URI, with the port
	path     string
	listener net.Listener
}

// listen takes the port of a redirect URI, or a free one.
func listen(redirect string) (*loopback, error) {
	u, err := url.Parse(redirect)
	if err != nil {
		return nil, fmt.Errorf("-redirect: %w", err)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || !ip.IsLoopback() || u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		// Not localhost, which may be another machine's name (RFC 8252 §8.3).
		return nil, fmt.Errorf("-redirect is %q: give one such as http://127.0.0.1/callback or http://[::1]:8400/callback", redirect)
	}
	port := u.Port()
	if port == "" {
		port = "0"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		return nil, fmt.Errorf("cannot wait for the browser: %w", err)
	}
	u.Host = listener.Addr().String()
	return &loopback{uri: u.String(), path: cmp.Or(u.EscapedPath(), "/"), listener: listener}, nil
}

func (l *loopback) close() { _ = l.listener.Close() } // wait may have done so

// outcome is how a login ended.
type outcome struct {
	token *oauth2.Token
	err   error
}

// wait serves the redirect URI until an answer is the login's, and returns what finish makes of it. Other requests
// are refused and change nothing: any page that the browser shows can send some.
func (l *loopback) wait(ctx context.Context, finish func(url.Values) (*oauth2.Token, error)) (*oauth2.Token, error) {
	outcomes := make(chan outcome, 1)
	turn := make(chan struct{}, 1) // one answer at a time
	turn <- struct{}{}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.Host != l.listener.Addr().String() || r.URL.EscapedPath() != l.path {
				show(w, http.StatusNotFound, "There is nothing here.")
				return
			}
			if _, open := <-turn; !open {
				show(w, http.StatusNotFound, "This login is over.")
				return
			}
			token, err := finish(r.URL.Query())
			if errors.Is(err, codeflow.ErrState) {
				turn <- struct{}{}
				show(w, http.StatusBadRequest, "This answer belongs to another login.")
				return
			}
			close(turn)
			if err != nil {
				show(w, http.StatusBadGateway, "The login failed. The terminal says why.")
			} else {
				show(w, http.StatusOK, "You are logged in. You can close this window.")
			}
			outcomes <- outcome{token, err}
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l.listener) }()
	select {
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), server.Close())
	case err := <-failed:
		return nil, err
	case o := <-outcomes:
		grace, cancel := context.WithTimeout(ctx, 2*time.Second) // for the page to arrive
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // what matters is the outcome
		}
		return o.token, o.err
	}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title>
<style>:root{color-scheme:light dark}body{font:1.2em/1.5 system-ui,sans-serif;max-width:28em;margin:4em auto;padding:0 1em}</style>
<p>{{.}}</p></html>
`))

// show tells the user how it went. The address of the page has the code in it, so nothing there may tell it on.
func show(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = page.Execute(w, text) // the browser may have gone
}
