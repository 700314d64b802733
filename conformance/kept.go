package conformance

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// kept is a connection over which one request follows the other.
type kept struct {
	net.Conn
	limit *io.LimitedReader
	from  *bufio.Reader
	to    string    // the host
	used  time.Time // when the last answer came
}

func keep(conn net.Conn, to string) *kept {
	limit := &io.LimitedReader{R: conn}
	return &kept{Conn: conn, limit: limit, from: bufio.NewReader(limit), to: to}
}

func (k *kept) send(s *recipe.Sent, within time.Duration) *response {
	begin := time.Now()
	_ = k.SetDeadline(begin.Add(within))
	if _, err := io.WriteString(k, head(s)+"\r\n"+s.Body); err != nil {
		return &response{err: err}
	}
	k.limit.N = maxHead + maxBody
	answer := read(k.from, s.Method)
	k.used = time.Now()
	answer.took, answer.kept = k.used.Sub(begin), true
	return answer
}

// ofConnections are the fields that say where a request ends, or what becomes of its connection.
var ofConnections = []string{"connection", "content-length", "expect", "transfer-encoding", "upgrade"}

// mayFollow reports whether another request may follow this one over the same connection: no server can take a part of it
// for the next, whatever it makes of it.
func mayFollow(target *url.URL, s *recipe.Sent) bool {
	breaks := func(text string) bool { return strings.ContainsAny(text, "\r\n") }
	return target.Scheme == "http" && s.Method == http.MethodGet && s.Body == "" &&
		strings.HasPrefix(s.Target, "/") && !breaks(s.Target) && !breaks(s.Host) &&
		!slices.ContainsFunc(s.Headers, func(h cases.Header) bool {
			return breaks(h.Name) || breaks(h.Value) || slices.Contains(ofConnections, strings.ToLower(h.Name))
		})
}

// maxIdle is how long a connection may lie idle before another request goes over it. Servers close theirs after seconds.
const maxIdle = time.Second

// follow sends a request over the connection over which the last one went, or over a new one. No answer puts connections
// that are kept in doubt: the server may have closed it, or may not know where its answers end.
func (r *runner) follow(ctx context.Context, target *url.URL, s *recipe.Sent) *response {
	if r.open != nil && (r.open.to != target.Host || time.Since(r.open.used) > maxIdle) {
		r.hangUp()
	}
	if r.open == nil {
		conn, _, err := r.dial(ctx, target, s)
		if err != nil {
			return &response{err: err}
		}
		r.open = keep(conn, target.Host)
	}
	answer := r.open.send(s, r.options.Timeout)
	r.doubt = r.doubt || answer.err != nil
	if answer.err != nil || answer.last || answer.status == http.StatusSwitchingProtocols || r.open.from.Buffered() > 0 {
		r.hangUp()
	}
	return answer
}

// hangUp closes the connection that is kept.
func (r *runner) hangUp() {
	if r.open != nil {
		_ = r.open.Close()
		r.open = nil
	}
}
