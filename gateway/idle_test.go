package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
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
				conn := connect(t, p, nil)
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
				conn := connect(t, handler, func(conn net.Conn) io.Reader {
					if halfClosed {
						return io.LimitReader(conn, int64(len(plainGET)))
					}
					return conn
				})
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

// connect serves a connection, which the server reads by another reader if one is given. It is closed with the test.
func connect(t *testing.T, handler http.Handler, reader func(net.Conn) io.Reader) net.Conn {
	return connectTo(t, &http.Server{Handler: handler}, reader)
}

func connectTo(t *testing.T, server *http.Server, reader func(net.Conn) io.Reader) net.Conn {
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	server.ErrorLog = log.New(failing{t}, "", 0)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	conn, other := net.Pipe()
	t.Cleanup(func() { _ = conn.Close() })
	if reader != nil {
		other = half{other, reader(other)}
	}
	listener.conns <- other
	return conn
}

// failing fails a test whose server has something to say, such as that it has panicked.
type failing struct{ t *testing.T }

func (f failing) Write(b []byte) (int, error) {
	f.t.Errorf("the server says %.80s", b)
	return len(b), nil
}

// half is a connection that is read from elsewhere.
type half struct {
	net.Conn
	reader io.Reader
}

func (h half) Read(p []byte) (int, error) { return h.reader.Read(p) }

// A body that does not come holds no connection for longer than Idle, where nobody wants it either.
func TestIdleOfABodyThatNobodyWants(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.Resources = []access.Resource{{URL: "https://api.example.com"}} })
	const limit = time.Minute
	service := transport(func(r *http.Request) (*http.Response, error) {
		if r.URL.Opaque == "/down" {
			return nil, errors.New("connection refused")
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	for name, test := range map[string]struct {
		line   string
		status int
	}{
		"unlisted":              {"POST /nope", 404},
		"unlisted method":       {"DELETE /read", 405},
		"ambiguous":             {"POST //early", 400},
		"preflight":             {"OPTIONS /early", 204},
		"metadata":              {"GET /.well-known/oauth-protected-resource", 200},
		"an early answer":       {"POST /early", 200},
		"a service that is out": {"POST /down", 502},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := w.proxyHandler([]gateway.Route{
					{Pattern: "GET /read", Public: true}, {Pattern: "/early", Public: true}, {Pattern: "/down", Public: true},
				}, func(c *gateway.Config) { c.Idle, c.Transport, c.CORSOrigin = limit, service, "https://app.example.com" })
				conn := connect(t, p, nil)
				closesWithin(t, conn, limit,
					test.line+" HTTP/1.1\r\nHost: api.example.com\r\nAccess-Control-Request-Method: PUT\r\nContent-Length: 3\r\n\r\na", test.status)
			})
		})
	}
}

// Nor does it hold one of forward authentication, which wants none: whatever the question and its answer.
func TestIdleOfAQuestion(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.Resources = []access.Resource{{URL: "https://api.example.com"}} })
	const limit = time.Minute
	f, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{
		Guard: w.guard, Routes: []gateway.Route{{Pattern: "GET /orders"}, {Pattern: "/public", Public: true}}, Signer: w.signer,
		Upstream: "http://127.0.0.1:3000", Preset: gateway.Traefik, Peers: loopback, Idle: limit, CORSOrigin: "https://app.example.com",
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	const about = "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: api.example.com\r\nX-Forwarded-Uri: "
	for name, test := range map[string]struct {
		line, fields string
		status       int
	}{
		"accepted":       {"GET /", about + "/public\r\n", 200},
		"no credentials": {"GET /", about + "/orders\r\n", 401},
		"unlisted":       {"POST /", about + "/nope\r\n", 404},
		"not set up":     {"GET /", "", 503},
		"preflight":      {"OPTIONS /", "Access-Control-Request-Method: PUT\r\n", 204},
		"metadata":       {"GET /.well-known/oauth-protected-resource", "", 200},
		"nothing there":  {"GET /.well-known/nope", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := connect(t, asksFrom("127.0.0.1:1", f), nil)
				closesWithin(t, conn, limit, test.line+" HTTP/1.1\r\nHost: auth.internal\r\n"+test.fields+"Content-Length: 3\r\n\r\na", test.status)
			})
		})
	}
}

// A server that is stricter with what it reads stays so.
func TestIdleBehindTheServersOwn(t *testing.T) {
	const strict = 10 * time.Second
	f := newWorld(t).forward(gateway.Traefik, loopback, gateway.Route{Pattern: "GET /orders"})
	synctest.Test(t, func(t *testing.T) {
		conn := connectTo(t, &http.Server{Handler: asksFrom("127.0.0.1:1", f), ReadTimeout: strict}, nil)
		closesWithin(t, conn, strict, "GET / HTTP/1.1\r\nHost: auth.internal\r\nContent-Length: 3\r\n\r\na", 503)
	})
}

// asksFrom serves connections that have no address.
func asksFrom(address string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		next.ServeHTTP(w, r)
	})
}

// closesWithin sends a request whose body never comes, and wants its answer and the end of the connection.
func closesWithin(t *testing.T, conn net.Conn, limit time.Duration, request string, status int) {
	t.Helper()
	began := time.Now()
	time.AfterFunc(time.Hour, func() { conn.Close() })
	go func() { _, _ = io.WriteString(conn, request) }()
	answers := bufio.NewReader(conn)
	response, err := http.ReadResponse(answers, nil)
	if err != nil || response.StatusCode != status {
		t.Fatal(response, err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	if _, err := answers.ReadByte(); err != io.EOF || time.Since(began) > limit+time.Second {
		t.Errorf("it was closed after %v, by %v", time.Since(began), err)
	}
}

// Where an answer begins before the body has come, the connection ends with it: what comes late is no request.
func TestAnswerBeforeTheBody(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		body   string // of a request whose Content-Length is 100
		closes bool
	}{
		"all of the body has come": {strings.Repeat("a", 100), false},
		"it comes late":            {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				service := transport(func(r *http.Request) (*http.Response, error) {
					asked = append(asked, r.Method)
					if r.Method == http.MethodPost {
						_, _ = io.CopyN(io.Discard, r.Body, int64(len(test.body)))
					}
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				})
				conn := connect(t, w.proxyHandler([]gateway.Route{{Pattern: "/", Public: true}},
					func(c *gateway.Config) { c.Transport = service }), nil)
				go func() {
					fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100\r\n\r\n"+test.body)
					time.Sleep(time.Second)
					_, _ = io.WriteString(conn, plainGET)
				}()
				answers := bufio.NewReader(conn)
				response, err := http.ReadResponse(answers, nil)
				if err != nil || response.StatusCode != 200 || response.Close != test.closes {
					t.Fatalf("%v, %v", response, err)
				}
				if !test.closes {
					if response, err = http.ReadResponse(answers, nil); err != nil || response.StatusCode != 200 {
						t.Fatalf("%v, %v", response, err)
					}
					return
				}
				if _, err := answers.ReadByte(); err == nil || len(asked) != 1 {
					t.Errorf("%v, the service was asked %q", err, asked)
				}
			})
		})
	}
}
