package echoauth

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/dpop"
)

// PublishMetadata serves what the API says of itself, to everyone, at the path that RFC 9728 §3.1 gives it. It is
// taken from the settings; without [access.Resource].Scopes it lists those that [Auth.Require] and
// [Auth.RequireScope] have been called with. Where a proxy strips a path prefix, it has to let this path through
// as it is. PublishMetadata panics without Config.Resource.
func (a *Auth) PublishMetadata(e *echo.Echo) {
	path := a.guard.MetadataPath()
	if path == "" {
		panic("echoauth: PublishMetadata without Config.Resource: say there what to publish")
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, path, a.metadata)
}

func (a *Auth) metadata(c echo.Context) error {
	m := a.guard.Metadata()
	if m != nil && m.Scopes == nil {
		a.mu.Lock()
		m.Scopes = slices.Clone(a.scopes)
		a.mu.Unlock()
	}
	m.ServeHTTP(c.Response(), c.Request())
	return nil
}

// collect notes scopes that a route requires.
func (a *Auth) collect(scopes []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scopes = append(a.scopes, scopes...)
	slices.Sort(a.scopes)
	a.scopes = slices.Compact(a.scopes)
}

// reachable refuses metadata of a host at which no request is accepted. The Guard has checked the rest.
func (c *Config) reachable(origins *dpop.Origins) error {
	if c.Resource == nil {
		return nil
	}
	u, err := url.Parse(c.Resource.URL)
	if err != nil {
		return err
	}
	r := &http.Request{Host: u.Host, RequestURI: "/"}
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{}
	}
	if _, err := origins.Target(r); err != nil {
		return fmt.Errorf("Resource.URL is %q, which is under none of the Origins: give a URL under one of %s", c.Resource.URL, origins)
	}
	return nil
}
