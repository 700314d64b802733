package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/setting"
)

const (
	// DefaultMaxBody is the default of [Config.MaxBody], in octets.
	DefaultMaxBody = 10 << 20
	// DefaultTimeout is the default of [Config.Timeout].
	DefaultTimeout = 30 * time.Second
	// DefaultIdle is the default of [Config.Idle] and [ForwardAuthConfig.Idle].
	DefaultIdle = 5 * time.Minute
)

// Config holds the settings of a reverse proxy.
type Config struct {
	// Guard judges. It is the caller's to close, behind the last request. Required.
	Guard *access.Guard
	// Routes are all that may be asked for. Required.
	Routes []Route
	// Upstream is the origin of the service behind the gateway ("http://127.0.0.1:3000"). It must be reached through the
	// gateway alone: bind it to an address of this machine, or to a network of its own. Required, unless each Route has
	// one.
	Upstream string
	// Signer signs [FieldAssertion]. Required.
	Signer *Signer

	// Authorization is sent to services in place of the client's, for those that want a credential of their own
	// ("Bearer …", "Basic …"). Empty sends none.
	Authorization string
	// CORSOrigin is the one origin whose pages may use the services ("https://app.example.com"): preflights are answered,
	// and every answer, refusals included, says that they may read it, whatever a service says. Empty leaves CORS to the
	// services.
	CORSOrigin string
	// MaxBody is the largest body of a request in octets. Zero means 10 MiB. A larger one is answered with 413.
	MaxBody int64
	// Timeout is how long a service may take to begin its answer, and a connection to it. Zero means 30 seconds; an hour
	// is the most. What is late is answered with 504.
	Timeout time.Duration
	// Idle is for how long the body of a request, or an answer that has begun, may stand still; one that goes on, however
	// slowly, is not cut. Zero means five minutes; a day is the most. A body that stands still is answered with 408, and
	// an answer is cut off, WebSockets included.
	Idle time.Duration
	// Stream says how the tokens of responses are looked after that go on for long.
	Stream access.Stream
	// Transport reaches the services. Nil means one of ours, which takes no proxy from the environment. Its own time-outs
	// are kept.
	Transport http.RoundTripper
	// Log hears at Info of requests that no route takes, and at Error of services that do not answer. Nil means
	// [slog.Default].
	Log *slog.Logger
}

// upstream is a service behind the gateway.
type upstream struct {
	*url.URL
	origin string // as the assertion names it
}

func (c *Config) settle() error {
	if c.Guard == nil {
		return errors.New("Guard is nil: give one of access.New")
	}
	if c.Signer == nil {
		return errors.New("Signer is nil: give one of NewSigner")
	}
	if len(c.Routes) == 0 {
		return errors.New("Routes is empty: list what may be asked for; nothing else is forwarded")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Transport == nil {
		c.Transport = c.transport()
	}
	return errors.Join(
		c.settleMaxBody(),
		setting.Between("Timeout", &c.Timeout, DefaultTimeout, time.Millisecond, time.Hour),
		validIdle(&c.Idle),
		validAuthorization(c.Authorization),
		cors{c.CORSOrigin}.validate(),
	)
}

func validIdle(idle *time.Duration) error {
	return setting.Between("Idle", idle, DefaultIdle, time.Millisecond, 24*time.Hour)
}

func (c *Config) settleMaxBody() error {
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.MaxBody < 0 {
		return fmt.Errorf("MaxBody is %d: give a number of octets, or zero for %d", c.MaxBody, DefaultMaxBody)
	}
	return nil
}

func validAuthorization(value string) error {
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return errors.New(`Authorization holds a character that a field cannot: give a scheme and a credential, such as "Bearer …"`)
		}
	}
	return nil
}

// makeRoute checks a route and makes what serves it.
func (c *Config) makeRoute(r Route, next http.Handler) (*route, error) {
	if err := errors.Join(r.validate(), c.Stream.Validate()); err != nil {
		return nil, err
	}
	made := &route{Route: r, judged: next}
	if !r.Public {
		made.judged = c.Guard.Stream(next, c.Stream, r.Requirement)
	}
	var err error
	made.upstream, err = newUpstream(r.Upstream, c.Upstream)
	return made, err
}

func (r *Route) validate() error {
	switch {
	case r.Allow >= endOfPathForms:
		return fmt.Errorf("Allow is %d: give a set of the forms of this package", r.Allow)
	case r.Public && !isZero(r.Requirement):
		return errors.New("Public is set beside a Requirement: leave one of them out")
	}
	return r.Requirement.Validate()
}

func isZero(q access.Requirement) bool {
	return q.Scopes == nil && q.AnyScope == nil && q.ACRValues == nil && q.MaxAuthAge == 0 && q.Binding == 0 && !q.Nonce
}

func newUpstream(own, otherwise string) (*upstream, error) {
	address := cmp.Or(own, otherwise)
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" ||
		u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("Upstream is %s: give the origin of a service, such as http://127.0.0.1:3000, without a path", setting.Address(address))
	}
	return &upstream{URL: u, origin: u.Scheme + "://" + u.Host}, nil
}
