package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// response is an answer as it came.
type response struct {
	status     int
	header     http.Header
	body       string
	took       time.Duration
	challenges []challenge
	malformed  error // of WWW-Authenticate
	asked      bool  // the server asked for a client certificate
	err        error // no answer came
}

// maxBody is how much of a body is read, in octets.
const maxBody = 64 << 10

// bytesOf writes a request by hand: a client library would correct what is meant to be wrong.
func bytesOf(s *recipe.Sent) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", s.Method, s.Target, s.Host)
	for _, h := range s.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if s.Body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(s.Body))
	}
	b.WriteString("Connection: close\r\n\r\n" + s.Body)
	return b.String()
}

// dial opens a connection to the server of an endpoint.
func (r *runner) dial(ctx context.Context, target *url.URL, s *recipe.Sent) (conn net.Conn, asked bool, err error) {
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), map[string]string{"http": "80", "https": "443"}[target.Scheme])
	}
	if target.Scheme != "https" {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return conn, false, err
	}
	config := &tls.Config{
		RootCAs: r.options.RootCAs, InsecureSkipVerify: r.options.InsecureTLS, //nolint:gosec // on request
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
	conn, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	return conn, asked, err
}

var versions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12,
	"1.3": tls.VersionTLS13}

// exchange sends the request on as many connections as there are copies, all at the same instant, and reads the
// answers.
func (r *runner) exchange(ctx context.Context, target *url.URL, s *recipe.Sent, copies int) []*response {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	answers := make([]*response, copies)
	text := bytesOf(s)
	ready, release := sync.WaitGroup{}, make(chan struct{})
	ready.Add(copies)
	var done sync.WaitGroup
	for i := range copies {
		done.Go(func() {
			answers[i] = r.one(ctx, target, s, text, ready.Done, release)
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
	return answers
}

// one sends all but the last octet, waits for the others, and sends it.
func (r *runner) one(
	ctx context.Context, target *url.URL, s *recipe.Sent, text string, ready func(), release <-chan struct{},
) *response {
	conn, asked, err := r.dial(ctx, target, s)
	if err != nil {
		ready()
		return &response{err: err}
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, err = io.WriteString(conn, text[:len(text)-1])
	ready()
	<-release
	begin := time.Now()
	if err == nil {
		_, err = io.WriteString(conn, text[len(text)-1:])
	}
	// A server may answer before it has read everything, and a write that fails then says nothing.
	answer, readErr := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: s.Method})
	if readErr != nil {
		if err == nil {
			err = readErr
		}
		return &response{err: fmt.Errorf("no answer: %w", err)}
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	_ = answer.Body.Close()
	out := &response{status: answer.StatusCode, header: answer.Header, body: string(body), took: time.Since(begin),
		asked: asked}
	out.challenges, out.malformed = parseChallenges(answer.Header["Www-Authenticate"])
	return out
}

var signed = regexp.MustCompile(`(eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.)([A-Za-z0-9_-]{6})[A-Za-z0-9_-]+`)

// maxLine is how much of a line is shown, in octets.
const maxLine = 1500

// cut takes the secrets out of a text that is shown: signatures without which a token or proof is worth nothing,
// and tokens that are not signed.
func cut(text, token string) string {
	text = signed.ReplaceAllString(text, "$1$2…")
	if token != "" && !strings.HasPrefix(token, "eyJ") {
		text = strings.ReplaceAll(text, token, token[:min(4, len(token))]+"…")
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) > maxLine {
			lines[i] = fmt.Sprintf("%s… (%d octets)", line[:maxLine/4], len(line))
		}
	}
	text = strings.Join(lines, "\n")
	return strings.ToValidUTF8(text, "\ufffd")
}

// show writes an answer as it is shown.
func (p *response) show(token string) string {
	if p.err != nil {
		return p.err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", p.status, http.StatusText(p.status))
	_ = p.header.Write(&b)
	b.WriteString("\n" + p.body[:min(len(p.body), 1000)])
	return cut(strings.ReplaceAll(b.String(), "\r", ""), token)
}
