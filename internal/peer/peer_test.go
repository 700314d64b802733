package peer_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/peer"
)

func TestBelieves(t *testing.T) {
	proxies := peer.Peers{Addresses: []string{"10.1.0.0/16", "192.0.2.7", "fd00:1::/64"}}
	for _, c := range []struct {
		peers  peer.Peers
		remote string
		unix   bool
		want   bool
	}{
		{proxies, "10.1.2.3:4567", false, true},
		{proxies, "10.2.0.1:4567", false, false},
		{proxies, "[::ffff:10.1.2.3]:4567", false, true}, // however the socket spells it
		{proxies, "192.0.2.7:1", false, true},
		{proxies, "192.0.2.8:1", false, false},
		{proxies, "[fd00:1::5%eth0]:1", false, true},
		{proxies, "[fd00:2::5]:1", false, false},
		{proxies, "10.1.2.3", false, false}, // no connection looks so
		{proxies, "", false, false},
		{proxies, "@", true, false},
		{proxies, "10.1.2.3:4567", true, false}, // what a middleware made of it
		{peer.Peers{UnixListener: true}, "@", true, true},
		{peer.Peers{UnixListener: true}, "", true, true},
		{peer.Peers{UnixListener: true}, "@", false, false}, // the listener counts, not the peer's name
		{peer.Peers{}, "10.1.2.3:4567", false, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		if c.unix {
			local := &net.UnixAddr{Name: "/run/api.sock", Net: "unix"}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		}
		checker, err := c.peers.Checker()
		if err != nil {
			t.Fatal(err)
		}
		if got := checker.Believes(r); got != c.want {
			t.Errorf("%+v believes %q (unix %t): %t", c.peers, c.remote, c.unix, got)
		}
	}
	var nobody *peer.Checker
	if nobody.Believes(httptest.NewRequest(http.MethodGet, "/", nil)) {
		t.Error("a nil Checker believes somebody")
	}
}

func TestCheckerRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0/0":           "holds every address",
		"::/0":                "holds every address",
		"::ffff:10.0.0.0/104": "give an IPv4 range",
		"10.0.0.0/33":         "give an address range",
		"proxy.example.com":   "give an address range",
		"":                    "give an address range",
		"fe80::1%eth0":        "give an address range",
	} {
		_, err := peer.Peers{Addresses: []string{"10.0.0.1", address}}.Checker()
		if err == nil || !strings.HasPrefix(err.Error(), ".Addresses[1] is ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
	}
}

func TestIsZero(t *testing.T) {
	for _, c := range []struct {
		peers peer.Peers
		want  bool
	}{{peer.Peers{}, true}, {peer.Peers{UnixListener: true}, false}, {peer.Peers{Addresses: []string{"10.0.0.1"}}, false}} {
		if c.peers.IsZero() != c.want {
			t.Errorf("%+v: %t", c.peers, !c.want)
		}
	}
}
