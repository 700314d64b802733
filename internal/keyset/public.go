package keyset

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// publicly returns a transport that dials public addresses alone, whatever a name resolves to: for issuers whose names
// come from outside, so that nobody has us ask the network that we stand in. There is no proxy: we would not see whom
// it dials. base is the transport of the user's client, if it has one; one of another kind cannot be held to that.
func publicly(base http.RoundTripper) (http.RoundTripper, error) {
	transport := &http.Transport{MaxResponseHeaderBytes: maxHeader}
	switch theirs := base.(type) {
	case nil:
	case *http.Transport:
		transport = theirs.Clone()
	default:
		return nil, errors.New("HTTPClient has a Transport that cannot be kept to public addresses: give an *http.Transport, or leave it nil")
	}
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err != nil || !public(at.Addr()) {
			return ErrAddress.With("a public address", address)
		}
		return nil
	}}
	transport.Proxy, transport.DialContext, transport.DialTLSContext = nil, dialer.DialContext, nil
	//lint:ignore SA1019 where a user's transport still has one, it would dial in our place
	transport.DialTLS = nil
	return transport, nil
}

// notPublic are the ranges that netip has no word for (IANA's registries of special-purpose addresses, RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598: behind the NAT of a provider, and in clouds
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // Teredo and others, with an address of version 4 in it
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4, likewise
	netip.MustParsePrefix("3fff::/20"),
}

// global is where addresses of version 6 that lead somewhere begin; 64:ff9b::/96, which leads to version 4, does not.
var global = netip.MustParsePrefix("2000::/3")

// public reports whether an address is of a machine in the open Internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" || ip.Is6() && !global.Contains(ip) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
