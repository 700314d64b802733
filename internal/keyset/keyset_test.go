package keyset_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/reason"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// open makes a set that is closed with the test.
func open(t testing.TB, c keyset.Config) *keyset.Set {
	t.Helper()
	if c.Log == nil {
		c.Log = quiet
	}
	s, err := keyset.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// jwk is a key's public JWK with changes; a nil value removes a member.
func jwk(k *poptest.Key, changes map[string]any) map[string]any {
	m := k.JWK()
	for name, v := range changes {
		if v == nil {
			delete(m, name)
		} else {
			m[name] = v
		}
	}
	return m
}

func jwks(t testing.TB, keys ...any) []byte {
	t.Helper()
	if keys == nil {
		keys = []any{}
	}
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// thumbprints of keys, sorted.
func thumbprints[K interface{ Thumbprint() string }](keys ...K) []string {
	list := []string{}
	for _, k := range keys {
		list = append(list, k.Thumbprint())
	}
	slices.Sort(list)
	return list
}

// found asks for keys and compares them.
func found(t testing.TB, s *keyset.Set, kid, alg string, want ...*poptest.Key) []*keyset.Key {
	t.Helper()
	keys, err := s.Keys(t.Context(), kid, alg)
	if err != nil {
		t.Fatalf("Keys(%q, %s): %v", kid, alg, err)
	}
	if got, want := thumbprints(keys...), thumbprints(want...); !slices.Equal(got, want) {
		t.Fatalf("Keys(%q, %s): thumbprints %v, want %v", kid, alg, got, want)
	}
	return keys
}

// refused asks for keys and wants every one of these causes.
func refused(t testing.TB, s *keyset.Set, kid, alg string, want ...error) {
	t.Helper()
	keys, err := s.Keys(t.Context(), kid, alg)
	if len(keys) > 0 {
		t.Fatalf("Keys(%q, %s) gave keys along with %v", kid, alg, err)
	}
	for _, cause := range want {
		if !errors.Is(err, cause) {
			t.Fatalf("Keys(%q, %s): %v, want %v", kid, alg, err, cause)
		}
	}
	if slices.Contains(want, error(keyset.ErrUnknownKey)) && errors.Is(err, keyset.ErrUnavailable) {
		t.Fatalf("Keys(%q, %s): %v, want the client's fault", kid, alg, err)
	}
}

// logged collects log lines; safe for concurrent use.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestSettings(t *testing.T) {
	static := poptest.JWKS(map[string]*poptest.Key{"k1": poptest.IssuerKey()})
	for _, c := range []struct {
		name   string
		config keyset.Config
		want   string // in the error; empty: accepted
	}{
		{"issuer", keyset.Config{Issuer: "https://login.example.com"}, ""},
		{"issuer with port, path and trailing slash", keyset.Config{Issuer: "https://login.example.com:8443/a/"}, ""},
		{"upper-case scheme", keyset.Config{Issuer: "HTTPS://login.example.com"}, ""},
		{"JWKS URL with a query", keyset.Config{JWKSURL: "https://login.example.com/keys?tenant=a"}, ""},
		{"issuer that is no URL beside a JWKS URL", keyset.Config{Issuer: "login", JWKSURL: "https://a.example/keys"}, ""},
		{"issuer that is no URL beside a static set", keyset.Config{Issuer: "login", JWKS: static}, ""},
		{"http on 127.0.0.1", keyset.Config{Issuer: "http://127.0.0.1:8080"}, ""},
		{"http on 127.200.0.9", keyset.Config{JWKSURL: "http://127.200.0.9/keys"}, ""},
		{"http on ::1", keyset.Config{JWKSURL: "http://[::1]:8080/keys"}, ""},
		{"http on localhost", keyset.Config{JWKSURL: "http://Localhost:8080/keys"}, ""},
		{"http allowed", keyset.Config{Issuer: "http://login.internal", InsecureAllowHTTP: true}, ""},
		{"equal refresh and cooldown", keyset.Config{JWKSURL: "https://a.example/k", Refresh: 1, Cooldown: 1}, ""},
		{"refresh shorter than the default cooldown", keyset.Config{JWKSURL: "https://a.example/k", Refresh: 1}, ""},

		{"nothing", keyset.Config{}, "issuer identifier: not an absolute URL"},
		{"relative issuer", keyset.Config{Issuer: "/login"}, "issuer identifier: not an absolute URL"},
		{"host alone", keyset.Config{Issuer: "login.example.com"}, "issuer identifier: not an absolute URL"},
		{"no host", keyset.Config{Issuer: "https://:443/"}, "issuer identifier: not an absolute URL"},
		{"opaque", keyset.Config{Issuer: "https:login.example.com"}, "issuer identifier: not an absolute URL"},
		{"not a URL", keyset.Config{Issuer: "https://%zz"}, "issuer identifier: not an absolute URL"},
		{"issuer with a query", keyset.Config{Issuer: "https://login.example.com?a=b"}, "issuer identifier: a query"},
		{"issuer with an empty query", keyset.Config{Issuer: "https://login.example.com?"}, "issuer identifier: a query"},
		{"issuer with an empty fragment", keyset.Config{Issuer: "https://a.example#"}, "issuer identifier: not an absolute URL without"},
		{"fragment", keyset.Config{JWKSURL: "https://a.example/keys#a"}, "JWKSURL: not an absolute URL without"},
		{"user name", keyset.Config{JWKSURL: "https://user:hidden@a.example/keys"}, "JWKSURL: a user name"},
		{"http", keyset.Config{Issuer: "http://login.example.com"}, "issuer identifier: http to a host that is not this machine"},
		{"http to a host named like an address", keyset.Config{JWKSURL: "http://127.0.0.1.example.com/"}, "JWKSURL: http to"},
		{"http to a host named like localhost", keyset.Config{JWKSURL: "http://localhost.example.com/"}, "JWKSURL: http to"},
		{"http to the unspecified address", keyset.Config{JWKSURL: "http://0.0.0.0/"}, "JWKSURL: http to"},
		{"file", keyset.Config{JWKSURL: "file://host/keys"}, "JWKSURL: a scheme other than https"},
		{"ftp although http is allowed", keyset.Config{JWKSURL: "ftp://host/keys", InsecureAllowHTTP: true}, "JWKSURL: a scheme"},
		{"two sources", keyset.Config{JWKSURL: "https://a.example/keys", JWKS: static}, "JWKSURL and JWKS"},
		{"static set that is empty", keyset.Config{JWKS: []byte{}}, "JWKS: "},
		{"static set without a usable key", keyset.Config{JWKS: []byte(`{"keys":[]}`)}, "JWKS: "},
		{"negative refresh", keyset.Config{JWKS: static, Refresh: -1}, "Refresh -1ns"},
		{"negative cooldown", keyset.Config{JWKS: static, Cooldown: -1}, "Cooldown -1ns"},
		{"cooldown above refresh", keyset.Config{JWKS: static, Refresh: 1, Cooldown: 2}, "Cooldown 2ns"},
		{"RSA bound below the least size", keyset.Config{JWKS: static, MaxRSABits: 1024}, "MaxRSABits 1024"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Log = quiet
			s, err := keyset.New(c.config)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				return
			}
			if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Fatalf("a password in %q", err)
			}
		})
	}
}

func TestKeysByHeader(t *testing.T) {
	names := map[string]*poptest.Key{}
	for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "EdDSA"} {
		names[alg] = poptest.Keyed(alg, "keyset")
	}
	ec, rsa, ed := names["ES256"], names["RS256"], names["EdDSA"]
	other := poptest.Keyed("ES256", "keyset-other")
	set := func(keys ...any) []byte { return jwks(t, keys...) }
	many := func(n int, kid string) []byte {
		var keys []any
		for i := range n {
			keys = append(keys, jwk(poptest.Keyed("ES256", "keyset-"+string(rune('a'+i))), map[string]any{"kid": kid}))
		}
		return jwks(t, keys...)
	}
	twice := set(jwk(rsa, map[string]any{"kid": "k", "alg": "RS256"}), jwk(rsa, map[string]any{"kid": "k", "alg": "PS256"}))
	zeroed := func(k *poptest.Key) string {
		n, err := base64.RawURLEncoding.DecodeString(k.JWK()["n"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return base64.URLEncoding.EncodeToString(append([]byte{0}, n...))
	}
	four := []*poptest.Key{
		poptest.Keyed("ES256", "keyset-a"), poptest.Keyed("ES256", "keyset-b"),
		poptest.Keyed("ES256", "keyset-c"), poptest.Keyed("ES256", "keyset-d"),
	}
	for _, c := range []struct {
		name     string
		set      []byte
		kid, alg string
		want     []*poptest.Key
		err      error
	}{
		{"ES256", poptest.JWKS(names), "ES256", "ES256", []*poptest.Key{ec}, nil},
		{"ES384", poptest.JWKS(names), "ES384", "ES384", []*poptest.Key{names["ES384"]}, nil},
		{"ES512", poptest.JWKS(names), "ES512", "ES512", []*poptest.Key{names["ES512"]}, nil},
		{"RS256", poptest.JWKS(names), "RS256", "RS256", []*poptest.Key{rsa}, nil},
		{"EdDSA", poptest.JWKS(names), "EdDSA", "EdDSA", []*poptest.Key{ed}, nil},
		{"Ed25519 under a key marked EdDSA", poptest.JWKS(names), "EdDSA", "Ed25519", []*poptest.Key{ed}, nil},
		{"RSA key without alg, PS256", set(jwk(rsa, map[string]any{"kid": "r"})), "r", "PS256", []*poptest.Key{rsa}, nil},
		{"no kid in the header", poptest.JWKS(names), "", "ES256", []*poptest.Key{ec}, nil},
		{"no kid in header or set", set(jwk(ec, nil), jwk(rsa, nil)), "", "RS256", []*poptest.Key{rsa}, nil},
		{"empty kid in the set", set(jwk(ec, map[string]any{"kid": ""})), "", "ES256", []*poptest.Key{ec}, nil},
		{"one kid, two keys of one kind", set(jwk(ec, map[string]any{"kid": "k"}), jwk(other, map[string]any{"kid": "k"})),
			"k", "ES256", []*poptest.Key{ec, other}, nil},
		{"one kid, keys of two kinds", set(jwk(ec, map[string]any{"kid": "k"}), jwk(rsa, map[string]any{"kid": "k"})),
			"k", "RS256", []*poptest.Key{rsa}, nil},
		{"one key listed twice", set(jwk(ec, map[string]any{"kid": "k"}), jwk(ec, map[string]any{"kid": "k"})),
			"k", "ES256", []*poptest.Key{ec}, nil},
		{"four keys without kid", many(4, ""), "", "ES256", four, nil},
		{"four keys of one kid", many(4, "k"), "k", "ES256", four, nil},

		{"one key under one kid for two algorithms, the first", twice, "k", "RS256", []*poptest.Key{rsa}, nil},
		{"one key under one kid for two algorithms, the second", twice, "k", "PS256", []*poptest.Key{rsa}, nil},
		{"one key for two algorithms, without a kid", twice, "", "PS256", []*poptest.Key{rsa}, nil},
		{"one key for one algorithm and for all", set(jwk(rsa, map[string]any{"kid": "k", "alg": "RS256"}), jwk(rsa, map[string]any{"kid": "k"})),
			"k", "RS256", []*poptest.Key{rsa}, nil},
		{"kid null in the set", set(jwk(ec, map[string]any{"kid": json.RawMessage("null")})), "", "ES256", []*poptest.Key{ec}, nil},
		{"kid an empty array in the set", set(jwk(ec, map[string]any{"kid": []string{}})), "", "ES256", []*poptest.Key{ec}, nil},
		{"RSA key with a zero in front and padding", set(jwk(rsa, map[string]any{"kid": "k", "n": zeroed(rsa), "e": "AAEAAQ=="})),
			"k", "RS256", []*poptest.Key{rsa}, nil},

		{"one key for two algorithms, a third", twice, "k", "RS512", nil, jose.ErrKeyAlg},
		{"unknown kid", poptest.JWKS(names), "k9", "ES256", nil, keyset.ErrUnknownKey},
		{"kid in another case", poptest.JWKS(names), "es256", "ES256", nil, keyset.ErrUnknownKey},
		{"kid in the header, none in the set", set(jwk(ec, nil)), "k", "ES256", nil, keyset.ErrUnknownKey},
		{"no kid and no key of the kind", set(jwk(ec, nil)), "", "RS256", nil, keyset.ErrUnknownKey},
		{"known kid, RSA algorithm on an EC key", poptest.JWKS(names), "ES256", "RS256", nil, jose.ErrKeyAlg},
		{"known kid, HS256", poptest.JWKS(names), "RS256", "HS256", nil, jose.ErrKeyAlg},
		{"known kid, none", poptest.JWKS(names), "ES256", "none", nil, jose.ErrKeyAlg},
		{"known kid, PS256 on a key marked RS256", poptest.JWKS(names), "RS256", "PS256", nil, jose.ErrKeyAlg},
		{"known kid, ES384 on P-256", set(jwk(ec, map[string]any{"kid": "k"})), "k", "ES384", nil, jose.ErrKeyAlg},
		{"five keys without kid", many(5, ""), "", "ES256", nil, keyset.ErrAmbiguous},
		{"five keys of one kid", many(5, "k"), "k", "ES256", nil, keyset.ErrAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, keyset.Config{JWKS: c.set})
			if c.err != nil {
				refused(t, s, c.kid, c.alg, c.err)
				return
			}
			found(t, s, c.kid, c.alg, c.want...)
		})
	}
}

// A JWS verifies under each key that its header permits, and under no other.
func TestVerify(t *testing.T) {
	k, other, third := poptest.IssuerKey(), poptest.Keyed("ES256", "other"), poptest.Keyed("ES384", "third")
	s := open(t, keyset.Config{JWKS: jwks(t,
		jwk(other, map[string]any{"kid": "other"}), jwk(k, map[string]any{"kid": "issuer"}), jwk(third, map[string]any{"kid": "third"}))})
	c, err := jose.Split(poptest.Compact(`{"alg":"ES256"}`, `{}`, k))
	if err != nil {
		t.Fatal(err)
	}
	forged := c
	forged.Input += "0"
	for _, test := range []struct {
		name     string
		kid, alg string
		compact  jose.Compact
		want     error
	}{
		{"by its kid", "issuer", "ES256", c, nil},
		{"without a kid, the second of two", "", "ES256", c, nil},
		{"kid of another key", "other", "ES256", c, jose.ErrSignature},
		{"alg of another key", "issuer", "ES384", c, jose.ErrKeyAlg},
		{"altered", "issuer", "ES256", forged, jose.ErrSignature},
		{"altered, without a kid", "", "ES256", forged, jose.ErrSignature},
		{"kid of nobody", "nobody", "ES256", c, keyset.ErrUnknownKey},
		{"alg none", "issuer", "none", c, jose.ErrKeyAlg},
		{"alg none, without a kid", "", "none", c, keyset.ErrUnknownKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := s.Verify(t.Context(), jose.Header{KeyID: test.kid, Algorithm: test.alg}, test.compact)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if (err == nil) != (key != nil) || key != nil && (key.Thumbprint() != k.Thumbprint() || key.ID != "issuer") {
				t.Errorf("verified under %v", key)
			}
		})
	}
}

// The first P-256 keys of a set get tables when it is adopted, if that is wanted, and one each however often it is listed.
func TestPrecomputedKeys(t *testing.T) {
	poptest.NeedsTables(t)
	one, two, three := poptest.IssuerKey(), poptest.Keyed("ES256", "two"), poptest.Keyed("ES256", "three")
	set := jwks(t, jwk(poptest.Keyed("ES384", "wide"), nil), jwk(one, map[string]any{"kid": "1"}),
		jwk(one, map[string]any{"kid": "1 again"}), jwk(two, map[string]any{"kid": "2"}), jwk(three, map[string]any{"kid": "3"}))
	for setting, want := range map[int]int{0: 0, 2: 2, 10: 3} {
		s := open(t, keyset.Config{JWKS: set, PrecomputedKeys: setting, PrecomputedRecheck: 1})
		if held, built := s.Precomputed(); held != want || built != uint64(want) {
			t.Errorf("PrecomputedKeys %d: %d held and %d made, want %d", setting, held, built, want)
		}
		for _, k := range []*poptest.Key{one, two, three} {
			c, err := jose.Split(poptest.Compact(`{"alg":"ES256"}`, `{}`, k))
			if err != nil {
				t.Fatal(err)
			}
			if key, err := s.Verify(t.Context(), jose.Header{Algorithm: "ES256"}, c); err != nil || key.Thumbprint() != k.Thumbprint() {
				t.Errorf("PrecomputedKeys %d: verified under %v, %v", setting, key, err)
			}
			c.Input += "0"
			if _, err := s.Verify(t.Context(), jose.Header{Algorithm: "ES256"}, c); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("PrecomputedKeys %d: altered: %v", setting, err)
			}
		}
	}
	for says, setting := range map[string]keyset.Config{
		"PrecomputedKeys is -1": {JWKS: set, PrecomputedKeys: -1}, "PrecomputedRecheck is -1": {JWKS: set, PrecomputedRecheck: -1},
	} {
		if _, err := keyset.New(setting); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// That a table is wrong ends the search: another key may not answer that the signature is bad.
func TestPrecomputedKeyThatDisagrees(t *testing.T) {
	poptest.NeedsTables(t)
	t.Cleanup(precomputed.MakeWrong())
	k, other := poptest.IssuerKey(), poptest.Keyed("ES256", "other")
	s := open(t, keyset.Config{JWKS: jwks(t, jwk(k, nil), jwk(other, nil)), PrecomputedKeys: 2})
	c, err := jose.Split(poptest.Compact(`{"alg":"ES256"}`, `{}`, k))
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Verify(t.Context(), jose.Header{Algorithm: "ES256"}, c)
	if key != nil || !errors.Is(err, precomputed.ErrDisagreement) || reason.IsRefusal(err) {
		t.Errorf("got %v, %v; want %v", key, err, precomputed.ErrDisagreement)
	}
	if key, err := s.Verify(t.Context(), jose.Header{Algorithm: "ES256"}, c); err != nil || key.Thumbprint() != k.Thumbprint() {
		t.Errorf("afterwards: %v, %v", key, err)
	}
}

// One key that is not usable costs that key alone.
func TestBadKeyBesideGoodOne(t *testing.T) {
	good, bad := poptest.IssuerKey(), poptest.Keyed("ES256", "bad")
	change := func(changes map[string]any) any {
		changes["kid"] = "bad"
		return jwk(bad, changes)
	}
	raw := func(s string) any { return json.RawMessage(s) }
	for _, c := range []struct {
		name  string
		key   any
		level string
		cause error
	}{
		{"ML-DSA", map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "kid": "bad", "pub": "AAAA"}, "INFO", jose.ErrKey},
		{"for encryption", change(map[string]any{"use": "enc"}), "INFO", jose.ErrKey},
		{"key_ops without verify", change(map[string]any{"key_ops": []string{"encrypt"}}), "INFO", jose.ErrKey},
		{"unknown curve", change(map[string]any{"crv": "secp256k1"}), "INFO", jose.ErrKey},
		{"point off the curve", change(map[string]any{"x": poptest.IssuerKey().JWK()["x"]}), "INFO", jose.ErrKey},
		{"RSA of 1024 bits", jwk(poptest.RSA("RS256", 1024), map[string]any{"kid": "bad"}), "INFO", jose.ErrKey},
		{"private", change(map[string]any{"d": "AAAA"}), "WARN", jose.ErrPrivate},
		{"symmetric", map[string]any{"kty": "oct", "k": "AAAA", "kid": "bad"}, "WARN", jose.ErrPrivate},
		{"a member twice", raw(`{"kid":"bad","kty":"EC","kty":"EC"}`), "INFO", jose.ErrJSON},
		{"kid as a number", raw(`{"kid":1,"kty":"EC"}`), "INFO", jose.ErrJSON},
		{"no object", raw(`"bad"`), "INFO", jose.ErrJSON},
		{"null", raw(`null`), "INFO", jose.ErrJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &logged{}
			s := open(t, keyset.Config{
				JWKS: jwks(t, c.key, jwk(good, map[string]any{"kid": "good"}), c.key), Log: log.logger(),
			})
			found(t, s, "good", "ES256", good)
			found(t, s, "", "ES256", good)
			refused(t, s, "bad", "ES256", keyset.ErrUnknownKey)
			sentinel := c.cause.Error()
			if log.count("level="+c.level) != 1 || log.count("keys skipped") != 1 || log.count(sentinel) == 0 {
				t.Fatalf("want one %s line with %q, got\n%s", c.level, sentinel, log.b.String())
			}
			// Alone it makes no set.
			_, err := keyset.New(keyset.Config{JWKS: jwks(t, c.key), Log: quiet})
			if !errors.Is(err, keyset.ErrSet) {
				t.Fatalf("%v, want %v", err, keyset.ErrSet)
			}
		})
	}
}

// A set of nothing but odd keys does not fill the log.
func TestManySkipped(t *testing.T) {
	keys := []any{jwk(poptest.IssuerKey(), nil)}
	for range 1000 {
		keys = append(keys, map[string]any{"kty": "AKP", "kid": strings.Repeat("pq", 1000)})
	}
	log := &logged{}
	open(t, keyset.Config{JWKS: jwks(t, keys...), Log: log.logger()})
	if log.count("count=1000") != 1 || log.count("AKP") != 8 || log.b.Len() > 4000 {
		t.Fatalf("%d octets: %s", log.b.Len(), log.b.String())
	}
}

func TestMaxRSABits(t *testing.T) {
	k := poptest.RSA("RS256", 3072)
	set := poptest.JWKS(map[string]*poptest.Key{"k": k})
	found(t, open(t, keyset.Config{JWKS: set}), "k", "RS256", k)
	if _, err := keyset.New(keyset.Config{JWKS: set, MaxRSABits: 2048, Log: quiet}); !errors.Is(err, keyset.ErrSet) {
		t.Fatalf("%v, want %v", err, keyset.ErrSet)
	}
}

func TestSetForm(t *testing.T) {
	key := string(jwks(t, jwk(poptest.IssuerKey(), nil)))
	key = strings.TrimSuffix(strings.TrimPrefix(key, `{"keys":[`), `]}`)
	for _, c := range []struct{ name, set string }{
		{"plain", `{"keys":[` + key + `]}`},
		{"white space", " \n{ \"keys\" : [ " + key + " ] }\n "},
		{"other members", `{"a":{"b":[1,{"c":1,"c":2}]},"keys":[` + key + `],"Keys":1}`},
		{"escaped name", `{"\u006beys":[` + key + `]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			found(t, open(t, keyset.Config{JWKS: []byte(c.set)}), "", "ES256", poptest.IssuerKey())
		})
	}
	for _, c := range []struct{ name, set string }{
		{"empty", ``},
		{"no JSON", `<html>`},
		{"an array", `[` + key + `]`},
		{"a key", key},
		{"null", `null`},
		{"no keys", `{}`},
		{"empty keys", `{"keys":[]}`},
		{"keys null", `{"keys":null}`},
		{"keys an object", `{"keys":` + key + `}`},
		{"keys in another case", `{"Keys":[` + key + `]}`},
		{"keys twice", `{"keys":[` + key + `],"keys":[` + key + `]}`},
		{"keys twice, once escaped", `{"keys":[` + key + `],"\u006beys":[]}`},
		{"another member twice", `{"keys":[` + key + `],"a":1,"a":1}`},
		{"cut off in the set", `{"keys":[` + key + `]`},
		{"cut off in the keys", `{"keys":[` + key},
		{"cut off after a name", `{"keys"`},
		{"something behind", `{"keys":[` + key + `]}{}`},
		{"a zero octet behind", `{"keys":[` + key + "]}\x00"},
		{"a comma too many", `{"keys":[` + key + `,]}`},
		{"broken UTF-8", `{"a":"` + "\xff" + `","keys":[` + key + `]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := keyset.New(keyset.Config{JWKS: []byte(c.set), Log: quiet}); !errors.Is(err, keyset.ErrSet) {
				t.Fatalf("%v, want %v", err, keyset.ErrSet)
			}
		})
	}
}

// noNetwork fails a test that fetches.
type noNetwork struct{ testing.TB }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.Errorf("fetched %s", r.URL)
	return nil, io.EOF
}

func TestStaticFetchesNothing(t *testing.T) {
	s := open(t, keyset.Config{
		Issuer: "https://login.example.com", JWKS: jwks(t, jwk(poptest.IssuerKey(), nil)),
		HTTPClient: &http.Client{Transport: noNetwork{t}},
	})
	key := found(t, s, "", "ES256", poptest.IssuerKey())[0]
	refused(t, s, "k9", "ES256", keyset.ErrUnknownKey)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if !s.Has(key) {
		t.Fatal("a static key is gone after Close")
	}
}

// A key is the same key by kid and thumbprint, not by address.
func TestHas(t *testing.T) {
	rsaKey := poptest.Keyed("RS256", "keyset")
	a, b := poptest.Keyed("ES256", "a"), poptest.Keyed("ES256", "b")
	set := func(kid string, k *poptest.Key) *keyset.Set {
		return open(t, keyset.Config{JWKS: jwks(t, jwk(k, map[string]any{"kid": kid}))})
	}
	key := found(t, set("k1", a), "k1", "ES256", a)[0]
	for _, c := range []struct {
		name string
		set  *keyset.Set
		want bool
	}{
		{"the same key read again", set("k1", a), true},
		{"the key under another kid", set("k2", a), false},
		{"the key without a kid", set("", a), false},
		{"another key under the kid", set("k1", b), false},
		{"nothing fetched yet", open(t, keyset.Config{Issuer: "https://login.example.com"}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.set.Has(key); got != c.want {
				t.Fatalf("Has is %v", got)
			}
		})
	}
	// Of one key for two algorithms, one may be removed alone.
	both := open(t, keyset.Config{JWKS: jwks(t,
		jwk(rsaKey, map[string]any{"kid": "k", "alg": "RS256"}), jwk(rsaKey, map[string]any{"kid": "k", "alg": "PS256"}))})
	left := open(t, keyset.Config{JWKS: jwks(t, jwk(rsaKey, map[string]any{"kid": "k", "alg": "PS256"}))})
	for alg, want := range map[string]bool{"RS256": false, "PS256": true} {
		if got := left.Has(found(t, both, "k", alg, rsaKey)[0]); got != want {
			t.Errorf("%s: Has is %v", alg, got)
		}
	}
	if set("k1", a).Has(nil) {
		t.Fatal("no key is in the set")
	}
}

func FuzzParseSet(f *testing.F) {
	private := map[string]any{"d": "AAAA"}
	for _, seed := range [][]byte{
		poptest.JWKS(map[string]*poptest.Key{
			"e": poptest.Keyed("ES256", "f"), "o": poptest.Keyed("EdDSA", "f"), "r": poptest.Keyed("RS256", "f"),
		}),
		jwks(f, map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, jwk(poptest.IssuerKey(), nil)),
		jwks(f, jwk(poptest.IssuerKey(), private), jwk(poptest.IssuerKey(), map[string]any{"use": "enc"})),
		[]byte(`{"keys":[],"keys":[]}`), []byte(`{"keys":null}`), []byte(`{"\u006beys":[{}]} x`), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := keyset.Parse(raw)
		if err != nil {
			if !errors.Is(err, keyset.ErrSet) || keys != nil {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			return
		}
		// The standard library finds the same array, and package jose accepts every key that came out of it.
		var set map[string]json.RawMessage
		var values []json.RawMessage
		if err := errors.Join(json.Unmarshal(raw, &set), json.Unmarshal(set["keys"], &values)); err != nil {
			t.Fatal(err)
		}
		accepted := map[string]bool{}
		for _, value := range values {
			if k, err := jose.ParseKey(value, 0); err == nil {
				accepted[k.Thumbprint()] = true
			}
		}
		if len(keys) == 0 {
			t.Fatal("neither keys nor an error")
		}
		for _, k := range keys {
			if !accepted[k.Thumbprint()] {
				t.Fatalf("key %q was not accepted by package jose", k.ID)
			}
		}
	})
}

func BenchmarkKeys(b *testing.B) {
	s := open(b, keyset.Config{JWKS: poptest.JWKS(map[string]*poptest.Key{
		"k1": poptest.Keyed("ES256", "a"), "k2": poptest.Keyed("RS256", "a"), "k3": poptest.Keyed("EdDSA", "a"),
	})})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Keys(context.Background(), "k1", "ES256"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHas(b *testing.B) {
	s := open(b, keyset.Config{JWKS: jwks(b, jwk(poptest.IssuerKey(), map[string]any{"kid": "k1"}))})
	key := found(b, s, "k1", "ES256", poptest.IssuerKey())[0]
	b.ReportAllocs()
	for b.Loop() {
		if !s.Has(key) {
			b.Fatal("gone")
		}
	}
}
