package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A pipe that nobody reads from stops no request, and the admin port tells how many lines were lost.
func TestLogThatNobodyDrains(t *testing.T) {
	w := newWorld(t)
	port, adminPort := freePort(t), freePort(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // it stays open and unread for as long as the program runs
	command := w.env.with(env{"PORT": port, "ADMIN_PORT": adminPort, "TLS_PORT": "", "TLS_CERT_FILE": "", "TLS_KEY_FILE": ""}).command(context.Background())
	command.Stdout = in
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	p := &process{t: t, ports: map[string]string{"PORT": "127.0.0.1:" + port, "ADMIN_PORT": "127.0.0.1:" + adminPort}}
	late := time.After(patience)
	for {
		r, client := p.request(call{path: "/healthz"}, "")
		if response, err := client.Do(r); err == nil {
			_ = response.Body.Close()
			break
		}
		select {
		case <-late:
			t.Fatal("the program does not answer")
		case <-time.After(10 * time.Millisecond):
		}
	}
	// Some 300 octets a refusal: far more than a pipe and the queue hold.
	r, client := p.request(call{token: "nonsense", noProof: true}, "")
	client.Timeout = patience
	for range 9500 {
		response, err := client.Do(r)
		if err != nil {
			t.Fatalf("a request was not answered: %v", err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Fatal(response.StatusCode)
		}
	}
	a := p.send(asAdmin("GET", "/metrics", ""), "")
	if strings.Contains(a.body, "senderlock_log_lines_lost_total 0\n") || !strings.Contains(a.body, "\nsenderlock_log_lines_lost_total ") {
		t.Errorf("lost lines are not counted: %d", a.status)
	}
}
