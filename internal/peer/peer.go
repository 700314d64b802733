// Package peer tells whether the direct peer of a connection is one whose forwarded fields are believed. Every use of
// such fields, for the origin, the client's address and the client's certificate, has a setting of this one type, and
// none inherits that of another.
package peer

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
)

// Peers are those whose fields are believed: proxies, which set the fields anew in every request. The zero Peers are
// nobody.
type Peers struct {
	// Addresses are those that the peers connect from: ranges ("10.1.0.0/24") or single addresses. A range of all
	// addresses is refused, and so is an IPv4 range written as IPv6 (::ffff:10.0.0.0/104).
	Addresses []string
	// UnixListener believes whoever connects to a Unix socket that this server listens on: its file mode says who can.
	UnixListener bool
}

// IsZero reports whether nobody is believed.
func (p Peers) IsZero() bool { return len(p.Addresses) == 0 && !p.UnixListener }

// Checker knows the peers of one setting. A nil Checker believes nobody. It is immutable and safe for concurrent use.
type Checker struct {
	ranges []netip.Prefix
	unix   bool
}

// Checker checks the setting. Its error begins with the name of the field within Peers.
func (p Peers) Checker() (*Checker, error) {
	c := &Checker{unix: p.UnixListener}
	for i, s := range p.Addresses {
		r, err := parse(s)
		if err != nil {
			return nil, fmt.Errorf(".Addresses[%d] is %q: %w", i, s, err)
		}
		c.ranges = append(c.ranges, r)
	}
	return c, nil
}

func parse(s string) (netip.Prefix, error) {
	r, err := netip.ParsePrefix(s)
	if err != nil {
		single, err := netip.ParseAddr(s)
		if err != nil || single.Zone() != "" {
			return r, errors.New(`give an address range, such as "10.0.0.0/8", or an address, such as "10.0.0.1"`)
		}
		r = netip.PrefixFrom(single, single.BitLen())
	}
	switch {
	case r.Addr().Is4In6():
		return r, errors.New(`peers are compared as IPv4, so give an IPv4 range, such as "10.0.0.0/8"`)
	case r.Bits() == 0:
		return r, errors.New("it holds every address; list those of your proxies")
	}
	return r.Masked(), nil
}

// Believes reports whether r comes directly from one of the peers.
func (c *Checker) Believes(r *http.Request) bool {
	if c == nil || !c.unix && c.ranges == nil {
		return false
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return c.unix
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && c.Holds(Plain(peer.Addr()))
}

// Holds reports whether a plain address is in one of the ranges.
func (c *Checker) Holds(a netip.Addr) bool {
	return c != nil && slices.ContainsFunc(c.ranges, func(r netip.Prefix) bool { return r.Contains(a) })
}

// Plain is an address as it is compared: IPv4 as IPv4, and without a zone, which means something on one host only.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
