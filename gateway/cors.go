package gateway

import (
	"errors"
	"net/http"

	"github.com/senderlock/senderlock/internal/setting"
)

// cors lets the pages of one origin read answers (Fetch §3.3). The zero one says nothing of origins, and leaves to services
// what they say.
type cors struct{ origin string }

func (c cors) validate() error {
	if c.origin != "" && !setting.IsOrigin(c.origin) {
		return errors.New("CORSOrigin is " + setting.Address(c.origin) + ": give the one origin whose pages may use the service, such as https://app.example.com, without a path")
	}
	return nil
}

// isPreflight reports whether a browser asks if a page of another origin may send a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight says that pages of the origin may send every request; routes say which of them are listed, and the Guard
// which are accepted. A star stands for every field but Authorization. To pages of other origins it says nothing.
func answerPreflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "*")
	h.Set("Access-Control-Allow-Headers", "Authorization, DPoP, *")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// share returns a writer whose answers, of whoever they are, pages of the origin may read.
func (c cors) share(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if c.origin == "" {
		return w
	}
	return &sharedAnswer{ResponseWriter: w, listed: r.Header.Get("Origin") == c.origin, origin: c.origin}
}

// sharedAnswer says who may read an answer when it begins, since those before may throw headers away, and the service may
// have said otherwise.
type sharedAnswer struct {
	http.ResponseWriter
	origin string
	listed bool // the request is of a page of the origin
	begun  bool
}

// Unwrap is for [http.ResponseController].
func (w *sharedAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *sharedAnswer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	h.Del("Access-Control-Allow-Credentials")
	h.Del("Access-Control-Allow-Origin")
	if w.listed {
		h.Set("Access-Control-Allow-Origin", w.origin)
	}
	h.Add("Vary", "Origin")
}

// WriteHeader begins the answer, unless it is an informational one.
func (w *sharedAnswer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *sharedAnswer) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// FlushError is for [http.ResponseController].
func (w *sharedAnswer) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}
