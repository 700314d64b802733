package access_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/reason"
)

// from puts the address of the peer and of X-Forwarded-For on a request.
func from(r *http.Request, peer string, forwarded ...string) *http.Request {
	r.RemoteAddr = peer
	r.Header["X-Forwarded-For"] = forwarded
	return r
}

func proxies(t *testing.T) access.AddressSource {
	t.Helper()
	source, err := access.ForwardedAddress(access.Peers{Addresses: []string{"10.1.0.0/16", "fd00::/8"}})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestAddressSources(t *testing.T) {
	for name, test := range map[string]struct {
		peer      string
		forwarded []string
		direct    string // by PeerAddress
		proxied   string // by ForwardedAddress; empty: refused
	}{
		"direct":                            {"192.0.2.1:5", nil, "192.0.2.1", "192.0.2.1"},
		"direct, IPv6":                      {"[2001:db8::1]:5", nil, "2001:db8::1", "2001:db8::1"},
		"IPv4 as IPv6":                      {"[::ffff:192.0.2.1]:5", nil, "192.0.2.1", "192.0.2.1"},
		"a zone":                            {"[fe80::1%eth0]:5", nil, "fe80::1", "fe80::1"},
		"direct, with a field of its own":   {"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1", "192.0.2.1"},
		"by a proxy":                        {"10.1.2.3:5", []string{"198.51.100.1"}, "10.1.2.3", "198.51.100.1"},
		"by a proxy as IPv6":                {"[::ffff:10.1.2.3]:5", []string{"198.51.100.1"}, "10.1.2.3", "198.51.100.1"},
		"by two proxies":                    {"10.1.2.3:5", []string{"198.51.100.1, 10.1.9.9"}, "10.1.2.3", "198.51.100.1"},
		"by two, in two fields":             {"[fd00::1]:5", []string{"198.51.100.1", "10.1.9.9"}, "fd00::1", "198.51.100.1"},
		"what the client made up":           {"10.1.2.3:5", []string{"203.0.113.9, 198.51.100.1"}, "10.1.2.3", "198.51.100.1"},
		"what it made up is no address":     {"10.1.2.3:5", []string{"x, 198.51.100.1"}, "10.1.2.3", "198.51.100.1"},
		"a proxy's address that it made up": {"10.1.2.3:5", []string{"10.1.9.9, 198.51.100.1"}, "10.1.2.3", "198.51.100.1"},
		"with a port":                       {"10.1.2.3:5", []string{"198.51.100.1:44"}, "10.1.2.3", "198.51.100.1"},
		"with a port, IPv6":                 {"10.1.2.3:5", []string{"[2001:db8::1]:44"}, "10.1.2.3", "2001:db8::1"},
		"the proxy itself":                  {"10.1.2.3:5", nil, "10.1.2.3", "10.1.2.3"},
		"an empty field":                    {"10.1.2.3:5", []string{""}, "10.1.2.3", "10.1.2.3"},
		"only proxies":                      {"10.1.2.3:5", []string{"10.1.4.4,10.1.9.9"}, "10.1.2.3", "10.1.4.4"},
		"no address where it counts":        {"10.1.2.3:5", []string{"198.51.100.1, unknown"}, "10.1.2.3", ""},
		"nothing where it counts":           {"10.1.2.3:5", []string{"198.51.100.1,"}, "10.1.2.3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := from(get("", ""), test.peer, test.forwarded...)
			if got, err := access.PeerAddress(r); err != nil || got.String() != test.direct {
				t.Errorf("the peer is %v, %v; want %s", got, err, test.direct)
			}
			got, err := proxies(t)(r)
			if test.proxied == "" {
				if reason.Of(err) != "address_mismatch" {
					t.Errorf("got %v, %v", got, err)
				}
			} else if err != nil || got.String() != test.proxied {
				t.Errorf("the client is %v, %v; want %s", got, err, test.proxied)
			}
		})
	}
}

func TestForwardedAddressSettings(t *testing.T) {
	for name, test := range map[string]struct {
		peers access.Peers
		want  string
	}{
		"none":            {access.Peers{}, "no proxies: list the addresses of yours"},
		"everybody":       {access.Peers{Addresses: []string{"10.0.0.0/8", "0.0.0.0/0"}}, "proxies.Addresses[1] is \"0.0.0.0/0\": it holds every address"},
		"everybody, IPv6": {access.Peers{Addresses: []string{"::/0"}}, "it holds every address; list those of your proxies"},
		"IPv4 as IPv6":    {access.Peers{Addresses: []string{"::ffff:10.0.0.0/104"}}, "give an IPv4 range"},
		"an empty one":    {access.Peers{Addresses: []string{""}}, "give an address range"},
	} {
		source, err := access.ForwardedAddress(test.peers)
		if source != nil || err == nil || !strings.HasPrefix(err.Error(), "access.ForwardedAddress: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompareAddress(t *testing.T) {
	mismatch := refusal{401, "invalid_token", "address_mismatch"}
	missing := refusal{401, "invalid_token", "token_claim_missing"}
	for name, test := range map[string]struct {
		claim  any
		remote string
		want   refusal
	}{
		"its address":             {"192.0.2.1", "192.0.2.1:5", refusal{}},
		"its address as IPv6":     {"::ffff:192.0.2.1", "192.0.2.1:5", refusal{}},
		"its address, IPv6":       {"2001:0db8::0001", "[2001:db8::1]:5", refusal{}},
		"its network":             {"2001:db8::/64", "[2001:db8::abcd]:5", refusal{}},
		"another":                 {"192.0.2.1", "192.0.2.2:5", mismatch},
		"another network":         {"2001:db8::/64", "[2001:db8:0:1::1]:5", mismatch},
		"a mapped network":        {"::ffff:192.0.2.0/120", "192.0.2.1:5", missing},
		"no claim":                {nil, "192.0.2.1:5", missing},
		"a claim of another kind": {7, "192.0.2.1:5", missing},
		"a claim that is no IP":   {"everywhere", "192.0.2.1:5", missing},
		"an empty claim":          {"", "192.0.2.1:5", missing},
		"a connection without":    {"192.0.2.1", "@", refusal{503, "", "policy_failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				policy, err := access.CompareAddress("ip", nil)
				if err != nil {
					t.Fatal(err)
				}
				s.Policies = []access.Policy{policy}
			})
			_, err := s.Check(from(owner(bound(claim("ip", test.claim))), test.remote))
			if test.want == (refusal{}) {
				if err != nil {
					t.Error(err)
				}
				return
			}
			expect(t, err, test.want)
		})
	}
	t.Run("behind a proxy", func(t *testing.T) {
		s := newGuard(t, func(s *setup) {
			policy, err := access.CompareAddress("ip", proxies(t))
			if err != nil {
				t.Fatal(err)
			}
			s.Policies = []access.Policy{policy}
		})
		token := bound(claim("ip", "198.51.100.1"))
		if _, err := s.Check(from(owner(token), "10.1.2.3:5", "198.51.100.1")); err != nil {
			t.Error(err)
		}
		_, err := s.Check(from(owner(token), "192.0.2.1:5", "198.51.100.1"))
		expect(t, err, mismatch)
		_, err = s.Check(from(owner(token), "10.1.2.3:5", "here"))
		expect(t, err, mismatch)
	})
	if _, err := access.CompareAddress("", nil); err == nil || !strings.Contains(err.Error(), "claim is empty") {
		t.Errorf("got %v", err)
	}
}

func FuzzForwardedAddress(f *testing.F) {
	for _, field := range []string{"198.51.100.1", "198.51.100.1, 10.1.9.9", "[2001:db8::1]:44", "unknown", "", ",", "::ffff:10.1.0.1"} {
		f.Add(field)
	}
	source, err := access.ForwardedAddress(access.Peers{Addresses: []string{"10.1.0.0/16"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, field string) {
		// A proxy that adds the client's address to whatever the client sent is always believed.
		for _, fields := range [][]string{{field, clientAddress}, {field + "," + clientAddress}} {
			got, err := source(from(get("", ""), "10.1.2.3:5", fields...))
			if err != nil || got.String() != clientAddress {
				t.Errorf("%q: %v, %v", fields, got, err)
			}
		}
		if got, err := source(from(get("", ""), "10.1.2.3:5", field)); err == nil && (!got.IsValid() || got.Is4In6() || got.Zone() != "") {
			t.Errorf("%q: %v", field, got)
		}
	})
}

const clientAddress = "198.51.100.7"
