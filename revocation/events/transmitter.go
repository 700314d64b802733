package events

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/jwx"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

const (
	defaultQueue   = 1000
	deliveryLimit  = 10 * time.Second
	defaultGiveUp  = 24 * time.Hour
	setContentType = "application/secevent+jwt" // RFC 8935 §2
)

// ErrQueueFull means that as many reports wait already as may.
var ErrQueueFull = errors.New("events: too many reports wait for the identity provider")

// Report is what a [Transmitter] tells.
type Report string

// The reports.
const (
	// ReportSession says that the session of a token, or else all sessions of its user, have been revoked here:
	// [SessionRevoked].
	ReportSession Report = SessionRevoked
	// ReportCredential says that a credential of the user, the access token, is in the hands of somebody else:
	// [CredentialCompromise].
	ReportCredential Report = CredentialCompromise
)

// TransmitterConfig holds the settings of a [Transmitter].
type TransmitterConfig struct {
	// Endpoint is where the identity provider takes security event tokens (RFC 8935): https, or http on this machine.
	// Required.
	Endpoint string
	// Issuer is our own name there, the claim iss. Audience is the name of the receiver, aud. Required.
	Issuer, Audience string
	// Key signs, with Algorithm, one of those of package dpop; KeyID is its kid. The provider gets the public key from us
	// beforehand. Key and Algorithm are required.
	Key              crypto.Signer
	Algorithm, KeyID string
	// Authorization is the value of the Authorization field that was agreed upon. Empty sends none.
	Authorization string
	// Queue is how many reports may wait. Zero means 1000; 100,000 are the most.
	Queue int
	// GiveUp is for how long a report is tried again. Zero means a day; a week is the most.
	GiveUp time.Duration
	// HTTPClient delivers. Nil means [http.DefaultClient]'s transport. Each delivery has ten seconds, and no redirect is
	// followed.
	HTTPClient *http.Client
	// Log hears of what was delivered at Info, and of what was given up at Error. Nil means [slog.Default].
	Log *slog.Logger
}

// Transmitter tells the identity provider of stolen tokens, by security event tokens that it pushes (RFC 8417, RFC 8935,
// CAEP 1.0 §3.1, RISC 1.0 §2.7). Reports wait in a bounded queue in memory and are delivered one after another. One that
// the provider refuses is given up; one that it could not take is tried again, with growing pauses, as the same token.
// Make one with [NewTransmitter]; its methods are safe for concurrent use. Close it when done.
type Transmitter struct {
	config TransmitterConfig
	client http.Client
	queue  chan report
	stop   context.CancelFunc
	ended  sync.WaitGroup
	left   int // reports that the end came before; of deliver, and of Close behind it
}

// report is a signed token on its way.
type report struct {
	id, token string
	made      time.Time
}

// NewTransmitter checks the settings, and begins to deliver. Its error names the field and what to put there.
func NewTransmitter(config TransmitterConfig) (*Transmitter, error) {
	t := &Transmitter{config: config}
	if err := t.settle(); err != nil {
		return nil, fmt.Errorf("events.TransmitterConfig: %w", err)
	}
	t.queue = make(chan report, t.config.Queue)
	var ctx context.Context
	ctx, t.stop = context.WithCancel(context.Background())
	t.ended.Go(func() { t.deliver(ctx) })
	return t, nil
}

func (t *Transmitter) settle() error {
	c := &t.config
	if err := endpoint(c.Endpoint, "takes security event tokens"); err != nil {
		return err
	}
	switch {
	case c.Issuer == "" || c.Audience == "":
		return errors.New("Issuer or Audience is empty: give our name at the provider, and the provider's")
	case c.Key == nil:
		return errors.New("Key is nil: give the private key whose public one the provider knows")
	case !slices.Contains(jose.Algorithms(), c.Algorithm):
		return fmt.Errorf("Algorithm is %q: take one of %q", c.Algorithm, jose.Algorithms())
	}
	if err := errors.Join(
		setting.Between("Queue", &c.Queue, defaultQueue, 1, 100_000),
		setting.Between("GiveUp", &c.GiveUp, defaultGiveUp, time.Second, 7*24*time.Hour),
	); err != nil {
		return err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	t.client = direct(c.HTTPClient, deliveryLimit)
	if _, err := t.sign("", ReportSession, revocation.Token{}, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		return fmt.Errorf("Key does not sign with Algorithm %q: %w", c.Algorithm, err)
	}
	return nil
}

// Tell puts a report about a token into the queue: what happened, and when. It waits for nobody. The error is
// [ErrQueueFull], or says what the token lacks.
func (t *Transmitter) Tell(what Report, about revocation.Token, at time.Time) error {
	if what != ReportSession && what != ReportCredential {
		return fmt.Errorf("events: there is no report %q: give ReportSession or ReportCredential", what)
	}
	if about.Issuer == "" || about.Subject == "" {
		return errors.New("events: the token names no user to report: it lacks iss or sub")
	}
	now := time.Now()
	r := report{id: rand.Text(), made: now}
	var err error
	if r.token, err = t.sign(r.id, what, about, at, now); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	select {
	case t.queue <- r:
		return nil
	default:
		return ErrQueueFull
	}
}

// sign makes a security event token (RFC 8417 §2). The user is named by iss_sub (RFC 9493 §3.2.4); of a token with a
// session, session-revoked names that as well.
func (t *Transmitter) sign(id string, what Report, about revocation.Token, at, now time.Time) (string, error) {
	subject := map[string]any{"format": "iss_sub", "iss": about.Issuer, "sub": about.Subject}
	event := map[string]any{"event_timestamp": at.Unix()}
	switch {
	case what == ReportCredential:
		event["credential_type"] = "access-token"
	case about.Session != "":
		subject = map[string]any{
			"format": "complex", "user": subject, "session": map[string]any{"format": "opaque", "id": about.Session},
		}
		fallthrough
	default:
		event["initiating_entity"] = "policy"
		event["reason_admin"] = map[string]any{"en": "a bound access token was used without its sender"}
	}
	claims, err := json.Marshal(map[string]any{
		"iss": t.config.Issuer, "aud": t.config.Audience, "jti": id, "iat": now.Unix(), "sub_id": subject,
		"events": map[string]any{string(what): event},
	})
	if err != nil {
		return "", err
	}
	return jwx.Sign(claims, t.config.Algorithm, t.config.Key, map[string]string{"typ": "secevent+jwt", "kid": t.config.KeyID})
}

// deliver delivers reports until the end.
func (t *Transmitter) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-t.queue:
			if !t.push(ctx, r) {
				t.left++
			}
		}
	}
}

// push delivers one report, and tries for as long as it makes sense. It returns false if the end came first.
func (t *Transmitter) push(ctx context.Context, r report) (done bool) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		wait, err := t.post(ctx, r)
		if err == nil {
			t.config.Log.Info("identity provider told", "endpoint", setting.Address(t.config.Endpoint), "jti", r.id)
			return true
		}
		wait = max(pause, min(wait, longestPause))
		if refused := errors.Is(err, errRefused); refused || time.Since(r.made)+wait > t.config.GiveUp {
			t.config.Log.Error("identity provider not told", "endpoint", setting.Address(t.config.Endpoint), "jti", r.id, "cause", err.Error())
			return true
		}
		if !sleep(ctx, wait) {
			return false
		}
	}
}

var errRefused = errors.New("the provider refuses it")

// post sends one token (RFC 8935 §2). With an error that may pass, it returns what the provider asks to wait.
func (t *Transmitter) post(ctx context.Context, r report) (wait time.Duration, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, t.config.Endpoint, bytes.NewReader([]byte(r.token)))
	if err != nil {
		return 0, err
	}
	q.Header.Set("Content-Type", setContentType)
	q.Header.Set("Accept", "application/json")
	if t.config.Authorization != "" {
		q.Header.Set("Authorization", t.config.Authorization)
	}
	response, err := t.client.Do(q)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)) // so that the connection is kept
	switch s := response.StatusCode; {
	case s >= 200 && s < 300:
		return 0, nil
	case s == http.StatusTooManyRequests || s == http.StatusRequestTimeout || s >= 500:
		return retryIn(response.Header), fmt.Errorf("it answers %s", response.Status)
	}
	return 0, fmt.Errorf("%w: %s", errRefused, response.Status)
}

// Close ends the deliveries. Reports that wait are lost, and logged as a number. It returns nil, and may be called more
// than once.
func (t *Transmitter) Close() error {
	t.stop()
	t.ended.Wait()
	if left := len(t.queue) + t.left; left > 0 {
		t.config.Log.Error("reports were left when the transmitter was closed", "count", left)
	}
	return nil
}
