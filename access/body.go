package access

import (
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxRefusedBody is how much of a refused request's body is read, as net/http would.
	maxRefusedBody = 256 << 10

	// lingerTime is for how long a connection that is to be closed is still read: closing it on unread octets makes
	// the client's system drop the answer (RFC 9112 §9.6).
	lingerTime = 500 * time.Millisecond
)

// endBody does what has to be done about the body of a refused request, before the answer is written. net/http would
// hold the answer back until it has read the body, so that the connection can carry another request (RFC 9112 §9.3). Here
// it is read for a short while; a connection with more to come is closed behind the answer, and what is left of the body
// is never taken for a request. The result is nil, or what to call once the answer is written.
func (g *Guard) endBody(w http.ResponseWriter, r *http.Request) (linger func()) {
	if r.ProtoMajor != 1 || r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(g.config.RefusalWait)) != nil {
		return nil // no connection
	}
	// Reading from a client that waits for 100 Continue would ask it for the body.
	if r.ContentLength <= maxRefusedBody && !strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		if _, err := io.CopyN(io.Discard, r.Body, maxRefusedBody+1); err == io.EOF {
			_ = control.SetReadDeadline(time.Time{})
			return nil
		}
	}
	w.Header().Set("Connection", "close")
	return func() {
		_ = control.Flush()
		_ = control.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, r.Body, maxRefusedBody)
	}
}
