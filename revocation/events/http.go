package events

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

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
	case err == errMethod: //nolint:errorlint // it is never wrapped
		status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", http.MethodPost)
	case errors.Is(err, ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	tell(r, p, slog.LevelWarn, "report of the identity provider refused", status, err)
	text, err := json.Marshal(document(err))
	if err != nil {
		panic(err) // two strings of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Language", "en") // RFC 8935 §2.3
	w.WriteHeader(status)
	_, _ = w.Write(text) // the provider may have gone
}

// unavailable answers our own trouble, so that the provider tries again.
func unavailable(w http.ResponseWriter, r *http.Request, p *provider, err error) {
	tell(r, p, slog.LevelError, "report of the identity provider not acted on", http.StatusServiceUnavailable, err)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// tell logs why a report came to nothing, with the attributes that refusals of package access have.
func tell(r *http.Request, p *provider, level slog.Level, text string, status int, err error) {
	attrs := []slog.Attr{slog.String("issuer", p.URL), slog.Int("status", status), slog.String("reason", reason.Of(err))}
	p.Log.LogAttrs(r.Context(), level, text, append(attrs, reason.Attrs(err)...)...)
}
