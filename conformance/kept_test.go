package conformance_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/senderlock/senderlock/conformance"
)

// What is said of a server does not depend on what it makes of connections that are kept.
func TestKeptConnections(t *testing.T) {
	for name, test := range map[string]struct {
		handler func(http.Handler) http.Handler // nil: as it is
		server  func(*httptest.Server)
		shared  bool // requests share connections
		alone   bool // in the end each has its own
		fails   bool // every case of a refusal fails
	}{
		"keeps them": {shared: true},
		"closes them without a word": {alone: true, server: func(s *httptest.Server) {
			s.Config.ConnState = func(conn net.Conn, state http.ConnState) {
				if state == http.StateIdle {
					_ = conn.Close()
				}
			}
		}},
		"closes them, and says so": {server: func(s *httptest.Server) { s.Config.SetKeepAlivesEnabled(false) }},
		"serves one at a time": {shared: true, server: func(s *httptest.Server) {
			s.Listener = &oneByOne{Listener: s.Listener, free: make(chan struct{}, 1)}
		}},
		"drops a request that does not close its own": {alone: true, handler: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !r.Close {
					panic(http.ErrAbortHandler)
				}
				next.ServeHTTP(w, r)
			})
		}},
		"drops what it refuses": {alone: true, fails: true, handler: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				recorder := httptest.NewRecorder()
				next.ServeHTTP(recorder, r)
				if r.Header.Get("DPoP") != "" && recorder.Code == http.StatusUnauthorized {
					panic(http.ErrAbortHandler)
				}
				for field, values := range recorder.Header() {
					w.Header()[field] = values
				}
				w.WriteHeader(recorder.Code)
				_, _ = recorder.Body.WriteTo(w)
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubject(t, newIssuer(t), defects{handler: test.handler})
			var requests, connections atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				s.ServeHTTP(w, r)
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {}
			if test.server != nil {
				test.server(server)
			}
			state := server.Config.ConnState
			server.Config.ConnState = func(conn net.Conn, to http.ConnState) {
				if to == http.StateNew {
					connections.Add(1)
				}
				state(conn, to)
			}
			server.Start()
			t.Cleanup(server.Close)
			o := s.options()
			o.URL, o.Origin, o.Endpoints, o.Groups = server.URL+"/resource", origin, nil, []string{"ath", "method"}
			report, err := conformance.RunURL(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				want := conformance.Pass
				switch {
				case r.Level == "INFO":
					want = r.Outcome
				case test.fails && r.Wanted == "refused":
					want = conformance.Fail
				}
				if r.Outcome != want {
					t.Errorf("%s: %s, want %s: %q", r.ID, r.Outcome, want, r.Problems)
				}
				for _, e := range r.Exchanges {
					if own := strings.Contains(e.Request, "\nConnection: close"); own != test.alone {
						t.Errorf("%s: its own connection: %t\n%s", r.ID, own, e.Request)
					}
				}
			}
			if report.Count[conformance.Pass]+report.Count[conformance.Fail] < 30 {
				t.Errorf("%v", report.Count)
			}
			if shared := connections.Load() < requests.Load(); shared != test.shared {
				t.Errorf("%d connections for %d requests", connections.Load(), requests.Load())
			}
		})
	}
}

// oneByOne is a listener that has one connection at a time.
type oneByOne struct {
	net.Listener
	free chan struct{}
}

func (l *oneByOne) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &only{Conn: conn, of: l}, nil
}

type only struct {
	net.Conn
	of     *oneByOne
	closed atomic.Bool
}

func (c *only) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		<-c.of.free
	}
	return err
}
