package access

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/recent"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

const (
	// alertPause is for how long further requests with one token and of one kind are counted, and raise no alert.
	alertPause = time.Minute
	// maxAlarms is how many pairs of token and kind are remembered. Of one that is forgotten the next request raises an
	// alert again.
	maxAlarms = 20_000
)

// Alert says that somebody other than its sender has an access token: it is genuine, it has not expired, it is bound, and
// it came under Bearer, without a proof, or with another key or certificate than its own. The request was refused. A
// client that has lost its key, or renewed its certificate under a token, looks the same. A proof that was used before
// raises none, since a good client that changes networks sends one too.
//
// Nothing in it is of the stranger's choice but Presented, which is a hash, and where the request came from and went to.
type Alert struct {
	// Kind is the stable name of the cause: "bound_token_as_bearer", "bound_token_elsewhere",
	// "proof_missing", "key_mismatch", "certificate_missing" or "certificate_mismatch".
	Kind string
	// Token is what the token says: its ID, session, subject and client, and the thumbprints that it is bound to.
	Token revocation.Token
	// Bound is the thumbprint of the key or the certificate that is missing.
	Bound string
	// Presented is the thumbprint of the one that came in its place. Empty if none did.
	Presented string
	// Proven says that the stranger has shown to hold the private key of Presented. Otherwise anybody can have sent it:
	// it is no evidence against whose it is.
	Proven bool

	Address netip.Addr // that the request came from, by [Config.Address]; the zero Addr if it is not known
	Route   string     // the pattern that the request matched; empty if it is not known
	Time    time.Time
	// Count is the number of requests of this kind with this token since the last alert about them, this one included.
	Count int

	leeway time.Duration // by how much the issuer's clock may be ahead; zero in one that was made by hand
}

// Attrs returns the alert as attributes of one log line.
func (a Alert) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("kind", a.Kind), slog.String("issuer", a.Token.Issuer), slog.String("jti", a.Token.ID),
		slog.String("sid", a.Token.Session), slog.String("sub", a.Token.Subject), slog.String("client", a.Token.Client),
		slog.String("bound", a.Bound), slog.String("presented", a.Presented), slog.Bool("proven", a.Proven),
		slog.String("address", a.address()), slog.String("route", a.Route), slog.Time("at", a.Time), slog.Int("count", a.Count),
	}
}

func (a Alert) address() string {
	if !a.Address.IsValid() {
		return ""
	}
	return a.Address.String()
}

// alarm raises an alert if a refused request came with the token of somebody else. Whatever goes wrong in it, the
// refusal stands.
func (g *Guard) alarm(r *http.Request, grant *Grant, e *Error) {
	a, key := g.stranger(grant, e)
	if a == nil {
		return
	}
	grant.alert = a.Kind
	a.Time, a.leeway = g.config.Now(), g.config.Leeway
	if a.Count = g.alarms.count(key+a.Kind, a.Time); a.Count == 0 {
		return
	}
	a.Route = g.route(r, grant.pattern)
	_ = guarded("Address", func() error { a.Address, _ = g.config.Address(r); return nil })
	ctx := r.Context()
	g.config.Log.LogAttrs(ctx, slog.LevelWarn, "bound token without its sender", g.told(*a).Attrs()...)
	if g.config.OnAlert == nil {
		return
	}
	if err := guarded("OnAlert", func() error { g.config.OnAlert(ctx, *a); return nil }); err != nil {
		g.config.Log.ErrorContext(ctx, "OnAlert failed", "cause", err.Error())
	}
}

// told is an alert as the log hears of it.
func (g *Guard) told(a Alert) Alert {
	a.Token.Subject = g.config.LogSubject.Of(a.Token.Subject)
	return a
}

// stranger returns the alert that a refusal stands for, and the key of its token, or nil. It verifies nothing and asks
// nobody: of a token that was not verified on the way to the refusal it knows what an earlier request has left behind.
func (g *Guard) stranger(grant *Grant, e *Error) (*Alert, string) {
	if grant.key == "" {
		return g.strangerBefore(grant, e)
	}
	cause, _ := errors.AsType[*reason.Error](e.Err)
	if cause == nil || grant.Binding != 0 { // what comes later is no longer about the sender
		return nil, ""
	}
	a := &Alert{Kind: cause.Name, Token: grant.Revocable()}
	switch {
	case errors.Is(cause, ErrBoundAsBearer):
		a.Bound = grant.Confirmation.JKT
	case errors.Is(cause, ErrBoundElsewhere):
		a.Bound = cmp.Or(grant.Confirmation.JKT, grant.Confirmation.X5tS256)
	case errors.Is(cause, ErrKeyMismatch):
		a.Bound, a.Presented = grant.Confirmation.JKT, cause.Received
	case errors.Is(cause, ErrNoCertificate):
		a.Bound = grant.Confirmation.X5tS256
	case errors.Is(cause, ErrCertificateMismatch): // the TLS handshake is the proof of it
		a.Bound, a.Presented, a.Proven = grant.Confirmation.X5tS256, cause.Received, true
	default:
		return nil, ""
	}
	return a, grant.key
}

// strangerBefore is stranger for a request that was refused before its token was looked at: one without a proof, and
// whatever comes under Bearer. What is wrong with a proof says nothing about whose it is.
func (g *Guard) strangerBefore(grant *Grant, e *Error) (*Alert, string) {
	var kind *reason.Error
	switch {
	case grant.sent == "" || len(grant.sent) > g.config.MaxTokenSize:
		return nil, ""
	case grant.from != (place{}):
		kind = ErrBoundElsewhere
	case grant.scheme == schemeBearer:
		kind = ErrBoundAsBearer
	case errors.Is(e.Err, dpop.ErrMissing):
		kind = dpop.ErrMissing
	default:
		return nil, ""
	}
	key := tokenHash(grant.sent, nil)
	t, known := g.cache.Get(key)
	if !known || t.Confirmation.JKT == "" || !t.current() || t.lives(g.config.Now(), g.config.Leeway) != nil {
		return nil, ""
	}
	return &Alert{Kind: kind.Name, Token: t.Revocable(), Bound: t.Confirmation.JKT}, key
}

// alarms counts alerts.
type alarms struct {
	mu    sync.Mutex
	known *recent.Map[string, alarmed] // by token and kind
}

type alarmed struct {
	last time.Time // when an alert was raised
	more int       // requests since
}

func newAlarms() *alarms { return &alarms{known: recent.New[string, alarmed](maxAlarms)} }

// count returns how many requests an alert about them stands for, or zero if there was one a moment ago.
func (a *alarms) count(key string, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	about, _ := a.known.Get(key) // of what is not known the last was long ago
	about.more++
	count := 0
	if now.Sub(about.last).Abs() >= alertPause { // a clock that was set back does not wait to catch up
		count, about = about.more, alarmed{last: now}
	}
	a.known.Add(key, about)
	return count
}
