package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// response is an answer as it came.
type response struct {
	status     int
	proto      string
	header     http.Header
	body       string
	took       time.Duration
	challenges []challenge
	malformed  error // of WWW-Authenticate
	asked      bool  // the server asked for a client certificate
	last       bool  // the server closes the connection
	err        error // no answer came
}

// What is read of an answer, in octets. A server under test may send without end.
const (
	maxHead = 256 << 10
	maxBody = 64 << 10
)

var errFlood = errors.New("a good request among many was not accepted")

// head writes the lines of a request before its body.
func head(s *recipe.Sent) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", s.Method, s.Target, s.Host)
	for _, h := range s.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if s.Body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(s.Body))
	}
	return b.String()
}

// bytesOf writes a request by hand: a client library would correct what is meant to be wrong.
func bytesOf(s *recipe.Sent) string { return head(s) + "Connection: close\r\n\r\n" + s.Body }

// dial opens a connection to the server of an endpoint.
func (r *runner) dial(ctx context.Context, target *url.URL, s *recipe.Sent) (conn net.Conn, asked bool, err error) {
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), map[string]string{"http": "80", "https": "443"}[target.Scheme])
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	if target.Scheme != "https" {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return conn, false, err
	}
	config := &tls.Config{
		RootCAs: r.options.RootCAs, InsecureSkipVerify: r.options.InsecureTLS, // on request
		// Whatever authorities the server names: the binding is what is tested.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			c := r.world.Certificates[s.Certificate]
			return &c, nil
		},
	}
	if s.TLS != "" {
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, versions[s.TLS]
	}
	if r.options.HTTP2 {
		config.NextProtos = []string{"h2"}
	}
	conn, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	return conn, asked, err
}

var versions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12,
	"1.3": tls.VersionTLS13}

// exchange sends as many copies of a request as are wanted, all at the same instant, and reads the answers. The error
// says why it cannot be sent at all.
func (r *runner) exchange(ctx context.Context, target *url.URL, s *recipe.Sent, copies int) ([]*response, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	if r.options.HTTP2 {
		return r.streams(ctx, target, s, copies)
	}
	if copies == 1 {
		return []*response{r.one(ctx, target, s, func() {}, nil)}, nil
	}
	answers := make([]*response, copies)
	ready, release := sync.WaitGroup{}, make(chan struct{})
	ready.Add(copies)
	var done sync.WaitGroup
	for i := range copies {
		done.Go(func() {
			answers[i] = r.one(ctx, target, s, ready.Done, release)
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
	return answers, nil
}

// one sends a request. With others it sends all but the last octet, waits for them, and sends it.
func (r *runner) one(
	ctx context.Context, target *url.URL, s *recipe.Sent, ready func(), release <-chan struct{},
) *response {
	conn, asked, err := r.dial(ctx, target, s)
	if err != nil {
		ready()
		return &response{err: err}
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	text := bytesOf(s)
	if release != nil {
		_, err = io.WriteString(conn, text[:len(text)-1])
		text = text[len(text)-1:]
		ready()
		<-release
	}
	begin := time.Now()
	if err == nil {
		_, err = io.WriteString(conn, text)
	}
	answer := read(bufio.NewReader(io.LimitReader(conn, maxHead+maxBody)), s.Method)
	if answer.err != nil && err != nil {
		answer.err = fmt.Errorf("no answer: %w", err) // a server may answer before it has read everything
	}
	answer.took, answer.asked = time.Since(begin), asked
	return answer
}

// kept is a connection over which one request follows the other.
type kept struct {
	net.Conn
	limit *io.LimitedReader
	from  *bufio.Reader
}

func keep(conn net.Conn) *kept {
	limit := &io.LimitedReader{R: conn}
	return &kept{conn, limit, bufio.NewReader(limit)}
}

func (k *kept) send(s *recipe.Sent, within time.Duration) *response {
	_ = k.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(k, head(s)+"\r\n"+s.Body); err != nil {
		return &response{err: err}
	}
	k.limit.N = maxHead + maxBody
	return read(k.from, s.Method)
}

// read reads an answer, behind those that only announce it (RFC 9110 §15.2).
func read(from *bufio.Reader, method string) *response {
	for {
		answer, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			return &response{err: fmt.Errorf("no answer: %w", err)}
		}
		if answer.StatusCode/100 == 1 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
		if err != nil {
			return &response{err: fmt.Errorf("the answer ends in its middle: %w", err)}
		}
		out := &response{status: answer.StatusCode, proto: "HTTP/1.1", header: answer.Header, body: string(body),
			last: answer.Close || len(body) == maxBody}
		out.challenges, out.malformed = parseChallenges(answer.Header["Www-Authenticate"])
		return out
	}
}
