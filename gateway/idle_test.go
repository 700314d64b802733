package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/gateway"
)

// pipes is a listener whose connections stay in the process, so that a test's clock holds for them.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// transport is a service in the process.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// What stands still for as long as Idle is cut; what goes on, however slowly, is not.
func TestIdle(t *testing.T) {
	w := newWorld(t)
	const limit = time.Minute
	reads := func(r *http.Request) (*http.Response, error) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	// says sends 20 octets at this pace.
	says := func(pace time.Duration) transport {
		return func(r *http.Request) (*http.Response, error) {
			reader, writer := io.Pipe()
			go func() {
				for range 20 {
					time.Sleep(pace)
					if r.Context().Err() != nil {
						_ = writer.CloseWithError(errors.New("cut"))
						return
					}
					_, _ = writer.Write([]byte("a"))
				}
				_ = writer.Close()
			}()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: reader, ContentLength: -1, Request: r}, nil
		}
	}
	// echoes begins its answer before it reads, and says no more behind the body.
	echoes := transport(func(r *http.Request) (*http.Response, error) {
		reader, writer := io.Pipe()
		go func() {
			_, _ = io.Copy(writer, io.MultiReader(strings.NewReader("a"), r.Body))
			<-r.Context().Done()
			_ = writer.CloseWithError(errors.New("cut"))
		}()
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: reader, ContentLength: -1, Request: r}, nil
	})
	for name, test := range map[string]struct {
		service transport
		body    int           // in octets; 20 were announced
		pace    time.Duration // of the body
		status  int
		answer  int // in octets
	}{
		"an upload that goes on":                      {reads, 20, limit - time.Second, 200, 0},
		"an upload that stands still":                 {reads, 3, time.Second, 408, -1},
		"an upload that never begins":                 {reads, 0, time.Second, 408, -1},
		"an answer that goes on":                      {says(limit - time.Second), 20, 0, 200, 20},
		"an answer that stands still":                 {says(limit + time.Second), 20, 0, 200, 0},
		"an answer that stands still behind the body": {echoes, 20, time.Second, 200, 21},
		"a service that does not read":                {func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, 0, 0, 504, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := w.proxyHandler([]gateway.Route{{Pattern: "/", Public: true}},
					func(c *gateway.Config) { c.Idle, c.Transport = limit, test.service })
				listener := &pipes{make(chan net.Conn), make(chan struct{})}
				server := &http.Server{Handler: p}
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				conn, other := net.Pipe()
				defer conn.Close()
				listener.conns <- other
				go func() {
					fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
					for range test.body {
						time.Sleep(test.pace)
						if _, err := io.WriteString(conn, "a"); err != nil {
							return
						}
					}
				}()
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if response.StatusCode != test.status || test.answer >= 0 && len(body) != test.answer {
					t.Errorf("%s, %q, %v", response.Status, body, err)
				}
				if cut := strings.HasPrefix(name, "an answer that stands"); cut != (err != nil) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// A client that takes no more of an answer is cut off as well, also one that has closed its half of the connection.
func TestIdleOfAClientThatDoesNotRead(t *testing.T) {
	w := newWorld(t)
	const limit, size = time.Minute, 1 << 20
	large := func(r *http.Request) (*http.Response, error) {
		body := io.NopCloser(strings.NewReader(strings.Repeat("a", size)))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, ContentLength: size, Request: r}, nil
	}
	for name, halfClosed := range map[string]bool{"waiting": false, "half closed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := w.proxyHandler([]gateway.Route{{Pattern: "/", Public: true}},
					func(c *gateway.Config) { c.Idle, c.Transport = limit, transport(large) })
				began, ended := time.Now(), make(chan time.Time, 1)
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- time.Now() }()
					p.ServeHTTP(w, r)
				})
				listener := &pipes{make(chan net.Conn), make(chan struct{})}
				server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				conn, other := net.Pipe()
				defer conn.Close()
				fromClient := io.Reader(other)
				if halfClosed {
					fromClient = io.LimitReader(other, int64(len(plainGET)))
				}
				listener.conns <- half{other, fromClient}
				if _, err := io.WriteString(conn, plainGET); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Hour, func() { conn.Close() })
				if took := (<-ended).Sub(began); took != limit {
					t.Errorf("it was cut off after %v", took)
				}
			})
		})
	}
}

const plainGET = "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"

// half is a connection that is read from elsewhere.
type half struct {
	net.Conn
	reader io.Reader
}

func (h half) Read(p []byte) (int, error) { return h.reader.Read(p) }
