package dpop_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// The target that TestMatches compares with, as Origins.Target would give it.
const accounts = "https://api.example.com/accounts/~me"

func TestMatches(t *testing.T) {
	for _, c := range []struct{ name, htu, target string }{
		{"RS-015 the same", accounts, accounts},
		{"RS-016 query", accounts + "?a=b", accounts},
		{"RS-016 fragment", accounts + "#a", accounts},
		{"RS-016 query and fragment", accounts + "?a#b", accounts},
		{"RS-016 query with slashes and dots", accounts + "?next=/../x", accounts},
		{"RS-016 empty query after an empty path", "https://api.example.com?", "https://api.example.com/"},
		{"RS-016 fragment after an empty path", "https://api.example.com#/x", "https://api.example.com/"},
		{"RS-017 scheme case", "HTTPS://api.example.com/accounts/~me", accounts},
		{"RS-017 host case", "https://API.Example.com/accounts/~me", accounts},
		{"RS-017 unreserved character escaped", "https://api.example.com/accounts/%7Eme", accounts},
		{"RS-017 unreserved character escaped in lower case", "https://api.example.com/%61ccounts/%7eme", accounts},
		{"RS-017 escape in lower case", "https://api.example.com/a%2fb", "https://api.example.com/a%2Fb"},
		{"RS-017 dot segments", "https://api.example.com/x/../accounts/./~me", accounts},
		{"RS-017 escaped dot segments", "https://api.example.com/x/%2e%2E/accounts/%2e/~me", accounts},
		{"RS-017 dot segments above the root", "https://api.example.com/../../accounts/~me", accounts},
		{"RS-018 default port of https", "https://api.example.com:443/accounts/~me", accounts},
		{"RS-018 default port of http", "http://api.example.com:80/", "http://api.example.com/"},
		{"RS-018 default port with zeros", "https://api.example.com:00443/accounts/~me", accounts},
		{"RS-018 empty port", "https://api.example.com:/accounts/~me", accounts},
		{"RS-018 empty path", "https://api.example.com", "https://api.example.com/"},
		{"raw | and ^ match their escapes", "https://api.example.com/a|b^c", "https://api.example.com/a%7Cb%5Ec"},
		{"escaped ' and ! match raw ones", "https://api.example.com/%27%21", "https://api.example.com/'!"},
		{"raw \" < > \\ and ` match their escapes", "https://api.example.com/\"<>\\`", "https://api.example.com/%22%3C%3E%5C%60"},
		{"raw UTF-8 matches its escape", "https://api.example.com/é", "https://api.example.com/%C3%A9"},
		{"IPv6, other spelling", "https://[2001:DB8:0:0::1]:8443/", "https://[2001:db8::1]:8443/"},
		{"IPv6 default port", "https://[::1]:443/", "https://[::1]/"},
		{"escaped slash beside ^", "https://api.example.com/a%2Fb^", "https://api.example.com/a%2Fb%5E"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !dpop.Matches(c.htu, c.target) {
				got, err := dpop.NormalURI(c.htu)
				t.Errorf("%q does not match %q: normal form %q, %v", c.htu, c.target, got, err)
			}
		})
	}
}

func TestMatchesNot(t *testing.T) {
	const target = "https://api.example.com/a/b"
	for _, c := range []struct{ name, htu, target string }{
		{"RS-015 other path", "https://api.example.com/a/c", target},
		{"RS-015 longer path", "https://api.example.com/a/b/c", target},
		{"RS-015 shorter path", "https://api.example.com/a", target},
		{"RS-015 other host", "https://api.example.org/a/b", target},
		{"RS-015 host that begins alike", "https://api.example.com.evil.example/a/b", target},
		{"RS-015 other port", "https://api.example.com:8443/a/b", target},
		{"RS-015 port of the other scheme", "https://api.example.com:80/a/b", target},
		{"RS-015 port that continues the digits", "https://api.example.com:4430/a/b", target},
		{"RS-015 other scheme", "http://api.example.com/a/b", target},
		{"RS-015 unknown scheme", "ftp://api.example.com/a/b", target},
		{"RS-015 scheme with a long s", "httpſ://api.example.com/a/b", target},
		{"RS-015 relative", "/a/b", target},
		{"RS-015 without a scheme", "//api.example.com/a/b", target},
		{"RS-015 one slash", "https:/api.example.com/a/b", target},
		{"RS-015 empty", "", target},
		{"RS-015 white space before", " https://api.example.com/a/b", target},
		{"RS-015 white space after", "https://api.example.com/a/b ", target},
		{"RS-015 white space inside", "https://api.example.com/a /b", target},
		{"RS-015 line break", "https://api.example.com/a\n/b", target},
		{"RS-015 raw space and its escape", "https://api.example.com/a /b", "https://api.example.com/a%20/b"},
		{"RS-015 raw DEL and its escape", "https://api.example.com/a\x7f/b", "https://api.example.com/a%7F/b"},
		{"RS-015 raw NUL and its escape", "https://api.example.com/a\x00/b", "https://api.example.com/a%00/b"},
		{"RS-015 tab", "https://api.example.com/a\t/b", target},
		{"RS-015 NUL", "https://api.example.com/a\x00/b", target},
		{"RS-015 DEL", "https://api.example.com/a\x7f/b", target},
		{"RS-015 user information", "https://user@api.example.com/a/b", target},
		{"RS-015 user information and password", "https://user:pw@api.example.com/a/b", target},
		{"RS-015 host as user information", "https://api.example.com@evil.example/a/b", target},
		{"RS-015 backslash for a slash", `https://api.example.com\a\b`, target},
		{"RS-015 escaped host", "https://%61pi.example.com/a/b", target},
		{"RS-015 trailing dot of the host", "https://api.example.com./a/b", target},
		{"RS-015 Kelvin sign for k", "https://\u212Aey.example.com/", "https://key.example.com/"},
		{"RS-015 dotted capital I for i", "https://ap\u0130.example.com/a/b", target},
		{"RS-015 empty host", "https:///a/b", target},
		{"RS-015 port 0", "https://api.example.com:0/a/b", target},
		{"RS-015 port 00000", "https://api.example.com:00000/a/b", target},
		{"RS-015 port above 65535", "https://api.example.com:65979/a/b", target}, // 443 modulo 2^16
		{"RS-015 signed port", "https://api.example.com:+443/a/b", target},
		{"RS-015 port not a number", "https://api.example.com:https/a/b", target},
		{"RS-015 two ports", "https://api.example.com:443:443/a/b", target},
		{"RS-015 IPv6 without brackets", "https://::1/", "https://[::1]/"},
		{"RS-015 IPv6 with a zone", "https://[::1%25eth0]/", "https://[::1]/"},
		{"RS-015 IPv6 with a raw zone", "https://[::1%eth0]/", "https://[::1]/"},
		{"RS-015 IPv6 not closed", "https://[::1/", "https://[::1]/"},
		{"RS-015 IPv6 not closed, with a port", "https://[::1:443/", "https://[::1]/"},
		{"RS-015 IPv6 with a tail and a port", "https://[::1]x:443/", "https://[::1]/"},
		{"RS-015 IPv6 with a tail", "https://[::1]x/", "https://[::1]/"},
		{"RS-015 IPv4 in brackets", "https://[127.0.0.1]/", "https://127.0.0.1/"},
		{"RS-015 IPv4-mapped IPv6", "https://[::ffff:127.0.0.1]/", "https://127.0.0.1/"},
		{"RS-015 broken escape", "https://api.example.com/a/b%", target},
		{"RS-015 broken escape of one digit", "https://api.example.com/a/b%2", target},
		{"RS-015 escape with another letter", "https://api.example.com/a/b%g1", target},
		{"RS-019 path case", "https://api.example.com/A/b", target},
		{"RS-019 trailing slash", "https://api.example.com/a/b/", target},
		{"RS-019 trailing dot segment keeps the slash", "https://api.example.com/a/b/.", target},
		{"RS-019 escaped slash", "https://api.example.com/a%2Fb", target},
		{"RS-019 empty segment", "https://api.example.com/a//b", target},
		{"RS-019 empty first segment", "https://api.example.com//a/b", target},
		{"RS-019 parameter", "https://api.example.com/a/b;x", target},
		{"RS-019 escaped semicolon", "https://api.example.com/a%3Bb", "https://api.example.com/a;b"},
		{"RS-019 double encoding of a letter", "https://api.example.com/%2561/b", target},
		{"RS-019 double encoding", "https://api.example.com/a%252Fb", "https://api.example.com/a%2Fb"},
		{"RS-019 escaped question mark", "https://api.example.com/a/b%3F", target},
		{"RS-019 escaped number sign", "https://api.example.com/a/b%23", target},
		{"RS-019 escaped plus", "https://api.example.com/a%2Bb", "https://api.example.com/a+b"},
		{"RS-019 plus and space", "https://api.example.com/a+b", "https://api.example.com/a%20b"},
		{"RS-019 backslash and slash", `https://api.example.com/a\b`, target},
		{"RS-019 NFC and NFD", "https://api.example.com/e\u0301", "https://api.example.com/%C3%A9"},
		{"RS-019 overlong dot", "https://api.example.com/x/%C0%AE%C0%AE/a/b", target},
	} {
		t.Run(c.name, func(t *testing.T) {
			if dpop.Matches(c.htu, c.target) {
				t.Errorf("%q matches %q", c.htu, c.target)
			}
		})
	}
}

// TestDotSegments compares with the algorithm of RFC 3986 §5.2.4, written out as the RFC has it.
func TestDotSegments(t *testing.T) {
	var try func(path string, depth int)
	try = func(path string, depth int) {
		got, err := dpop.NormalURI("https://h" + path)
		if want := "https://h" + rfc3986RemoveDots(path); err != nil || got != want {
			t.Errorf("%q becomes %q, %v; want %q", path, got, err, want)
		}
		if depth == 0 {
			return
		}
		for _, segment := range []string{"", ".", "..", "...", ".a", "a"} {
			try(path+"/"+segment, depth-1)
		}
	}
	for _, first := range []string{"/", "/.", "/..", "/a", "/.a"} {
		try(first, 4)
	}
}

func rfc3986RemoveDots(in string) string {
	out := ""
	for in != "" {
		switch {
		case strings.HasPrefix(in, "/./"):
			in = in[2:]
		case in == "/.":
			in = "/"
		case strings.HasPrefix(in, "/../"):
			in, out = in[3:], out[:max(0, strings.LastIndexByte(out, '/'))]
		case in == "/..":
			in, out = "/", out[:max(0, strings.LastIndexByte(out, '/'))]
		default:
			end := strings.IndexByte(in[1:], '/') + 1
			if end == 0 {
				end = len(in)
			}
			in, out = in[end:], out+in[:end]
		}
	}
	return out
}

// FuzzParseURI checks that the normal form is one, and that nothing but what RFC 3986 calls equivalent enters it.
func FuzzParseURI(f *testing.F) {
	vectors := poptest.Vectors().RFC9449.Proofs
	if len(vectors) == 0 {
		f.Fatal("no seeds: the RFC vectors are gone")
	}
	for _, v := range vectors {
		f.Add(v.Claims.HTU)
		f.Add(v.Request.URI)
	}
	for _, s := range []string{
		"HTTPS://[2001:DB8::1]:0443/%7e/../a%2fb^|'!;x=1//c?d#e", "http://h:0", "http://h/%2e%2E/.", "http://h\\@x/",
		"https://\u212A/", "https://h/%25%32%46", "https://h/%00%80é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		normal, err := dpop.NormalURI(s)
		if err != nil {
			if dpop.Matches(s, "https://api.example.com/") {
				t.Errorf("%q is no URI, yet it matches", s)
			}
			return
		}
		if again, err := dpop.NormalURI(normal); err != nil || again != normal {
			t.Errorf("%q: normal form %q becomes %q, %v", s, normal, again, err)
		}
		if !dpop.Matches(s, normal) || !dpop.Matches(normal, normal) {
			t.Errorf("%q does not match its normal form %q", s, normal)
		}
		u, err := url.Parse(normal)
		if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Host != strings.ToLower(u.Host) {
			t.Fatalf("%q: normal form %q reads as %#v, %v", s, normal, u, err)
		}
		raw := s[strings.Index(s, "://")+3:]
		authority := raw[:len(raw)-len(strings.TrimLeft(raw, "[]:.-_0123456789"+letters))]
		path, _, _ := strings.Cut(raw[len(authority):], "?")
		path, _, _ = strings.Cut(path, "#")
		if path == "" {
			path = "/"
		}
		if got, want := resource(u.EscapedPath()), rfc3986RemoveDots(resource(path)); got != want {
			t.Errorf("%q: the normal form names %q instead of %q", s, got, want)
		}
	})
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// resource tells apart what must stay apart: escapes of reserved characters are kept, all others undone.
func resource(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			high := strings.IndexByte(hex, strings.ToUpper(path[i+1 : i+2])[0])
			low := strings.IndexByte(hex, strings.ToUpper(path[i+2 : i+3])[0])
			if c := byte(high<<4 | low); strings.IndexByte("/:@$&+,;=%?#", c) >= 0 {
				b.WriteString(strings.ToUpper(path[i : i+3]))
			} else {
				b.WriteByte(c)
			}
			i += 2
			continue
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

func BenchmarkMatches(b *testing.B) {
	for name, htu := range map[string]string{
		"equal":      accounts,
		"query":      accounts + "?a=b",
		"normalised": "HTTPS://API.example.com:443/x/../accounts/%7Eme",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !dpop.Matches(htu, accounts) {
					b.Fatal("no match")
				}
			}
		})
	}
}

// What is no escape is no path, and every character of a name is one in a host.
func TestEscapesAndHostsAtTheEdges(t *testing.T) {
	for escape, want := range map[string]string{
		"%30": "0", "%39": "9", "%4a": "J", "%4A": "J", "%4f": "O", "%4F": "O", "%af": "%AF", "%AF": "%AF", "%00": "%00",
		"%/0": "", "%0/": "", "%:0": "", "%0:": "", "%@0": "", "%0@": "", "%G0": "", "%0G": "", "%`0": "", "%0`": "", "%g0": "", "%0g": "",
		"%": "", "%4": "", "%4g": "",
	} {
		got, err := dpop.NormalURI("https://api.example.com/" + escape)
		if want == "" && err == nil || want != "" && (err != nil || got != "https://api.example.com/"+want) {
			t.Errorf("%s: got %q, %v; want %q", escape, got, err, want)
		}
	}
	for _, host := range []string{"az09-AZ_.example", "_", "a_b.example.com"} {
		if got, err := dpop.NormalURI("https://" + host); err != nil || got != "https://"+strings.ToLower(host)+"/" {
			t.Errorf("%s: got %q, %v", host, got, err)
		}
	}
	for _, host := range []string{"a/b", "a:b", "a@b", "a[b", "a`b", "a{b", "a~b", "a!b"} {
		if got, err := dpop.NormalURI("https://" + host + ".example"); err == nil && !strings.Contains(host, "/") {
			t.Errorf("%s: got %q", host, got)
		}
	}
}
