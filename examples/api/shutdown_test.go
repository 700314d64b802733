package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/settings"
)

// A program that is told to end answers what it was asked before, on both listeners: requests that wait for the
// authorization server, and those that come on open connections while it is ending.
func TestGracefulEnd(t *testing.T) {
	w := newWorld(t)
	w.Hang() // the issuer, whose keys are needed, does not answer for now
	p := w.start(t, env{"SHUTDOWN_DELAY": "1"})
	const each = 20
	// The nonce is learnt before, so that nobody has to ask twice.
	nonce := p.do(call{token: "nonsense", noRetry: true}).header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce")
	}

	type result struct {
		status int
		close  bool
		err    error
	}
	results := make(chan result, 4*each)
	var sent sync.WaitGroup
	ask := func(c call) {
		c.proof = func(p *poptest.Proof) { p.Nonce = nonce }
		c.token = w.bound()
		r, client := p.request(c, "")
		// The connection is open before, so that what is sent on it has been sent to the program.
		warm, _ := p.request(call{path: "/healthz", tls: c.tls}, "")
		response, err := client.Do(warm)
		if err != nil {
			t.Error(err)
			sent.Done()
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		sent.Done()
		response, err = client.Do(r)
		if err != nil {
			results <- result{err: err}
			return
		}
		_ = response.Body.Close()
		results <- result{status: response.StatusCode, close: response.Close}
	}
	for range each {
		sent.Add(2)
		go ask(call{method: "POST", path: "/api/write", body: "{}"})
		go ask(call{tls: true})
	}
	sent.Wait()
	p.Terminate()
	p.line("ending", func(l map[string]any) bool { return l["msg"] == "ending" })
	if a := p.do(call{path: "/healthz"}); a.status != http.StatusServiceUnavailable {
		t.Errorf("/healthz while ending: %d %v", a.status, a.header)
	}
	// Only when nobody can come in any more is the issuer there again.
	for range time.Tick(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", p.ports["PORT"], time.Second)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	w.Release()
	for range 2 * each {
		if got := <-results; got.err != nil || got.status != 200 || !got.close {
			t.Errorf("in flight: %+v", got)
		}
	}
	if err := p.Ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
	for _, name := range []string{"PORT", "TLS_PORT", "ADMIN_PORT"} {
		if conn, err := net.DialTimeout("tcp", p.ports[name], time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still open", name)
		}
	}
}

// A client that does not finish its request keeps nobody waiting for longer than the time-out, and headers are bounded.
func TestHeaderLimits(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	big := make([]byte, maxHeaderBytes+8<<10)
	for i := range big {
		big[i] = 'a'
	}
	if a := p.do(call{path: "/healthz", header: map[string]string{"X-Big": string(big)}}); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", a.status)
	}
	a := &app{settings: &settings.Settings{}, log: slog.New(slog.DiscardHandler)}
	if s := a.server(nil); s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || shutdownTimeout < s.WriteTimeout {
		t.Errorf("%+v", s)
	}
}
