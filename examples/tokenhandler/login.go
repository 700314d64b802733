package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/examples/codeflow"
)

// loginTime is how long a user may take to log in.
const loginTime = 10 * time.Minute

// loginCookie holds the state and the code verifier, so only the browser that began a login can finish it. The
// authorization server's redirect back brings it along, as it would not if it were Strict.
func loginCookie() http.Cookie { return newCookie("login", http.SameSiteLaxMode) }

// login sends the browser to the authorization server. The parameters max_age and acr_values ask for a login that the
// API has demanded (RFC 9470).
func (h *handler) login(c echo.Context) error {
	demand, err := demanded(c.QueryParams())
	if err != nil {
		return err
	}
	login, address := h.client.Begin(h.origin+"/callback", demand)
	if err := setSealed(h.seal, c.Response(), loginCookie(), login, h.now().Add(loginTime)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, address)
}

func demanded(query url.Values) (demand codeflow.Demand, err error) {
	if text := query.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return demand, echo.NewHTTPError(http.StatusBadRequest, "max_age is not a number of seconds")
		}
		age := time.Duration(seconds) * time.Second
		demand.MaxAge = &age
	}
	demand.ACRs = strings.Fields(query.Get("acr_values"))
	return demand, nil
}

// callback finishes the login that this browser began, and starts a session under a new name: whatever name was
// planted in the browser before is worth nothing afterwards.
func (h *handler) callback(c echo.Context) error {
	w, r := c.Response(), c.Request()
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return reload(c)
	}
	login, err := getSealed[codeflow.Login](h.seal, r, loginCookie().Name)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "this browser has begun no login, or too long ago: start again")
	}
	token, err := h.client.Finish(r.Context(), login, r.URL.Query())
	if errors.Is(err, codeflow.ErrState) {
		return echo.NewHTTPError(http.StatusBadRequest, "the answer belongs to another login: start again")
	}
	removeCookie(w, loginCookie())
	if err != nil {
		h.log.Warn("login failed", "error", err)
		return echo.NewHTTPError(http.StatusBadGateway, "the login failed: start again")
	}
	// The authorization server is not told: where the browser was still logged in there, the session before is the same as the
	// new one to it, and taking back its refresh token would end both.
	_ = h.leave(r)
	if err := h.sessions.begin(w, newSession(token, h.now())); err != nil {
		h.log.Error("no session", "error", err)
		return echo.NewHTTPError(http.StatusServiceUnavailable, "the login cannot be kept: try again later")
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// reload has the browser come again, from a page of ours. Coming from another site it keeps the session's cookie back,
// and the session that a login takes the place of would go on.
func reload(c echo.Context) error {
	c.Response().Header().Set("Refresh", "0")
	return c.HTML(http.StatusOK, `<!doctype html><html lang="en"><title>Log in</title><p>Logging in…</p></html>`)
}

// logout ends the session here and at the authorization server.
func (h *handler) logout(c echo.Context) error {
	tell := h.leave(c.Request())
	defer tell()
	removeCookie(c.Response(), sessionCookie())
	return flushed(c, c.NoContent(http.StatusNoContent))
}

// leave ends the browser's session here, if it has one. What it returns tells the authorization server, which may take
// its time: by then the browser should have its answer, since the next login's must not come before it.
func (h *handler) leave(r *http.Request) (tell func()) {
	s, err := h.sessions.find(r)
	if err != nil {
		return func() {}
	}
	h.sessions.end(s)
	return func() {
		token := h.renewals.latest(s.RefreshToken)
		if token == "" {
			return
		}
		if err := h.client.Revoke(context.WithoutCancel(r.Context()), token); err != nil {
			h.log.Warn("the authorization server was not told of a logout", "error", err)
		}
	}
}

// flushed sends an answer while its handler goes on.
func flushed(c echo.Context, err error) error {
	_ = http.NewResponseController(c.Response().Writer).Flush() // where it cannot be, it is sent with the handler's end
	return err
}

// me tells the page whether the browser is logged in.
func (h *handler) me(c echo.Context) error {
	s, err := h.sessions.find(c.Request())
	if err != nil {
		return echo.NewHTTPError(http.StatusUnauthorized, err.Error())
	}
	began := s.Began.UTC().Truncate(time.Second)
	return c.JSON(http.StatusOK, map[string]time.Time{"since": began, "until": began.Add(h.lifetime)})
}
