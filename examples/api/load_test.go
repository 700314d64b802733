package main

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
)

// Under load, a program that is told to end loses no request that a load balancer sends it before it sees /readyz fail.
func TestNoRequestIsLostUnderLoad(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"SHUTDOWN_DELAY": "5"})
	nonce := p.do(call{token: "nonsense", noRetry: true}).header.Get("DPoP-Nonce")
	token := w.bound()
	if a := p.do(call{token: token}); a.status != 200 {
		t.Fatal(a.status)
	}
	var noticed atomic.Bool // by the load balancer
	var answered, lost, others atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			_, client := p.request(call{}, "")
			defer client.CloseIdleConnections()
			for !noticed.Load() {
				r, _ := p.request(call{method: "POST", token: token, body: "{}", proof: func(p *poptest.Proof) { p.Nonce = nonce }}, "")
				response, err := client.Do(r)
				if err != nil {
					t.Log(err)
					lost.Add(1)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				switch {
				case err != nil:
					lost.Add(1)
				case response.StatusCode != http.StatusOK:
					others.Add(1)
				default:
					answered.Add(1)
				}
			}
		})
	}
	for answered.Load() < 1000 {
		select {
		case <-p.Done():
			t.Fatal(p.Ended())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if a := p.do(call{path: "/readyz"}); a.status != http.StatusOK {
		t.Errorf("/readyz before the end: %d %s", a.status, a.body)
	}
	p.Terminate()
	for p.do(call{path: "/readyz"}).status == http.StatusOK {
		time.Sleep(10 * time.Millisecond) // as a load balancer looks again
	}
	if a := p.do(asAdmin("GET", "/readyz", "")); a.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz of the admin port at the end: %d", a.status)
	}
	noticed.Store(true)
	workers.Wait()
	if err := p.Ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
	t.Logf("%d answered, %d lost", answered.Load(), lost.Load())
	if lost.Load() > 0 || others.Load() > 0 {
		t.Errorf("of %d requests %d were lost, and %d were refused", answered.Load(), lost.Load(), others.Load())
	}
}

// The program is not ready before it has the issuer's keys, and stays ready when the issuer goes.
func TestReadyz(t *testing.T) {
	w := newWorld(t)
	w.Hang()
	p := w.start(t, nil)
	if a := p.do(call{path: "/readyz"}); a.status != http.StatusServiceUnavailable {
		t.Errorf("without keys: %d %s", a.status, a.body)
	}
	if a := p.do(call{path: "/healthz"}); a.status != http.StatusOK {
		t.Errorf("/healthz meanwhile: %d", a.status)
	}
	w.Release()
	late := time.After(patience)
	for p.do(call{path: "/readyz"}).status != http.StatusOK {
		select {
		case <-late:
			t.Fatal("never ready")
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.Hang()
	defer w.Release()
	if a := p.do(call{path: "/readyz"}); a.status != http.StatusOK {
		t.Errorf("when the issuer is gone: %d %s", a.status, a.body)
	}
}
