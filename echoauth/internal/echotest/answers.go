package echotest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// However an answer begins, it supplies the newest nonce and may not be stored, whatever the handler says, and the
// decision is told by then, once.
func (f suite) TestHoweverAnAnswerBegins(t *testing.T) {
	write := func(w io.Writer) error { _, err := io.WriteString(w, "data: begin\n\n"); return err }
	for name, begin := range map[string]func(Context) error{
		"WriteHeader":        func(c Context) error { c.Response().WriteHeader(http.StatusAccepted); return nil },
		"Write":              func(c Context) error { return write(c.Response()) },
		"JSON":               func(c Context) error { return c.JSON(http.StatusOK, "x") },
		"Stream":             func(c Context) error { return c.Stream(http.StatusOK, "text/event-stream", strings.NewReader("x")) },
		"Flush":              func(c Context) error { c.Response().(http.Flusher).Flush(); return nil },
		"a controller's":     func(c Context) error { return http.NewResponseController(c.Response()).Flush() },
		"the raw writer":     func(c Context) error { return write(c.Raw()) },
		"the raw Flush":      func(c Context) error { return http.NewResponseController(c.Raw()).Flush() },
		"http.ServeContent":  func(c Context) error { serveContent(c); return nil },
		"an event, as SSE":   func(c Context) error { _ = write(c.Response()); c.Response().(http.Flusher).Flush(); return nil },
		"Hijack":             func(c Context) error { return takeOver(c, c.Response().(http.Hijacker).Hijack) },
		"a controller's too": func(c Context) error { return takeOver(c, http.NewResponseController(c.Response()).Hijack) },
		"the raw Hijack":     func(c Context) error { return takeOver(c, http.NewResponseController(c.Raw()).Hijack) },
	} {
		t.Run(name, func(t *testing.T) {
			clock, told := poptest.NewClock(), 0
			auth := f.newAuth(t, func(c *access.Config) {
				c.RequireNonce, c.Now = true, clock.Now
				c.Observer.Decided = func(_ context.Context, d access.Decision) {
					if d.Outcome() == access.Accepted {
						told++
					}
				}
			})
			s := f.New()
			s.Handle("GET", "/accounts", func(c Context) error {
				if told != 0 {
					t.Error("told before the answer begins")
				}
				c.Response().Header().Set("Cache-Control", "max-age=60")
				err := begin(c)
				if told != 1 {
					t.Errorf("told %d times when the answer has begun", told)
				}
				return err
			}, auth.Authenticate())
			server := httptest.NewServer(s)
			defer server.Close()
			send := func(nonce string) http.Header {
				r, err := http.NewRequest("GET", server.URL+"/accounts", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "api.example.com"
				response, err := server.Client().Do(signed(r, bound(), poptest.URL, func(p *poptest.Proof) { p.Nonce = nonce }))
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				return response.Header
			}
			first := send("").Get("DPoP-Nonce")
			clock.Advance(time.Minute)
			h := send(first)
			if got := h.Values("DPoP-Nonce"); len(got) != 1 || got[0] == first || h.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", h)
			}
			if told != 1 {
				t.Errorf("told %d times in all", told)
			}
		})
	}
}

// serveContent answers as net/http does with files.
func serveContent(c Context) {
	http.ServeContent(c.Response(), c.Request(), "x.txt", time.Time{}, strings.NewReader("x"))
}

// takeOver takes the connection over, and answers with the headers of the response, as a WebSocket does.
func takeOver(c Context, hijack func() (net.Conn, *bufio.ReadWriter, error)) error {
	h := c.Response().Header()
	conn, _, err := hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n")
	_ = h.Write(conn)
	_, err = fmt.Fprint(conn, "\r\n")
	return err
}

// A refusal that Deny has written is what an access log in front sees.
func (f suite) TestAccessLogsSeeRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		deny   func(http.ResponseWriter, *http.Request, *access.Error)
		status int
	}{
		"rendered by Deny": {func(w http.ResponseWriter, _ *http.Request, e *access.Error) { w.WriteHeader(e.Status) }, 401},
		"a 404 by Deny":    {func(w http.ResponseWriter, _ *http.Request, _ *access.Error) { w.WriteHeader(404) }, 404},
		"written by Deny":  {func(w http.ResponseWriter, _ *http.Request, _ *access.Error) { fmt.Fprint(w, "no") }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var status int
			var committed bool
			var err error
			a := &api{Server: f.New()}
			a.Use(f.Around(func(c Context, next func() error) error {
				err = next()
				status, committed = c.Status()
				return err
			}))
			auth := f.newAuth(t, func(c *access.Config) { c.Deny = test.deny })
			a.Handle("GET", "/accounts", a.handler, auth.Authenticate())
			w := a.serve(get(poptest.URL))
			if status != test.status || !committed || err != nil || w.Code != test.status || a.ran() != 0 {
				t.Errorf("seen %d, committed %t, %v; sent %d", status, committed, err, w.Code)
			}
		})
	}
}

// A refusal does not wait for a body that does not come: it is answered, and the connection closed behind it, for which the
// Guard waits half a second: all are asked at once. A body that is there is read, and the connection kept. An access log
// sees what was written at once.
func (f suite) TestRefusalAndTheBody(t *testing.T) {
	const head = "POST /accounts HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 5000\r\n\r\n"
	var asked sync.WaitGroup
	for name, test := range map[string]struct {
		wait time.Duration
		body string
		kept bool
	}{
		"no body":      {time.Millisecond, "", false},
		"half of it":   {time.Millisecond, strings.Repeat("x", 2500), false},
		"all of it":    {10 * time.Second, strings.Repeat("x", 5000), true},
		"and requests": {time.Millisecond, strings.Repeat("GET /accounts HTTP/1.1\r\nHost: a\r\n\r\n", 50), false},
	} {
		for how, deny := range map[string]func(http.ResponseWriter, *http.Request, *access.Error){
			"":                nil,
			", Deny":          func(w http.ResponseWriter, _ *http.Request, e *access.Error) { http.Error(w, "no", e.Status) },
			", Deny, nothing": func(http.ResponseWriter, *http.Request, *access.Error) {},
		} {
			name := name + how
			seen := 0
			a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.RefusalWait, c.Deny = test.wait, deny }))
			a.Use(f.Around(func(c Context, next func() error) error {
				err := next()
				if status, committed := c.Status(); committed {
					seen = status
				}
				return err
			}))
			server := listening(t, a, func(*httptest.Server) {})
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			asked.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for range 2 {
					if _, err := io.WriteString(conn, head+test.body); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					response, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					body, err := io.ReadAll(response.Body)
					if err != nil || response.StatusCode != 401 || len(body) == 0 || response.Header.Get("WWW-Authenticate") == "" {
						t.Errorf("%s: %s %v %q, %v", name, response.Status, response.Header, body, err)
					}
					if response.Close == test.kept {
						t.Errorf("%s: the connection is to be closed: %t", name, response.Close)
					}
					if !test.kept {
						break
					}
				}
				if !test.kept {
					if rest, _ := io.ReadAll(in); len(rest) > 0 {
						t.Errorf("%s: there is more: %q", name, rest)
					}
				}
				_ = conn.Close()
				server.Close()
				if a.ran() != 0 {
					t.Errorf("%s: the handler ran", name)
				}
				if committed := !test.kept || how == ", Deny"; seen != 401 && committed {
					t.Errorf("%s: an access log sees %d", name, seen)
				}
			})
		}
	}
	asked.Wait()
}
