package access

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/reason"
)

// Observer hears what is decided, for logs, metrics and traces. The zero Observer hears nothing; a function that is
// nil is not called. The functions are called on the way of a request, so they must be quick, and from many
// goroutines at once. They hear nothing secret: no token, no proof, no key. Package otelauth has one for
// OpenTelemetry.
type Observer struct {
	// Decided hears of each request once, when all that its route demands has been compared.
	Decided func(context.Context, Decision)
	// Fetched hears of each attempt to fetch an issuer's keys.
	Fetched func(Fetch)
}

// methodPrefix is longer than any registered method. A server takes names as long as its limit for the whole header.
const methodPrefix = 32

// Decision is what became of one request.
type Decision struct {
	Began time.Time
	// Duration is what judging took, without the handler and what came between.
	Duration time.Duration

	Method string // chosen by the client
	// Route is the pattern that the request matched ("/accounts/:id"). Empty if there is none.
	Route string

	// Issuer, ClientID, TokenID (jti), Session (sid) and Subject (sub) are those of the token, and Confirmation is what it
	// is bound to. Empty if the token was not found valid, or does not have it. [Config.LogSubject] hashes or drops Subject.
	Issuer       string
	ClientID     string
	TokenID      string
	Session      string
	Subject      string
	Confirmation Confirmation
	// Thumbprint is that of the key or certificate with which the sender proved to be itself. Empty if it did not.
	Thumbprint string

	// Address is where the request comes from, by [Config.Address], and Peer the other end of the connection, which is a
	// proxy's where there is one. Empty if it is not known.
	Address string
	Peer    string
	// RequestID is the name of the request in the logs of others, by [Config.RequestID]: of a client's choice unless
	// somebody in between has replaced it. Empty if there is none.
	RequestID string
	// TokenKnown says that what the token says was still known from an earlier request.
	TokenKnown bool

	// TokenFrom is "cookie" or "query" for a token that was looked for there. Empty: in the Authorization field.
	TokenFrom string

	// Binding says what the sender proved. Zero: nothing.
	Binding Binding
	// Alert is the kind of [Alert] that the request belongs to, whether or not it was the one that raised it. Empty: none.
	Alert string

	// Refusal is what the client is told, with the cause. Nil means that the request was accepted.
	Refusal *Error
	// Would is what a request that was let on would have been refused with, by [Config.ReportOnly] or, of a shadow, by
	// the Guard. Nil: nothing, or it was not let on.
	Would *Error
	// CertificateUnfit says why a certificate that the client presented, and that its token did not need, is not in the
	// Grant. Nil: there was none, or it is.
	CertificateUnfit error

	abandoned bool
	shadow    bool
}

// Outcome is how a request ended.
type Outcome string

// The outcomes.
const (
	Accepted    Outcome = "accepted"
	Refused     Outcome = "refused"     // what the request brought was not enough
	Unavailable Outcome = "unavailable" // our own trouble, answered with 503
	Abandoned   Outcome = "abandoned"   // the client went before it was decided
	Shadowed    Outcome = "shadowed"    // [Guard.UnprotectedShadow] let it on, whoever sent it

	Challenged Outcome = "challenged" // of [Decision.WouldBe] alone: the client would have been asked for a nonce, and come again
)

// decision describes what became of a request: grant is as far as it got, and e what it was refused with, or nil.
func (g *Guard) decision(r *http.Request, route string, grant *Grant, e *Error) Decision {
	d := Decision{Method: r.Method, Route: route, Refusal: e, CertificateUnfit: grant.unfit, Binding: grant.Binding, Alert: grant.alert}
	d.abandoned = e != nil && e.Status >= http.StatusInternalServerError && errors.Is(r.Context().Err(), context.Canceled)
	d.Began, d.Duration, d.TokenKnown = grant.began, grant.took, grant.known
	d.Issuer, d.ClientID, d.TokenFrom = grant.Issuer, grant.ClientID, grant.from.String()
	d.TokenID, d.Session = grant.ID, grant.Token.Session
	d.Subject, d.Confirmation = g.config.LogSubject.Of(grant.Subject), grant.Confirmation
	d.Address, d.Peer, d.RequestID = g.from(r), peerOf(r), g.requestID(r)
	if e == nil {
		d.Would = grant.would
	}
	switch {
	case grant.Thumbprint != "":
		d.Thumbprint = grant.Thumbprint
	case grant.Binding&BindingCertificate != 0:
		d.Thumbprint = grant.Confirmation.X5tS256
	}
	return d
}

// Outcome tells how the request ended.
func (d Decision) Outcome() Outcome {
	switch {
	case d.shadow:
		return Shadowed
	case d.Refusal == nil:
		return Accepted
	case d.abandoned:
		return Abandoned
	case d.Refusal.Status >= http.StatusInternalServerError:
		return Unavailable
	}
	return Refused
}

// Reason returns the stable name of the cause: of our own trouble too, if its cause has a name, else "unavailable".
// It is empty for an accepted request.
func (d Decision) Reason() string {
	if d.Refusal == nil {
		return ""
	}
	return cmp.Or(reason.Of(d.Refusal.Err), d.Refusal.Reason())
}

// WouldBe tells what would have become of a request that was let on, if the demands of [Config.ReportOnly] were in force, and
// the Guard itself where there was a shadow.
// It is empty for one that was not, and where there are no such demands it is Accepted.
func (d Decision) WouldBe() Outcome {
	switch {
	case d.Refusal != nil:
		return ""
	case d.Would == nil:
		return Accepted
	case d.Would.Status >= http.StatusInternalServerError:
		return Unavailable
	case d.Would.Code == CodeUseNonce:
		return Challenged
	}
	return Refused
}

// Attrs returns the decision as attributes of one log line. What the client chose is quoted and cut to length; tokens
// and proofs are not in it. The README of examples/api lists the attributes; their names stay, and new ones may come.
func (d Decision) Attrs() []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 24),
		slog.String("outcome", string(d.Outcome())),
		slog.String("method", d.Method[:min(len(d.Method), methodPrefix)]), slog.String("route", d.Route),
		slog.String("issuer", d.Issuer), slog.String("client", d.ClientID), slog.String("thumbprint", d.Thumbprint),
		slog.Bool("token_known", d.TokenKnown), slog.Duration("duration", d.Duration))
	for _, known := range [...]struct{ name, value string }{
		{"jti", d.TokenID}, {"sid", d.Session}, {"sub", d.Subject}, {"jkt", d.Confirmation.JKT}, {"x5t#S256", d.Confirmation.X5tS256},
		{"address", d.Address}, {"peer", d.Peer}, {"request_id", d.RequestID},
	} {
		if known.value != "" {
			attrs = append(attrs, slog.String(known.name, known.value))
		}
	}
	if d.Binding != 0 {
		attrs = append(attrs, slog.String("binding", d.Binding.String()))
	}
	if d.TokenFrom != "" {
		attrs = append(attrs, slog.String("token_from", d.TokenFrom))
	}
	if d.Alert != "" {
		attrs = append(attrs, slog.String("alert", d.Alert))
	}
	if d.Would != nil {
		attrs = append(attrs, slog.Group("would", slog.String("outcome", string(d.WouldBe())),
			slog.String("code", d.Would.Code), slog.String("reason", d.Would.Reason()), slog.String("cause", d.Would.Err.Error())))
	}
	if d.CertificateUnfit != nil {
		attrs = append(attrs, slog.String("certificate_unfit", reason.Of(d.CertificateUnfit)))
	}
	e := d.Refusal
	if e == nil {
		return attrs
	}
	attrs = append(attrs, slog.Int("status", e.Status), slog.String("code", e.Code), slog.String("reason", d.Reason()))
	if e.Err != nil {
		attrs = append(attrs, reason.Attrs(e.Err)...)
	}
	return attrs
}

// Fetch is one attempt to fetch an issuer's keys, its metadata included.
type Fetch struct {
	Issuer   string
	Began    time.Time
	Duration time.Duration
	Err      error // nil: usable keys came
}

// fetches returns who hears of the fetches for an issuer, or nil. They happen where nobody else would catch a panic.
func (o Observer) fetches(issuer string, log *slog.Logger) func(began time.Time, took time.Duration, err error) {
	if o.Fetched == nil {
		return nil
	}
	return func(began time.Time, took time.Duration, err error) {
		fetch := Fetch{Issuer: issuer, Began: began, Duration: took, Err: err}
		if err := guarded("Observer.Fetched", func() error { o.Fetched(fetch); return nil }); err != nil {
			log.Error("Observer.Fetched failed", "cause", err.Error())
		}
	}
}
