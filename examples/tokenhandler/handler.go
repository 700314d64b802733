package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/internal/look"
	"github.com/senderlock/senderlock/internal/setting"
)

//go:embed page
var page embed.FS

// settings are what a handler is made of. All but legs are required.
type settings struct {
	origin   string // ours, as browsers see it
	apiURL   string // the API, as far as its requests have it in common
	client   *codeflow.Client
	signer   *dpop.Signer
	seal     *seal
	sessions sessions
	lifetime time.Duration // of sessions
	log      *slog.Logger
	now      func() time.Time
	legs     *legs // nil: the page is not shown what is sent to the API
}

// handler is the backend of the page.
type handler struct {
	settings
	api      *url.URL
	renewals *renewals
	proxy    *httputil.ReverseProxy
	sameSite *http.CrossOriginProtection
}

// newHandler makes the backend: the page, the login, and the way to the API.
func newHandler(s settings) (*echo.Echo, error) {
	h := &handler{settings: s, renewals: newRenewals(s.client, s.now), sameSite: http.NewCrossOriginProtection()}
	if err := h.sameSite.AddTrustedOrigin(s.origin); err != nil {
		return nil, err
	}
	var err error
	if h.api, err = url.Parse(s.apiURL); err != nil || h.api.Host == "" {
		return nil, fmt.Errorf("the API is %s: give an address such as https://api.example.com", setting.Address(s.apiURL))
	}
	base := http.RoundTripper(codeflow.Bounded())
	if h.legs != nil {
		base = watched{h.legs, base}
	}
	transport, err := dpop.NewTransport(dpop.TransportConfig{
		Signer: s.signer, Origins: []string{h.api.Scheme + "://" + h.api.Host}, Token: tokenFor, Base: base,
	})
	if err != nil {
		return nil, err
	}
	h.proxy = h.newProxy(transport)
	files, err := fs.Sub(page, "page")
	if err != nil {
		return nil, err
	}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = h.failed
	e.Use(secured)
	e.StaticFS("/", files)
	e.GET("/look/*", echo.WrapHandler(http.StripPrefix("/look/", look.Handler())))
	e.GET("/login", h.login)       // these two are where other sites send the browser to,
	e.GET("/callback", h.callback) // so what they do is bound to the browser by the login's cookie
	e.POST("/logout", h.logout, h.fromOurPage)
	e.GET("/me", h.me, h.fromOurPage)
	if h.legs != nil {
		e.GET("/legs/:name", h.legs.show, h.fromOurPage)
	}
	e.Match(methods, "/api/*", h.forward, h.fromOurPage)
	return e, nil
}

// secured sets what keeps a page from being used against its user.
func secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		look.Secure(c.Response().Header())
		return next(c)
	}
}

// fromOurPage refuses requests that a page of another origin causes. CrossOriginProtection lets reading pass, since
// other pages cannot see the answer; here reading too spends a token, so it is judged like the rest.
func (h *handler) fromOurPage(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		judged := *c.Request()
		judged.Method = http.MethodPost
		if err := h.sameSite.Check(&judged); err != nil {
			h.log.Warn("request refused", "path", c.Request().URL.Path, "error", err)
			return echo.NewHTTPError(http.StatusForbidden, "the request comes from another site")
		}
		return next(c)
	}
}

// failed says to the page what went wrong, and to the log what it may not know.
func (h *handler) failed(err error, c echo.Context) {
	refusal, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		h.log.Error("request failed", "path", c.Request().URL.Path, "error", err)
		refusal = echo.ErrInternalServerError
	}
	if !c.Response().Committed {
		_ = c.JSON(refusal.Code, map[string]any{"message": refusal.Message}) // the browser may have gone
	}
}
