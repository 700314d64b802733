package access

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
)

// response is a response writer that knows when an answer begins, however it does: by WriteHeader, by a write, by Flush,
// or by taking the connection over. It is not safe for concurrent use, like every response writer.
type response struct {
	http.ResponseWriter
	exchange *exchange // hears once, before the first octet, that an answer begins; nil: nobody does
	begun    bool
	dead     bool // the answer was replaced by one of ours
}

var errDead = errors.New("access: the request was refused when its answer began")

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin reports whether the handler's answer may go out.
func (w *response) begin() bool {
	if w.begun {
		return !w.dead
	}
	w.begun = true
	if w.exchange == nil {
		return true
	}
	if err := w.exchange.begin(w.Header()); err != nil {
		w.fail(err)
	}
	return !w.dead
}

// fail answers that the trouble is ours, in place of the handler. Who may read the answer, CORS in front has said already.
func (w *response) fail(err error) {
	w.begun, w.dead = true, true
	maps.DeleteFunc(w.Header(), func(name string, _ []string) bool {
		return name != "Vary" && !strings.HasPrefix(name, "Access-Control-")
	})
	e := unavailable(err)
	e.SetHeaders(w.Header())
	e.write(w.ResponseWriter)
}

// WriteHeader begins the answer, unless it is an informational one (RFC 9110 §15.2).
func (w *response) WriteHeader(status int) {
	informational := status >= 100 && status < 200 && status != http.StatusSwitchingProtocols
	if informational && !w.dead || w.begin() {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *response) Write(b []byte) (int, error) {
	if !w.begin() {
		return 0, errDead
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps the way by which net/http sends files.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if !w.begin() {
		return 0, errDead
	}
	return io.Copy(w.ResponseWriter, src)
}

// Flush is for code that asks for [http.Flusher].
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is for [http.ResponseController].
func (w *response) FlushError() error {
	if !w.begin() {
		return errDead
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack is for code that asks for [http.Hijacker], and for [http.ResponseController].
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.begin() {
		return nil, nil, errDead
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// NonceHandler gives a nonce to everyone who asks by GET, HEAD or POST: 204 with DPoP-Nonce, for clients that fetch one before
// their first proof (OpenID for Verifiable Credential Issuance 1.0 §7). A nonce is nobody's, so no token is asked for;
// mount it outside of what is protected. It answers 404 where there is no DPoP.
func (g *Guard) NonceHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case g.proofs == nil:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
			w.Header().Set("Allow", "GET, HEAD, POST")
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			w.Header().Set("DPoP-Nonce", g.proofs.Nonce())
			w.Header().Set("Cache-Control", "no-store")
			expose(w.Header(), "DPoP-Nonce")
			w.WriteHeader(http.StatusNoContent)
		}
	})
}
