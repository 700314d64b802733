package events

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/reason"
)

// retryAfter is what a provider is told to wait when the trouble is ours, in seconds.
const retryAfter = "10"

var errMethod = ErrRequest.With("POST", "another method")

// post checks the method of a request and caps its body. A body that is announced as too large is not read at all.
func post(w http.ResponseWriter, r *http.Request, maxSize int) error {
	if r.Method != http.MethodPost {
		return errMethod
	}
	if r.ContentLength > int64(maxSize) {
		return tooLarge(maxSize)
	}
	r.Body = http.MaxBytesReader(w, r.Body, int64(maxSize))
	return nil
}

// body is the cause when a body could not be read.
func body(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(int(large.Limit))
	}
	return ErrRequest.Because(err)
}

func tooLarge(limit int) error {
	return ErrTooLarge.With("at most "+strconv.Itoa(limit)+" octets", "more")
}

// answer tells the provider what came of its request and the operator why.
func answer(w http.ResponseWriter, r *http.Request, p *provider, success int, err error, document func(error) any) {
	if errors.Is(err, ErrUnavailable) {
		unavailable(w, r, p, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if err == nil {
		w.WriteHeader(success)
		return
	}
	status := http.StatusBadRequest
	switch {
	case err == errMethod: // it is never wrapped
		status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", http.MethodPost)
	case errors.Is(err, ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	tell(r.Context(), p, slog.LevelWarn, "report of the identity provider refused", err, slog.Int("status", status))
	text, err := json.Marshal(document(err))
	if err != nil {
		panic(err) // two strings of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Language", "en") // RFC 8935 §2.3
	w.WriteHeader(status)
	_, _ = w.Write(text) // the provider may have gone
}

// unavailable answers our own trouble, so that the provider tries again. Anybody can name a key that may be new.
func unavailable(w http.ResponseWriter, r *http.Request, p *provider, err error) {
	level := slog.LevelError
	if errors.Is(err, keyset.ErrUnknownKey) {
		level = slog.LevelWarn
	}
	tell(r.Context(), p, level, "report of the identity provider not acted on", err, slog.Int("status", http.StatusServiceUnavailable))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// tell logs why a report came to nothing, with the attributes that refusals of package access have.
func tell(ctx context.Context, p *provider, level slog.Level, text string, err error, more ...slog.Attr) {
	attrs := append(more, slog.String("issuer", p.URL), slog.String("reason", reason.Of(err)))
	p.Log.LogAttrs(ctx, level, text, append(attrs, reason.Attrs(err)...)...)
}
