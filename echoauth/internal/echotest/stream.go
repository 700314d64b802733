package echotest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// sendEvents is a handler that sends server-sent events: one at the begin, and one that says why it ends.
func sendEvents(c Context) error {
	ctx := c.Request().Context()
	c.Response().Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(c.Response(), "data: begin\n\n")
	c.Response().(http.Flusher).Flush()
	<-ctx.Done()
	fmt.Fprintf(c.Response(), "event: end\ndata: %s\n\n", reason.Of(context.Cause(ctx)))
	return nil
}

// socket is a handler that talks over a WebSocket. It closes it when the context ends.
func socket(c Context) error {
	websocket.Server{Handler: func(ws *websocket.Conn) {
		ctx := ws.Request().Context()
		stop := context.AfterFunc(ctx, func() {
			_ = websocket.Message.Send(ws, "end: "+reason.Of(context.Cause(ctx)))
			_ = ws.Close()
		})
		defer stop()
		for message := "begin"; ; {
			if websocket.Message.Send(ws, message) != nil || websocket.Message.Receive(ws, &message) != nil {
				return
			}
		}
	}}.ServeHTTP(c.Response(), c.Request())
	return nil
}

// poll is a handler that waits for news that never come.
func (s *streaming) poll(c Context) error {
	close(s.polled)
	<-c.Request().Context().Done()
	return c.Request().Context().Err()
}

// streaming is a server with long-lived responses, on a real connection.
type streaming struct {
	*httptest.Server
	clock   *poptest.Clock
	store   *revocation.Memory
	log     *lines
	running sync.WaitGroup // handlers
	polled  chan struct{}  // closed when the long poll has begun
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (f suite) newStreaming(t *testing.T) *streaming {
	s := &streaming{clock: poptest.NewClock(), log: &lines{}, polled: make(chan struct{})}
	var err error
	if s.store, err = revocation.NewMemory(revocation.Options{Now: s.clock.Now}); err != nil {
		t.Fatal(err)
	}
	auth := f.newAuth(t, func(c *access.Config) {
		c.Origins, c.InsecureTrustHost = nil, true
		c.Now, c.Revocation, c.Log = s.clock.Now, s.store, slog.New(slog.NewJSONHandler(s.log, nil))
	})
	e := f.New()
	e.Use(f.Around(s.count), auth.Authenticate())
	stream := auth.Stream(access.Stream{Every: 5 * time.Millisecond})
	e.Handle("GET", "/events", sendEvents, stream)
	e.Handle("GET", "/socket", socket, stream)
	e.Handle("GET", "/poll", s.poll, stream)
	s.Server = httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}

func (s *streaming) count(_ Context, next func() error) error {
	s.running.Add(1)
	defer s.running.Done()
	return next()
}

// get sends the owner's request for a long-lived response.
func (s *streaming) get(t *testing.T, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Client().Do(signed(r, bound(), s.URL+path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// ways are the ways in which the right to a response ends.
var ways = map[string]struct {
	happen func(*testing.T, *streaming)
	reason string
	status int // of a refusal with this reason
}{
	"expiry": {func(_ *testing.T, s *streaming) { s.clock.Advance(time.Hour) }, "token_expired", 401},
	"revocation": {func(t *testing.T, s *streaming) {
		if err := s.store.Revoke(t.Context(), revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1"}); err != nil {
			t.Error(err)
		}
	}, "subject_revoked", 401},
	"a store that cannot tell": {func(_ *testing.T, s *streaming) { _ = s.store.Close() }, "revocation_closed", 503},
}

func (f suite) TestServerSentEventsAreCut(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := f.newStreaming(t)
			response := s.get(t, "/events")
			body := bufio.NewReader(response.Body)
			if line, err := body.ReadString('\n'); response.StatusCode != 200 || line != "data: begin\n" {
				t.Fatalf("%s: %q, %v", response.Status, line, err)
			}
			way.happen(t, s)
			rest, err := io.ReadAll(body)
			if want := "\nevent: end\ndata: " + way.reason + "\n\n"; err != nil || string(rest) != want {
				t.Errorf("the stream goes on with %q, %v; want %q", rest, err, want)
			}
			s.ended(t, way.reason, way.status)
		})
	}
}

func (f suite) TestWebSocketIsCut(t *testing.T) {
	poptest.NeedsRetired(t, "SHA-1 in the handshake of a WebSocket (RFC 6455 §4.2.2)")
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := f.newStreaming(t)
			ws := s.dial(t)
			if got := receive(t, ws); got != "begin" {
				t.Fatalf("got %q", got)
			}
			if err := websocket.Message.Send(ws, "echo"); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, ws); got != "echo" {
				t.Fatalf("got %q", got)
			}
			way.happen(t, s)
			if got := receive(t, ws); got != "end: "+way.reason {
				t.Errorf("the last message is %q", got)
			}
			var message string
			if err := websocket.Message.Receive(ws, &message); !errors.Is(err, io.EOF) {
				t.Errorf("it goes on: %q, %v", message, err)
			}
			s.ended(t, way.reason, way.status)
		})
	}
}

// dial opens a WebSocket as the owner of a token.
func (s *streaming) dial(t *testing.T) *websocket.Conn {
	t.Helper()
	config, err := websocket.NewConfig("ws"+strings.TrimPrefix(s.URL, "http")+"/socket", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: "GET", Header: http.Header{}}
	config.Header = signed(r, bound(), s.URL+"/socket").Header
	ws, err := config.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func receive(t *testing.T, ws *websocket.Conn) (message string) {
	t.Helper()
	if err := websocket.Message.Receive(ws, &message); err != nil {
		t.Fatal(err)
	}
	return message
}

// ended looks for the line of the log that says why a response ended, once its handler has returned.
func (s *streaming) ended(t *testing.T, reason string, status int) {
	t.Helper()
	s.running.Wait()
	if status == 503 {
		reason = "revocation_closed"
	}
	var line struct {
		Message string `json:"msg"`
		Reason  string `json:"reason"`
		Status  int    `json:"status"`
	}
	if err := json.Unmarshal([]byte(s.log.String()), &line); err != nil {
		t.Fatalf("not one line: %v\n%s", err, s.log)
	}
	if line.Message != "response ended" || line.Reason != reason || line.Status != status {
		t.Errorf("the log says %+v", line)
	}
}

// A handler that has not answered yet: the client gets the refusal.
func (f suite) TestLongPollIsRefused(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := f.newStreaming(t)
			go func() {
				<-s.polled
				way.happen(t, s)
			}()
			response := s.get(t, "/poll")
			if response.StatusCode != way.status || strings.Contains(s.log.String(), "response ended") {
				t.Errorf("%s, want %d\n%s", response.Status, way.status, s.log)
			}
			if code := response.Header.Get("WWW-Authenticate"); (way.status == 401) != strings.Contains(code, `error="invalid_token"`) {
				t.Errorf("challenge %q", code)
			}
		})
	}
}

// A route that only streams is not open.
func (f suite) TestStreamAlone(t *testing.T) {
	auth := f.newAuth(t)
	a := &api{Server: f.New()}
	a.Handle("GET", "/accounts", a.handler, auth.Stream(access.Stream{}))
	if w := a.serve(get(poptest.URL)); w.Code != 401 || a.ran() != 0 {
		t.Errorf("nobody: %d", w.Code)
	}
	if w := a.serve(owner()); w.Code != 200 || a.ran() != 1 {
		t.Errorf("the owner: %d", w.Code)
	}
}
