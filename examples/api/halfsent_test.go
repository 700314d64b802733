package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// A request that is half sent when the program is told to end is answered, and so is one of whose head a part alone has come.
func TestHalfSentRequestsAreAnswered(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	const each = 4
	var conns []net.Conn
	var rests []string
	for range each {
		for _, half := range [][2]string{
			{"GET /healthz HTTP/1.1\r\nHost: plain.exam", "ple.com\r\nConnection: close\r\n\r\n"},
			{"POST /backchannel-logout HTTP/1.1\r\nHost: plain.example.com\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nlogout_", "token=a"},
		} {
			conn, err := net.Dial("tcp", p.ports["PORT"])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := fmt.Fprint(conn, half[0]); err != nil {
				t.Fatal(err)
			}
			conns, rests = append(conns, conn), append(rests, half[1])
		}
	}
	// One more connection is answered, so those before it have been taken.
	p.do(call{path: "/healthz"})
	p.Terminate()
	for range time.Tick(10 * time.Millisecond) { // until the port is closed
		conn, err := net.DialTimeout("tcp", p.ports["PORT"], time.Second)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	lost := 0
	for i, conn := range conns {
		_, _ = fmt.Fprint(conn, rests[i])
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			lost++
			continue
		}
		_ = response.Body.Close()
	}
	if lost > 0 {
		t.Errorf("%d of %d requests were lost", lost, len(conns))
	}
	if err := p.Ended(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
