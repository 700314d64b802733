// Package setting checks the settings that several packages have in common, in words that name the field and say
// what to put there.
package setting

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Between gives a setting its default and refuses what lies outside its bounds.
func Between[T int | time.Duration](field string, value *T, zero, least, most T) error {
	if *value == 0 {
		*value = zero
	}
	if *value < least || *value > most {
		return fmt.Errorf("%s is %v: give a value from %v to %v, or zero for %v", field, *value, least, most, zero)
	}
	return nil
}

// Made refuses a nil pointer in an interface that is not nil, as of a variable that was declared and never assigned:
// its methods would panic, at the latest on a request.
func Made(field string, value any) error {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%s holds a nil %T: give one that was made, or leave the field nil", field, value)
	}
	return nil
}

// Chosen returns a copy of the names that were chosen of all there are, which nil stands for.
func Chosen(field string, names, all []string) ([]string, error) {
	if names == nil {
		names = all
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s is empty: list some of %q, or leave it nil for all", field, all)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("%s has %q: take names from %q", field, name, all)
		}
	}
	return slices.Clone(names), nil
}

// Loopback reports whether a host, by name or address, is this machine, to which http may do.
func Loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// IsOrigin reports whether s is the origin of a page as browsers write it (RFC 6454 §6.2).
func IsOrigin(s string) bool {
	u, err := url.Parse(s)
	usual := map[string]string{"https": "443", "http": "80"}
	return err == nil && usual[u.Scheme] != "" && u.Host != "" && u.Port() != usual[u.Scheme] && s == u.Scheme+"://"+strings.ToLower(u.Host)
}

// Address quotes a URL for an error, with scheme and host alone: anywhere else, a password may stand in it or a key,
// and where there is an @ in what is taken for the host as well.
func Address(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return `""`
	case err != nil || u.Host == "":
		return `"…"`
	case strings.Contains(address, "@"):
		return fmt.Sprintf("%q", u.Scheme+"://…")
	}
	known := u.Scheme + "://" + u.Host
	if len(address) > len(known) {
		known += "/…"
	}
	return fmt.Sprintf("%q", known)
}
