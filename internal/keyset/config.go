package keyset

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/setting"
)

// complete fills in zero fields and refuses settings that cannot work.
func (c *Config) complete() error {
	switch {
	case c.JWKS != nil && c.JWKSURL != "":
		return errors.New("JWKSURL and JWKS: give one of them, the address of the key set or the set itself")
	case c.MetadataURL != "" && (c.JWKS != nil || c.JWKSURL != ""):
		return errors.New("MetadataURL beside JWKSURL or JWKS: give one of them")
	case c.Refresh < 0:
		return fmt.Errorf("Refresh %v: give the time between fetches, or zero for %v", c.Refresh, DefaultRefresh)
	case c.Cooldown < 0:
		return fmt.Errorf("Cooldown %v: give the least time between fetches, or zero for %v",
			c.Cooldown, DefaultCooldown)
	case c.MaxRSABits != 0 && c.MaxRSABits < jose.MinRSABits:
		return fmt.Errorf("MaxRSABits %d: give at least %d, or zero for %d",
			c.MaxRSABits, jose.MinRSABits, jose.DefaultRSABits)
	}
	c.Refresh = cmp.Or(c.Refresh, DefaultRefresh)
	c.Cooldown = cmp.Or(c.Cooldown, min(DefaultCooldown, c.Refresh))
	if c.Cooldown > c.Refresh {
		return fmt.Errorf("Cooldown %v: give at most Refresh, which is %v", c.Cooldown, c.Refresh)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fetched == nil {
		c.Fetched = func(time.Time, time.Duration, error) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// parseURL accepts the absolute https URL of a document, without user name and fragment; http only for loopback
// hosts, unless all of http is allowed.
func parseURL(raw string, allow scheme) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.Contains(raw, "#") {
		return nil, errors.New("not an absolute URL without fragment")
	}
	return u, permitted(u, allow)
}

// scheme says which URLs may be of http.
type scheme int

const (
	httpOfThisMachine scheme = iota
	anyHTTP
	httpsAlone
)

// permitted is the rule for every URL that is fetched: configured, named by metadata or redirected to.
func permitted(u *url.URL, allow scheme) error {
	switch {
	case u.User != nil:
		return errors.New("a user name or password in the URL")
	case u.Scheme == "https", u.Scheme == "http" && allow == anyHTTP,
		u.Scheme == "http" && allow == httpOfThisMachine && setting.Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http" && allow == httpsAlone:
		return errors.New("http")
	case u.Scheme == "http":
		return errors.New("http to a host that is not this machine, without InsecureAllowHTTP")
	}
	return errors.New("a scheme other than https")
}
