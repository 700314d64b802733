package dpop

import (
	"net/http"
	"net/netip"
	"strings"

	peers "github.com/senderlock/senderlock/internal/peer"
)

// ForwardedForm says how the proxies of [Config.ForwardedBy] write which host and scheme a request came with. Whatever the
// form, what counts is what the listed proxy wrote that is nearest to the client, counted from the end: what stands
// before that, the client may have written.
type ForwardedForm uint8

const (
	// ForwardedAnew is one value in X-Forwarded-Host and X-Forwarded-Proto, which each proxy sets anew. More than one
	// refuses the request.
	ForwardedAnew ForwardedForm = iota
	// ForwardedLists is a list in X-Forwarded-Host and X-Forwarded-Proto, to which each listed proxy adds, as it does to
	// X-Forwarded-For: which of the proxies was first is read there. One value alone is that of the last.
	ForwardedLists
	// ForwardedStandard is the field Forwarded (RFC 7239), with host and proto, and with for as an address. The X- fields
	// do not count.
	ForwardedStandard
	endForwardedForm
)

// forwarded is what proxies say of a request. Host and proto are empty where they say nothing.
type forwarded struct{ host, proto string }

// read finds what the proxies say, of a request that comes from one of them.
func (f ForwardedForm) read(r *http.Request, proxies *peers.Checker) (said forwarded, err error) {
	switch f {
	case ForwardedStandard:
		return standard(strings.Join(r.Header["Forwarded"], ","), proxies)
	case ForwardedLists:
		hops := listedHops(r, proxies)
		if said.host, err = fromTheEnd(r, "X-Forwarded-Host", hops); err == nil {
			said.proto, err = fromTheEnd(r, "X-Forwarded-Proto", hops)
		}
		return said, err
	}
	if said.host, err = alone(r, "X-Forwarded-Host"); err == nil {
		said.proto, err = alone(r, "X-Forwarded-Proto")
	}
	return said, err
}

// alone is the one value of a field.
func alone(r *http.Request, name string) (string, error) {
	values := r.Header[name]
	if values == nil {
		return "", nil
	}
	if len(values) != 1 || values[0] == "" {
		return "", ErrHost.With("one "+name, strings.Join(values, ", "))
	}
	return values[0], nil
}

// listedHops is how many listed proxies stand before the last.
func listedHops(r *http.Request, proxies *peers.Checker) (hops int) {
	entries := entriesOf(r, "X-Forwarded-For")
	for hops < len(entries) && listed(entries[len(entries)-1-hops], proxies) {
		hops++
	}
	return hops
}

// fromTheEnd is the entry that was written so many proxies before the last.
func fromTheEnd(r *http.Request, name string, hops int) (string, error) {
	entries := entriesOf(r, name)
	switch {
	case entries == nil:
		return "", nil
	case len(entries) == 1:
		hops = 0
	case len(entries) <= hops:
		// With all addresses those of proxies, the first proxy is the client.
		if hops = len(entriesOf(r, "X-Forwarded-For")) - 1; len(entries) != hops+1 {
			return "", ErrHost.With("an entry of each proxy in "+name, strings.Join(entries, ", "))
		}
	}
	if entry := entries[len(entries)-1-hops]; entry != "" {
		return entry, nil
	}
	return "", ErrHost.With("no empty entry in "+name, strings.Join(entries, ", "))
}

func entriesOf(r *http.Request, name string) []string {
	if r.Header[name] == nil {
		return nil
	}
	entries := strings.Split(strings.Join(r.Header[name], ","), ",")
	for i, e := range entries {
		entries[i] = strings.Trim(e, " \t")
	}
	return entries
}

// listed reports whether a node is the address of a listed proxy, perhaps with a port (RFC 7239 §6). One without an
// address, such as unknown, is nobody's.
func listed(node string, proxies *peers.Checker) bool {
	if at, err := netip.ParseAddrPort(node); err == nil {
		return proxies.Holds(peers.Plain(at.Addr()))
	}
	if bare, ok := strings.CutPrefix(node, "["); ok {
		node = strings.TrimSuffix(bare, "]")
	}
	ip, err := netip.ParseAddr(node)
	return err == nil && proxies.Holds(peers.Plain(ip))
}

// standard reads the field Forwarded: the element of the first listed proxy is the last one whose for is nobody listed.
func standard(field string, proxies *peers.Checker) (said forwarded, err error) {
	if field == "" {
		return said, nil
	}
	elements, ok := elementsOf(field)
	if !ok {
		return said, ErrHost.With("a Forwarded field of RFC 7239", field)
	}
	first := len(elements) - 1
	for first > 0 && listed(elements[first]["for"], proxies) {
		first--
	}
	return forwarded{elements[first]["host"], elements[first]["proto"]}, nil
}

// elementsOf takes a Forwarded field apart (RFC 7239 §4). What is not in order in one part refuses all of it, since a quote
// that a client left open could swallow what a proxy wrote.
func elementsOf(field string) (elements []map[string]string, ok bool) {
	current := map[string]string{}
	for rest := field; ; {
		rest = strings.TrimLeft(rest, " \t")
		name, after, found := strings.Cut(rest, "=")
		name = strings.ToLower(name)
		if _, twice := current[name]; !found || name == "" || !token(name) || twice {
			return nil, false
		}
		value, after, ok := valueOf(after)
		if !ok {
			return nil, false
		}
		current[name] = value
		rest = strings.TrimLeft(after, " \t")
		switch {
		case rest == "":
			return append(elements, current), true
		case rest[0] == ',':
			elements, current = append(elements, current), map[string]string{}
		case rest[0] != ';':
			return nil, false
		}
		rest = rest[1:]
	}
}

// valueOf reads a token or a quoted string (RFC 9110 §5.6). Some proxies write a port or an address without the quotes that
// it needs, so a token ends at a separator alone.
func valueOf(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ",; \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.ContainsAny(s[:end], `"\=`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func token(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
