package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/peer"
)

// AddressSource finds the address that a request comes from. Its errors are answered as those of a [Policy]. It
// must be safe for concurrent use.
type AddressSource func(r *http.Request) (netip.Addr, error)

// PeerAddress is the [AddressSource] of a server that clients reach directly: the other end of the connection. On a
// Unix socket there is none, which is our own trouble.
func PeerAddress(r *http.Request) (netip.Addr, error) {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("access: the connection has no address: %w", err)
	}
	return peer.Plain(remote.Addr()), nil
}

// ForwardedAddress makes an [AddressSource] for a server behind proxies that add the address they are asked from to
// X-Forwarded-For. Only what the trusted addresses say is believed: the client is the last address in the field that
// is not one of theirs. A request from anywhere else, or without the field, comes from its peer. An entry that is no
// address, where the client's would stand, refuses the request with [ErrAddress].
//
// The returned error says what is wrong with the setting.
func ForwardedAddress(proxies Peers) (AddressSource, error) {
	if proxies.IsZero() {
		return nil, errors.New("access.ForwardedAddress: no proxies: list the addresses of yours, such as 10.1.0.0/24")
	}
	trusted, err := proxies.Checker()
	if err != nil {
		return nil, fmt.Errorf("access.ForwardedAddress: proxies%w", err)
	}
	return func(r *http.Request) (netip.Addr, error) {
		if !trusted.Believes(r) {
			return PeerAddress(r)
		}
		entries := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		if len(entries) == 1 && strings.Trim(entries[0], " \t") == "" {
			return PeerAddress(r)
		}
		var client netip.Addr
		var err error
		for i := len(entries) - 1; i >= 0; i-- {
			entry := strings.Trim(entries[i], " \t")
			if client, err = parseAddress(entry); err != nil {
				return client, ErrAddress.With("addresses in X-Forwarded-For", entry)
			}
			if !trusted.Holds(client) {
				break
			}
		}
		return client, nil
	}, nil
}

// parseAddress reads an address, with a port behind it as some proxies write it.
func parseAddress(s string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return peer.Plain(withPort.Addr()), nil
	}
	a, err := netip.ParseAddr(s)
	return peer.Plain(a), err
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
	a = peer.Plain(a)
	return netip.PrefixFrom(a, a.BitLen()), nil
}
