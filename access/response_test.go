package access_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

// overTheNetwork is a request of the token's owner to a server of poptest.Audience.
func overTheNetwork(t testing.TB, server *httptest.Server, r *http.Request) *http.Request {
	t.Helper()
	sent, err := http.NewRequestWithContext(t.Context(), r.Method, server.URL+r.URL.RequestURI(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	sent.Host, sent.Header = r.Host, r.Header
	return sent
}

// withOldNonce is a request whose answer brings a new nonce.
func (s *site) withOldNonce(t testing.TB) *http.Request {
	t.Helper()
	token := bound()
	_, err := s.Check(get("DPoP "+token, poptest.Proof{Token: token, Nonce: "x", IssuedAt: poptest.Now.Add(-time.Hour)}.String()))
	refused, ok := err.(*access.Error)
	if !ok {
		t.Fatalf("a foreign nonce: %v", err)
	}
	s.heard = nil
	s.clock.Advance(time.Minute)
	return get("DPoP "+token, poptest.Proof{Token: token, Nonce: refused.Nonce, IssuedAt: s.clock.Now()}.String())
}

// However an answer begins, it brings the new nonce and may not be stored, whatever the handler says.
func TestHeadersOfAnAnswer(t *testing.T) {
	cacheable := func(w http.ResponseWriter) { w.Header().Set("Cache-Control", "public, max-age=60") }
	for name, answer := range map[string]http.HandlerFunc{
		"WriteHeader": func(w http.ResponseWriter, _ *http.Request) { cacheable(w); w.WriteHeader(200) },
		"Write":       func(w http.ResponseWriter, _ *http.Request) { cacheable(w); _, _ = io.WriteString(w, "ok") },
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"Flush":       func(w http.ResponseWriter, _ *http.Request) { cacheable(w); w.(http.Flusher).Flush() },
		"ResponseController": func(w http.ResponseWriter, _ *http.Request) {
			cacheable(w)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		},
		"ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
			cacheable(w)
			if _, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("ok")); err != nil {
				t.Error(err)
			}
		},
		"io.Copy": func(w http.ResponseWriter, _ *http.Request) { cacheable(w); _, _ = io.Copy(w, strings.NewReader("ok")) },
		"a file": func(w http.ResponseWriter, r *http.Request) {
			cacheable(w)
			http.ServeContent(w, r, "a.txt", poptest.Now, strings.NewReader("ok"))
		},
		"behind early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			cacheable(w)
			_, _ = io.WriteString(w, "ok")
		},
		"the raw writer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w.(interface{ Unwrap() http.ResponseWriter }).Unwrap(), "ok")
		},
		"headers thrown away": func(w http.ResponseWriter, _ *http.Request) { clear(w.Header()); w.WriteHeader(200) },
		"Hijack": func(w http.ResponseWriter, _ *http.Request) {
			cacheable(w)
			hijacked(t, w, func() (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() })
		},
		"ResponseController's Hijack": func(w http.ResponseWriter, _ *http.Request) {
			cacheable(w)
			hijacked(t, w, http.NewResponseController(w).Hijack)
		},
	} {
		for kind, wrap := range map[string]func(*site) http.Handler{
			"one Handler":  func(s *site) http.Handler { return s.Handler(s) },
			"two Handlers": func(s *site) http.Handler { return s.Handler(s.Handler(s)) },
			"a Stream":     func(s *site) http.Handler { return s.Handler(s.Stream(s, access.Stream{})) },
		} {
			t.Run(name+" behind "+kind, func(t *testing.T) {
				s := newSite(t)
				s.answer = answer
				server := httptest.NewServer(wrap(s))
				defer server.Close()
				response, err := server.Client().Do(overTheNetwork(t, server, s.withOldNonce(t)))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					t.Error(err)
				}
				h := response.Header
				if len(h.Values("DPoP-Nonce")) != 1 || h.Get("Cache-Control") != "no-store" || strings.Join(h.Values("Access-Control-Expose-Headers"), ", ") != "DPoP-Nonce" {
					t.Errorf("%s: header %v", response.Status, h)
				}
				server.Close() // the handler has returned
				s.decided(t, "")
			})
		}
	}
}

// hijacked answers on the connection itself, with the headers that the writer has by then, as a WebSocket library does.
func hijacked(t *testing.T, w http.ResponseWriter, hijack func() (net.Conn, *bufio.ReadWriter, error)) {
	connection, _, err := hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer connection.Close()
	response := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: w.Header(), Close: true}
	if err := response.Write(connection); err != nil {
		t.Error(err)
	}
}

// Without a new nonce a handler's answer is its own.
func TestAnswersWithoutANonce(t *testing.T) {
	s := newSite(t)
	s.answer = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "private") }
	if h := s.accepts(t, s.Handler(s), owner(bound())).Header(); len(h) != 1 || h.Get("Cache-Control") != "private" {
		t.Errorf("header %v", h)
	}
}

// A writer that cannot be flushed or taken over says so, and the answer goes on.
func TestWriterWithoutExtras(t *testing.T) {
	s := newSite(t)
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		if err := control.Flush(); err == nil {
			t.Error("it was flushed")
		}
		if _, _, err := control.Hijack(); err == nil {
			t.Error("it was taken over")
		}
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "ok")
	}
	recorder := httptest.NewRecorder()
	s.Handler(s).ServeHTTP(struct{ http.ResponseWriter }{recorder}, owner(bound()))
	s.decided(t, "")
	if recorder.Body.String() != "ok" {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}

// OpenID4VCI 1.0 §7: a nonce before the first proof. It serves a route that demands one, and nothing else is given.
func TestNonceHandler(t *testing.T) {
	s := newSite(t, func(s *setup) { s.RequireNonce = true })
	token := bound()
	for _, method := range []string{"GET", "HEAD", "POST"} {
		w := httptest.NewRecorder()
		s.NonceHandler().ServeHTTP(w, httptest.NewRequest(method, poptest.Audience+"/nonce", nil))
		h := w.Header()
		if w.Code != 204 || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Expose-Headers") != "DPoP-Nonce" || w.Body.Len() > 0 {
			t.Errorf("%s: %d %v", method, w.Code, h)
		}
		s.accepts(t, s.Handler(s), get("DPoP "+token, poptest.Proof{Token: token, Nonce: h.Get("DPoP-Nonce")}.String()))
	}
	s.refuses(t, s.Handler(s), get("DPoP "+token, poptest.Proof{Token: token}.String()), 401, "nonce_missing")
	w := httptest.NewRecorder()
	s.NonceHandler().ServeHTTP(w, httptest.NewRequest("DELETE", poptest.Audience+"/nonce", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, POST" || w.Header().Get("DPoP-Nonce") != "" {
		t.Errorf("DELETE: %d %v", w.Code, w.Header())
	}
	s = newSite(t, func(s *setup) { s.WithoutDPoP, s.Certificates = true, mtls.FromTLS })
	w = httptest.NewRecorder()
	s.NonceHandler().ServeHTTP(w, httptest.NewRequest("GET", poptest.Audience+"/nonce", nil))
	if w.Code != 404 || w.Header().Get("DPoP-Nonce") != "" {
		t.Errorf("without DPoP: %d %v", w.Code, w.Header())
	}
}

// line is a writer that notes what goes over the line, and can do all that net/http's can.
type line struct {
	header http.Header
	codes  []int
	body   strings.Builder
	others int // flushed, or taken over
}

func (l *line) Header() http.Header { return l.header }

func (l *line) WriteHeader(code int) { l.codes = append(l.codes, code) }

func (l *line) Write(b []byte) (int, error) { return l.body.Write(b) }

func (l *line) FlushError() error { l.others++; return nil }

func (l *line) Hijack() (net.Conn, *bufio.ReadWriter, error) { l.others++; return nil, nil, nil }

// Which status begins an answer, and so has its decision told.
func TestWhatBeginsAnAnswer(t *testing.T) {
	for status, told := range map[int]int{99: 1, 100: 0, 103: 0, 199: 0, 101: 1, 200: 1, 404: 1} {
		s, l := newSite(t), &line{header: http.Header{}}
		s.answer = func(w http.ResponseWriter, _ *http.Request) {
			if w.WriteHeader(status); len(s.heard) != told {
				t.Errorf("%d: told %d times, want %d", status, len(s.heard), told)
			}
		}
		s.Handler(s).ServeHTTP(l, owner(bound()))
		s.decided(t, "")
		if len(l.codes) != 1 || l.codes[0] != status {
			t.Errorf("%d: %d went out", status, l.codes)
		}
	}
}

// When an answer was replaced by one of ours, nothing of the handler's follows it, and the handler is told.
func TestNothingFollowsAReplacedAnswer(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Observer.Decided = func(context.Context, access.Decision) { panic("a bug") } })
	l := &line{header: http.Header{}}
	s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Secret", "x")
		w.WriteHeader(200)
		w.WriteHeader(103)
		w.WriteHeader(200)
		_, written := io.WriteString(w, "secret")
		_, read := w.(io.ReaderFrom).ReadFrom(strings.NewReader("secret"))
		control := http.NewResponseController(w)
		_, _, taken := control.Hijack()
		for name, err := range map[string]error{"Write": written, "ReadFrom": read, "Flush": control.Flush(), "Hijack": taken} {
			if err == nil {
				t.Errorf("%s has no error", name)
			}
		}
	})).ServeHTTP(l, owner(bound()))
	if len(l.codes) != 1 || l.codes[0] != 503 || l.others != 0 || strings.Contains(l.body.String(), "secret") || l.header["X-Secret"] != nil {
		t.Errorf("%d, %v, %s, %d others", l.codes, l.header, &l.body, l.others)
	}
}
