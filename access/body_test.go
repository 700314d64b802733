package access_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// wireClient speaks HTTP/1.1 by hand over one connection.
type wireClient struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, server *httptest.Server) *wireClient {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // rather than wait for a server that never closes
	return &wireClient{c, bufio.NewReader(c)}
}

func (c *wireClient) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one whole answer.
func (c *wireClient) answer(t *testing.T) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// closed fails unless the server closes the connection without another octet.
func (c *wireClient) closed(t *testing.T) {
	t.Helper()
	if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
		t.Errorf("there is more: %q", rest)
	}
}

// post is the head of a POST without credentials.
func post(fields string) string {
	return "POST /accounts HTTP/1.1\r\nHost: api.example.com\r\n" + fields + "\r\n\r\n"
}

// The next request on a connection, which only the last line of a body may not be taken for.
const another = "GET /another HTTP/1.1\r\nHost: api.example.com\r\n\r\n"

// A refusal waits for the rest of a body, so that the connection can be kept, and never for long. Whatever is left of a
// body is not a request. The wait is a minute or a moment, so that no case depends on how fast the machine is.
func TestRefusalAndTheBody(t *testing.T) {
	t.Parallel() // some cases wait for half a second, in which the Guard reads what still comes
	long, short := access.MaxRefusalWait, time.Millisecond
	const much = 300 << 10
	for name, test := range map[string]struct {
		wait time.Duration
		send string
		kept bool
	}{
		"no body":                          {long, another, true},
		"an empty body":                    {long, post("Content-Length: 0"), true},
		"a complete body":                  {long, post("Content-Length: 5") + "hello", true},
		"a body of 100 kB":                 {long, post("Content-Length: 100000") + strings.Repeat("x", 100_000), true},
		"as much as is read":               {long, post("Content-Length: 262144") + strings.Repeat("x", 256<<10), true},
		"a complete chunked body":          {long, post("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", true},
		"a body that does not come":        {short, post("Content-Length: 100000"), false},
		"a body that stops":                {short, post("Content-Length: 100000") + "hello", false},
		"a chunked body that stops":        {short, post("Transfer-Encoding: chunked") + "5\r\nhello\r\n", false},
		"a large body that does not come":  {long, post("Content-Length: 300000"), false},
		"a body of more than is read":      {long, post("Content-Length: 307200") + strings.Repeat("x", much), false},
		"a chunked body of more":           {long, post("Transfer-Encoding: chunked") + "4b000\r\n" + strings.Repeat("x", much) + "\r\n0\r\n\r\n", false},
		"a request in a body":              {long, post(fmt.Sprintf("Content-Length: %d", len(another))) + another, true},
		"a request in a body that stops":   {short, post("Content-Length: 100000") + another + another, false},
		"a request in a large body":        {long, post("Content-Length: 307200") + strings.Repeat(another, much/len(another)), false},
		"a request in a chunk that stops":  {short, post("Transfer-Encoding: chunked") + "ffff\r\n" + another, false},
		"a request in a large chunked one": {long, post("Transfer-Encoding: chunked") + "4b000\r\n" + strings.Repeat(another, much/len(another)), false},
		"expected, and not sent":           {long, post("Content-Length: 100000\r\nExpect: 100-continue"), false},
		"expected, and sent unasked":       {long, post(fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(another))) + another, false},
		"HTTP/1.0":                         {long, "POST /accounts HTTP/1.0\r\nHost: api.example.com\r\nContent-Length: 5\r\n\r\nhello", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *setup) { s.RefusalWait = test.wait })
			server := httptest.NewServer(s.Handler(s))
			defer server.Close()
			c := dial(t, server)
			go func() { _, _ = io.WriteString(c, test.send) }() // the server need not read it all
			response, body := c.answer(t)
			if response.StatusCode != 401 || body != `{"message":"no credentials were sent"}`+"\n" || response.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %v %s", response.Status, response.Header, body)
			}
			if response.Close == test.kept {
				t.Errorf("kept %t, want %t: %v", !response.Close, test.kept, response.Header)
			}
			if test.kept { // and what comes next is read as the next request
				c.send(t, another)
				if response, _ := c.answer(t); response.StatusCode != 401 {
					t.Errorf("the next request: %s", response.Status)
				}
			} else {
				c.closed(t)
			}
			_ = c.Close()
			server.Close()
			requests := 1
			if test.kept {
				requests = 2
			}
			if len(s.heard) != requests || s.ran != 0 {
				t.Errorf("%d decisions, want %d; the handler ran %d times", len(s.heard), requests, s.ran)
			}
		})
	}
}

// A client that keeps writing reads the answer to the end, although the connection is closed behind it.
func TestRefusalReachesAClientThatWrites(t *testing.T) {
	s := newSite(t, func(s *setup) {
		s.Deny = func(w http.ResponseWriter, _ *http.Request, e *access.Error) {
			w.WriteHeader(e.Status)
			_, _ = io.WriteString(w, strings.Repeat("no", 50_000))
		}
	})
	server := httptest.NewServer(s.Handler(s))
	defer server.Close()
	c := dial(t, server)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(c, post("Content-Length: 400000")+strings.Repeat("x", 350_000))
	}()
	if response, body := c.answer(t); response.StatusCode != 401 || len(body) != 100_000 {
		t.Errorf("%s, %d octets", response.Status, len(body))
	}
	<-written
	c.closed(t)
}

// What the handler of an accepted request does with its body is its own affair, and a refusal behind it finds the body
// read.
func TestRefusalBehindAReadBody(t *testing.T) {
	s := newSite(t, func(s *setup) { s.RefusalWait = time.Millisecond })
	inner := s.Handler(s, scope("b"))
	server := httptest.NewServer(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); string(body) != "hello" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		inner.ServeHTTP(w, r)
	})))
	defer server.Close()
	token := bound()
	r := httptest.NewRequest("POST", poptest.URL, strings.NewReader("hello"))
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token, Method: "POST"}.String())
	response, err := server.Client().Do(overTheNetwork(t, server, r))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 403 || response.Close {
		t.Errorf("%s %v", response.Status, response.Header)
	}
	s.decided(t, "scope_missing")
}

// On HTTP/2 a request is a stream of its own, and its body holds nobody up.
func TestRefusalOverHTTP2(t *testing.T) {
	s := newSite(t, func(s *setup) { s.RefusalWait = access.MaxRefusalWait })
	server := httptest.NewUnstartedServer(s.Handler(s))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	body, end := io.Pipe()
	defer end.Close()
	for _, content := range []io.Reader{body, bytes.NewReader(make([]byte, 300<<10))} {
		r, err := http.NewRequestWithContext(context.Background(), "POST", server.URL+"/accounts", content)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != 401 || err != nil || len(text) == 0 || response.Header.Get("Connection") != "" {
			t.Errorf("%s %s %v, %v", response.Proto, response.Status, response.Header, err)
		}
		s.decided(t, "credentials_missing")
	}
}

// An adapter of a framework gets to know that the connection is closed behind the answer, and that it has to be written
// by then.
func TestRefusalToldToAnAdapter(t *testing.T) {
	s := newSite(t, func(s *setup) { s.RefusalWait = time.Millisecond })
	route, err := s.Guard.Route()
	if err != nil {
		t.Fatal(err)
	}
	var now []bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = route.Serve(access.Passage{Writer: w, RefusalWriter: w, Request: r}, nil, func(e *access.Error, written bool) error {
			now = append(now, written)
			w.WriteHeader(e.Status)
			return nil
		})
	}))
	for _, text := range []string{another, post("Content-Length: 5") + "hello", post("Content-Length: 5") + "hel"} {
		c := dial(t, server)
		c.send(t, text)
		if response, _ := c.answer(t); response.StatusCode != 401 {
			t.Errorf("%s", response.Status)
		}
		_ = c.Close()
	}
	server.Close()
	if fmt.Sprint(now) != "[false false true]" {
		t.Errorf("to be written at once: %v", now)
	}
}

// A recorder has no connection, so nothing is read; a body that somebody in front has taken away is none; and on a
// connection a refused body is read up to a bound, after which it is closed behind the answer.
func TestRefusedBodiesOfAllKinds(t *testing.T) {
	for name, test := range map[string]struct {
		w      http.ResponseWriter
		body   io.Reader
		length int64
		read   bool
		told   string // to the connection
	}{
		"a recorder":          {httptest.NewRecorder(), strings.NewReader("hello"), 5, false, ""},
		"none":                {&wired{ResponseWriter: httptest.NewRecorder()}, nil, 5, false, ""},
		"empty":               {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader("hello"), 0, false, ""},
		"small":               {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader("hello"), 5, true, "deadline, no deadline"},
		"as much as is read":  {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader(strings.Repeat("x", 256<<10)), -1, true, "deadline, no deadline"},
		"one octet more":      {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader(strings.Repeat("x", 256<<10+1)), -1, true, "deadline, flush, deadline"},
		"as much, as it says": {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader(strings.Repeat("x", 256<<10)), 256 << 10, true, "deadline, no deadline"},
		"more, as it says":    {&wired{ResponseWriter: httptest.NewRecorder()}, strings.NewReader("hello"), 256<<10 + 1, true, "deadline, flush, deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			body := &counted{Reader: test.body}
			r := httptest.NewRequest("POST", poptest.URL, nil)
			if r.Body, r.ContentLength = nil, test.length; test.body != nil {
				r.Body = io.NopCloser(body)
			}
			s.Handler(s).ServeHTTP(test.w, r)
			s.decided(t, "credentials_missing")
			if (body.reads > 0) != test.read {
				t.Errorf("read %d times", body.reads)
			}
			w, ok := test.w.(*wired)
			if !ok {
				return
			}
			if got := strings.Join(w.told, ", "); got != test.told {
				t.Errorf("told %s, want %s", got, test.told)
			}
			if closed := w.Header().Get("Connection") == "close"; closed != strings.Contains(test.told, "flush") {
				t.Errorf("closed %t", closed)
			}
		})
	}
	t.Run("of a stream of HTTP/2", func(t *testing.T) {
		s, body, w := newSite(t), &counted{Reader: strings.NewReader("hello")}, &wired{ResponseWriter: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", poptest.URL, body)
		r.ProtoMajor, r.ContentLength = 2, 256<<10+1
		s.Handler(s).ServeHTTP(w, r)
		if s.decided(t, "credentials_missing"); body.reads > 0 || w.told != nil || w.Header().Get("Connection") != "" {
			t.Errorf("read %d times, told %q, header %v", body.reads, w.told, w.Header())
		}
	})
	t.Run("who waits to be asked for it", func(t *testing.T) {
		s, body, w := newSite(t), &counted{Reader: strings.NewReader("hello")}, &wired{ResponseWriter: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", poptest.URL, body)
		r.ContentLength = 5
		r.Header.Set("Expect", "100-Continue")
		w.onFlush = func() {
			if body.reads > 0 {
				t.Error("it was asked for the body before the answer")
			}
		}
		s.Handler(s).ServeHTTP(w, r)
		if w.Header().Get("Connection") != "close" || strings.Join(w.told, ", ") != "deadline, flush, deadline" {
			t.Errorf("header %v, told %q", w.Header(), w.told)
		}
	})
}

// wired is a writer with a connection, as far as it is told things.
type wired struct {
	http.ResponseWriter
	told    []string
	onFlush func()
}

func (w *wired) SetReadDeadline(at time.Time) error {
	w.told = append(w.told, map[bool]string{true: "no deadline", false: "deadline"}[at.IsZero()])
	return nil
}

func (w *wired) FlushError() error {
	if w.told = append(w.told, "flush"); w.onFlush != nil {
		w.onFlush()
	}
	return nil
}

// counted counts the reads.
type counted struct {
	io.Reader
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}
