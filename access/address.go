package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AddressSource finds the address that a request comes from. Its errors are answered as those of a [Policy]. It
// must be safe for concurrent use.
type AddressSource func(r *http.Request) (netip.Addr, error)

// PeerAddress is the [AddressSource] of a server that clients reach directly: the other end of the connection. On a
// Unix socket there is none, which is our own trouble.
func PeerAddress(r *http.Request) (netip.Addr, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("access: the connection has no address: %w", err)
	}
	return unmapped(peer.Addr()), nil
}

// unmapped is an address as it is compared: IPv4 as IPv4, and without a zone, which means something on one host only.
func unmapped(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// ForwardedAddress makes an [AddressSource] for a server behind proxies that add the address they are asked from to
// X-Forwarded-For. Only what the trusted addresses say is believed: the client is the last address in the field that
// is not one of theirs. A request from anywhere else, or without the field, comes from its peer. An entry that is no
// address, where the client's would stand, refuses the request with [ErrAddress].
//
// Trusted are the addresses that the proxies connect from ("10.1.0.0/24"). The returned error says what is wrong
// with them.
func ForwardedAddress(trusted ...netip.Prefix) (AddressSource, error) {
	if len(trusted) == 0 {
		return nil, errors.New("access.ForwardedAddress: trusted is empty: list the addresses of your proxies, such as 10.1.0.0/24")
	}
	for _, p := range trusted {
		if !p.IsValid() || p.Addr().Is4In6() || p.Bits() == 0 {
			return nil, fmt.Errorf("access.ForwardedAddress: trusted has %v: list the addresses of your proxies, such as 10.1.0.0/24", p)
		}
	}
	proxies := slices.Clone(trusted)
	isProxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) (netip.Addr, error) {
		client, err := PeerAddress(r)
		if err != nil {
			return client, err
		}
		entries := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for i := len(entries) - 1; i >= 0 && isProxy(client); i-- {
			entry := strings.Trim(entries[i], " \t")
			if entry == "" && len(entries) == 1 {
				break
			}
			if client, err = parseAddress(entry); err != nil {
				return client, ErrAddress.With("addresses in X-Forwarded-For", entry)
			}
		}
		return client, nil
	}, nil
}

// parseAddress reads an address, with a port behind it as some proxies write it.
func parseAddress(s string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return unmapped(withPort.Addr()), nil
	}
	a, err := netip.ParseAddr(s)
	return unmapped(a), err
}

// CompareAddress makes a [Policy] that lets a token be used only from the address in one of its claims: an IP address
// or a range ("192.0.2.7", "2001:db8::/64"). A token without it is refused with [ErrTokenClaim], one that is used
// from elsewhere with [ErrAddress]. Mind that clients change their address: between networks, and with IPv6 within
// one. Nil for source means [PeerAddress].
func CompareAddress(claim string, source AddressSource) (Policy, error) {
	if claim == "" {
		return nil, errors.New("access.CompareAddress: claim is empty: name the claim that holds the address")
	}
	if source == nil {
		source = PeerAddress
	}
	return func(r *http.Request, grant *Grant) error {
		want, err := addressRange(grant, claim)
		if err != nil {
			return err
		}
		got, err := source(r)
		if err != nil {
			return err
		}
		if !want.Contains(got) {
			return ErrAddress.With(want.String(), got.String())
		}
		return nil
	}, nil
}

// addressRange reads a claim that holds an address or a range.
func addressRange(grant *Grant, claim string) (netip.Prefix, error) {
	var claims map[string]jsontext.Value
	if err := grant.Claims(&claims); err != nil {
		return netip.Prefix{}, err
	}
	var text string
	if raw := claims[claim]; raw == nil || json.Unmarshal(raw, &text) != nil {
		return netip.Prefix{}, ErrTokenClaim.With("an address in "+claim, string(raw))
	}
	if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() {
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, ErrTokenClaim.With("an address in "+claim, text)
	}
	a = unmapped(a)
	return netip.PrefixFrom(a, a.BitLen()), nil
}
