package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/internal/challenge"
)

// tokenOf is the key of a request's access token in its context, for the transport.
type tokenOf struct{}

// tokenFor is the Token of the transport.
func tokenFor(ctx context.Context) (string, error) {
	token, ok := ctx.Value(tokenOf{}).(string)
	if !ok {
		return "", errNoSession
	}
	return token, nil
}

// forward sends a request of a logged-in browser on to the API, with the session's token and a proof.
func (h *handler) forward(c echo.Context) error {
	w, r := c.Response(), c.Request()
	switch {
	case dotted(r.URL.Path):
		return echo.NewHTTPError(http.StatusBadRequest, "the path leads elsewhere")
	case r.Header.Get("Upgrade") != "": // what follows would outlive the session
		return echo.NewHTTPError(http.StatusNotImplemented, "only requests are forwarded")
	}
	token, err := h.token(w, r)
	switch {
	case errors.Is(err, errNoSession):
		return echo.NewHTTPError(http.StatusUnauthorized, err.Error())
	case err != nil:
		h.log.Error("no token", "error", err)
		w.Header().Set("Retry-After", "5")
		return echo.NewHTTPError(http.StatusServiceUnavailable, "the authorization server does not answer")
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), tokenOf{}, token), longest)
	defer cancel()
	if h.legs != nil {
		ctx = h.legs.begin(w, ctx)
	}
	r = r.WithContext(ctx)
	// Nothing that the API sends runs as a page of ours.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.proxy.ServeHTTP(w, r)
	return nil
}

// dotted reports whether a path has a segment that a server may read as a step up, and so out of the part of the API
// that requests are sent to. Servers differ in what separates segments, and in whether they have parameters.
func dotted(path string) bool {
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == '\\' })
	return slices.ContainsFunc(segments, func(segment string) bool {
		name, _, _ := strings.Cut(segment, ";")
		return name == "." || name == ".."
	})
}

// token returns an access token of the browser's session, refreshed if its time is nearly over.
func (h *handler) token(w *echo.Response, r *http.Request) (string, error) {
	s, err := h.sessions.find(r)
	if err != nil {
		return "", err
	}
	left := s.Expiry.Sub(h.now())
	if s.Expiry.IsZero() || left > early {
		return s.AccessToken, nil
	}
	token, came, err := h.renewals.renew(r.Context(), s.RefreshToken)
	switch {
	case err == nil:
		s.take(token, came)
		w.Before(func() { // the API may take its time
			if !h.sessions.newest(s) {
				w.Header().Del("Set-Cookie") // or what has happened since would be undone
			}
		})
		return s.AccessToken, h.sessions.keep(w, s)
	case left > 0: // good enough for now
		h.log.Warn("a token was not refreshed", "error", err)
		return s.AccessToken, nil
	case errors.Is(err, codeflow.ErrEnded):
		if h.sessions.end(s) { // else the cookie may be that of another login by now
			removeCookie(w, sessionCookie())
		}
		return "", errNoSession
	}
	return "", err
}

// primed learns what the API wants in a proof before it sends a body that it can send only once.
type primed struct{ *dpop.Transport }

func (t primed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.WithContext(unheard{r.Context()})
	if r.ContentLength < 0 || r.ContentLength > dpop.DefaultMaxKept {
		if err := t.Prime(r.Context(), r.URL.String()); err != nil {
			return nil, err
		}
	}
	response, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// Trailers are fields that nobody has looked through. They arrive in the first of the two.
	bare := *response
	bare.Trailer = nil
	return &bare, nil
}

// unheard is a context without the trace by which the proxy hears of informational answers (1xx): it would pass them
// on as they are, and lose the fields that are set for the answer itself.
type unheard struct{ context.Context }

func (u unheard) Value(key any) any {
	if key != (tokenOf{}) && key != (legOf{}) {
		return nil
	}
	return u.Context.Value(key)
}

func (h *handler) newProxy(transport *dpop.Transport) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: primed{transport}, ErrorHandler: h.unreachable, ModifyResponse: h.answer,
		FlushInterval: -1, // a head that waits for its body would be judged too early
		// Rewrite starts without Forwarded and X-Forwarded-…, in which browsers could pose as a proxy.
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Path = strings.TrimPrefix(p.Out.URL.Path, "/api")
			p.Out.URL.RawPath = strings.TrimPrefix(p.Out.URL.RawPath, "/api")
			p.Out.URL.RawQuery = p.In.URL.RawQuery // as it is; nobody here reads it
			p.SetURL(h.api)
			for _, name := range []string{"Authorization", "Cookie", "DPoP", "Origin", "Referer", "Te"} {
				p.Out.Header.Del(name)
			}
			p.Out.Trailer = nil
		},
	}
}

// methods are those that an API itself answers. With TRACE a server says what it got, the token included, and CONNECT
// leads elsewhere.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// ours are the fields of an answer that say something of the API's client or of a whole origin, or that this program
// sets itself.
var ours = []string{
	"Accept-Ch", "Alt-Svc", legField, "Cache-Control", "Clear-Site-Data", "Content-Security-Policy", "Critical-Ch", "Dpop-Nonce",
	"Nel", "Origin-Agent-Cluster", "Referrer-Policy", "Refresh", "Report-To", "Reporting-Endpoints",
	"Service-Worker-Allowed", "Set-Cookie", "Set-Login", "Strict-Transport-Security", "Www-Authenticate",
	"X-Content-Type-Options",
}

// answer passes on what the API answers, without what is between it and its client: this program.
func (h *handler) answer(response *http.Response) error {
	refusal := refusalOf(response)
	maps.DeleteFunc(response.Header, func(name string, _ []string) bool {
		return slices.Contains(ours, name) || strings.HasPrefix(name, "Access-Control-")
	})
	if response.StatusCode != http.StatusUnauthorized {
		return nil
	}
	body := `{"message":"the API wants you to log in again","login":"` + refusal.login() + `"}`
	_, _ = io.CopyN(io.Discard, response.Body, dpop.DefaultMaxKept) // so that the connection can be used again
	_ = response.Body.Close()
	response.Body, response.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	response.Header.Del("Content-Length")
	response.Header.Del("Content-Encoding")
	response.Header.Set("Content-Type", "application/json")
	return nil
}

// refusal is what an API says of a login that is too old or too weak (RFC 9470 §3).
type refusal map[string]string

func refusalOf(response *http.Response) refusal {
	challenges, _ := challenge.Parse(response.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if c.Params["error"] == "insufficient_user_authentication" {
			return c.Params
		}
	}
	return nil
}

// login is where the page sends its user.
func (q refusal) login() string {
	query := url.Values{}
	for _, name := range []string{"max_age", "acr_values"} {
		if q[name] != "" {
			query.Set(name, q[name])
		}
	}
	return strings.TrimSuffix("/login?"+query.Encode(), "?")
}

// unreachable answers when the API does not.
func (h *handler) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		h.log.Error("the API does not answer", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = io.WriteString(w, `{"message":"the API does not answer"}`)
}
