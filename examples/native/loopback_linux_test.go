package main

import (
	"net"
	"net/url"
	"testing"
)

// The answer is waited for at the one loopback address of the redirect URI, and at no other of this machine (RFC 8252 §8.3).
// On Linux all of 127.0.0.0/8 is such an address, to which a listener for every address would answer.
func TestWaitsAtOneAddress(t *testing.T) {
	w := newWorld(t, nil)
	w.browse = func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		back, err := url.Parse(u.Query().Get("redirect_uri"))
		if err != nil {
			return err
		}
		for host, open := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false} {
			conn, err := net.Dial("tcp", net.JoinHostPort(host, back.Port()))
			if (err == nil) != open {
				t.Errorf("%s: %v", host, err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
		_, _, err = w.get(address)
		return err
	}
	w.login()
}
