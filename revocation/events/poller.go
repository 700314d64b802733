package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/setting"
)

const (
	defaultPollTimeout = 5 * time.Minute
	defaultMaxEvents   = 20
	lastAcknowledgment = 5 * time.Second
)

// PollerConfig holds the settings of a [Poller].
type PollerConfig struct {
	// Receiver verifies what comes and acts on it, as if it had been pushed. Required. Its Authorization is for pushes alone.
	Receiver *SharedSignals
	// Endpoint is where the transmitter hands out tokens, the stream's endpoint_url: https, or http on this machine. Required.
	Endpoint string
	// AccessToken returns the access token that each request carries, as a bearer token. An error is trouble that may pass.
	// Nil sends none: the HTTPClient authenticates this receiver then, by its certificate or by proofs.
	AccessToken func(context.Context) (string, error)
	// Interval is the pause between two requests that the transmitter answers at once. Zero lets it hold each request until
	// there is something to tell, which is quicker and costs less (RFC 8936 §2.2). A second is the least, a day the most.
	Interval time.Duration
	// Timeout is how long a request may take: longer than the transmitter holds one. Zero means five minutes; ten seconds are
	// the least, an hour the most.
	Timeout time.Duration
	// MaxEvents is how many tokens an answer may bring. Zero means 20; 100 are the most. With the Provider's MaxSize it bounds
	// the size of an answer.
	MaxEvents int
	// HTTPClient asks. Nil means [http.DefaultClient]'s transport. No redirect is followed.
	HTTPClient *http.Client
}

// Poller fetches security event tokens from a transmitter (RFC 8936), for receivers that nobody can reach from outside. What
// was acted on is acknowledged, what was refused is reported with the code that a push would have been answered with, and
// what could not be acted on for trouble of ours is neither, so that it comes again. While the transmitter cannot be asked,
// the pauses grow to five minutes, or to what it asks for in Retry-After if that is less.
//
// It begins when it is made, by [NewPoller]. Close it before its Receiver.
type Poller struct {
	config PollerConfig
	client http.Client
	limit  int64 // octets of an answer
	stop   context.CancelFunc
	ended  sync.WaitGroup

	// What the next request says of tokens that came.
	acks     []string
	refusals map[string]deliveryError
}

// NewPoller checks the settings and begins to poll. Its error names the field and what to put there.
func NewPoller(config PollerConfig) (*Poller, error) {
	p := &Poller{config: config}
	if err := p.settle(); err != nil {
		return nil, fmt.Errorf("events.PollerConfig: %w", err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.ended.Go(func() { p.run(ctx) })
	return p, nil
}

func (p *Poller) settle() error {
	c := &p.config
	if c.Receiver == nil {
		return errors.New("Receiver is nil: give the SharedSignals that acts on what comes")
	}
	if err := endpoint(c.Endpoint, "hands out security event tokens"); err != nil {
		return err
	}
	if c.Interval != 0 {
		if err := setting.Between("Interval", &c.Interval, 0, time.Second, 24*time.Hour); err != nil {
			return err
		}
	}
	if err := errors.Join(
		setting.Between("Timeout", &c.Timeout, defaultPollTimeout, 10*time.Second, time.Hour),
		setting.Between("MaxEvents", &c.MaxEvents, defaultMaxEvents, 1, 100),
	); err != nil {
		return err
	}
	p.limit = 4096 + int64(c.MaxEvents)*int64(c.Receiver.provider.MaxSize)
	p.client = direct(c.HTTPClient, c.Timeout)
	return nil
}

// Close ends the polling. What was acted on and is not acknowledged yet is acknowledged now, if that can be done within five
// seconds. It returns nil, and may be called more than once.
func (p *Poller) Close() error {
	p.stop()
	p.ended.Wait()
	return nil
}

// run polls until the end.
func (p *Poller) run(ctx context.Context) {
	for pause := time.Duration(0); ; {
		began := time.Now()
		more, wait, err := p.poll(ctx)
		switch {
		case ctx.Err() != nil:
			p.acknowledge()
			return
		case err != nil:
			pause = min(max(firstPause, 2*pause), longestPause)
			wait = max(pause, min(wait, longestPause))
			tell(ctx, p.config.Receiver.provider, slog.LevelError, "identity provider not polled", err, slog.Duration("again_in", wait))
		default:
			pause, wait = 0, p.config.Interval
			if more {
				wait = 0
			}
			if len(p.acks)+len(p.refusals) == 0 { // a transmitter that does not hold requests, or has more and does not send it
				wait = max(wait, firstPause-time.Since(began))
			}
		}
		sleep(ctx, wait)
	}
}

// pollRequest asks for tokens and says what became of those that came (RFC 8936 §2.2).
type pollRequest struct {
	MaxEvents         int                      `json:"maxEvents"`
	ReturnImmediately bool                     `json:"returnImmediately"`
	Acks              []string                 `json:"ack,omitempty"`
	Refusals          map[string]deliveryError `json:"setErrs,omitempty"`
}

// pollAnswer brings tokens by their jti (RFC 8936 §2.3).
type pollAnswer struct {
	Tokens map[string]string `json:"sets"`
	More   bool              `json:"moreAvailable"`
}

// poll asks once and acts on what comes. With an error, it returns what the transmitter asks to wait.
func (p *Poller) poll(ctx context.Context) (more bool, wait time.Duration, err error) {
	said := slices.Concat(p.acks, slices.Collect(maps.Keys(p.refusals)))
	answer, wait, err := p.ask(ctx, p.config.MaxEvents, p.config.Interval > 0)
	if err != nil {
		return false, wait, errNotPolled.Because(err)
	}
	var troubles []error
	repeated := len(answer.Tokens) > 0
	for _, id := range slices.Sorted(maps.Keys(answer.Tokens)) {
		troubles = append(troubles, p.receive(ctx, id, answer.Tokens[id]))
		repeated = repeated && slices.Contains(said, id)
	}
	if repeated {
		troubles = append(troubles, errNotPolled.Because(errors.New("it sends again what was acknowledged")))
	}
	return answer.More, 0, errors.Join(troubles...)
}

// receive acts on a token that came under a name, which must be its jti. The error is trouble of ours.
func (p *Poller) receive(ctx context.Context, name, token string) error {
	receiver := p.config.Receiver
	c, err := receiver.read(ctx, token)
	if err == nil && c.ID != name {
		err = ErrClaim.With("jti "+name, c.ID)
	}
	if err == nil {
		err = receiver.act(ctx, c)
	}
	switch {
	case errors.Is(err, ErrUnavailable):
		return err
	case err != nil:
		tell(ctx, receiver.provider, slog.LevelWarn, "report of the identity provider refused", err)
		p.refusals[name] = refusal(err)
	default:
		p.acks = append(p.acks, name)
	}
	return nil
}

// acknowledge says what became of tokens without asking for others, which would be lost.
func (p *Poller) acknowledge() {
	if len(p.acks)+len(p.refusals) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAcknowledgment)
	defer cancel()
	if _, _, err := p.ask(ctx, 0, true); err != nil {
		tell(ctx, p.config.Receiver.provider, slog.LevelWarn, "reports of the identity provider not acknowledged: they come again",
			errNotPolled.Because(err))
	}
}

// ask sends a request. Once it was answered, what it said of tokens is said. A request that is refused is not sent again as
// it was: tokens that were not acknowledged come again.
func (p *Poller) ask(ctx context.Context, most int, atOnce bool) (answer pollAnswer, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	q, err := p.request(ctx, pollRequest{MaxEvents: most, ReturnImmediately: atOnce, Acks: p.acks, Refusals: p.refusals})
	if err != nil {
		return answer, 0, err
	}
	response, err := p.client.Do(q)
	if err != nil {
		return answer, 0, err
	}
	defer response.Body.Close()
	if s := response.StatusCode; s == http.StatusOK || s == http.StatusBadRequest {
		p.acks, p.refusals = nil, map[string]deliveryError{}
	}
	if response.StatusCode != http.StatusOK {
		return answer, retryIn(response.Header), fmt.Errorf("it answers %s", response.Status)
	}
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return answer, 0, errors.New("it answers with something else than application/json")
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, p.limit+1))
	switch {
	case err != nil:
		return answer, 0, err
	case int64(len(text)) > p.limit:
		return answer, 0, fmt.Errorf("it answers with more than %d octets", p.limit)
	}
	if err := jose.Object(text, &answer); err != nil {
		return answer, 0, err
	}
	if answer.Tokens == nil {
		return answer, 0, errors.New("it answers without sets")
	}
	return answer, 0, nil
}

func (p *Poller) request(ctx context.Context, body pollRequest) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.Endpoint, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Content-Language", "en") // of the descriptions, RFC 8936 §2.6
	q.Header.Set("Accept", "application/json")
	if p.config.AccessToken == nil {
		return q, nil
	}
	token, err := p.config.AccessToken(ctx)
	if err == nil && token == "" {
		err = errors.New("AccessToken returns none")
	}
	q.Header.Set("Authorization", "Bearer "+token)
	return q, err
}
