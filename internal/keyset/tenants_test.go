package keyset_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/poptest"
)

// One document for many tenants: its issuer has a placeholder, and each key says whose it is (OpenID Connect Discovery
// has no such thing; it is how Microsoft Entra publishes its keys).
func TestMetadataOfManyTenants(t *testing.T) {
	const kid = "k"
	for name, c := range map[string]struct {
		document string // its issuer, behind the URL of the server
		key      any    // the key's issuer, likewise; not a string: as it is
		want     []error
	}{
		"placeholder in both":              {"/{tenantid}/v2.0", "/{tenantid}/v2.0", nil},
		"the key of this tenant":           {"/{tenantid}/v2.0", "/acme/v2.0", nil},
		"no placeholder":                   {"/acme/v2.0", "/acme/v2.0", nil},
		"the key of another tenant":        {"/{tenantid}/v2.0", "/evil/v2.0", []error{keyset.ErrUnavailable, keyset.ErrSet}},
		"a key that does not say":          {"/{tenantid}/v2.0", nil, []error{keyset.ErrUnavailable, keyset.ErrSet}},
		"a key that says nothing":          {"/{tenantid}/v2.0", 0, []error{keyset.ErrUnavailable, keyset.ErrSet}},
		"a key of all, with another end":   {"/{tenantid}/v2.0", "/{tenantid}/v1.0", []error{keyset.ErrUnavailable, keyset.ErrSet}},
		"a key of all of all":              {"/{tenantid}/v2.0", "/{a}/{b}", []error{keyset.ErrUnavailable, keyset.ErrSet}},
		"a document of another tenant":     {"/evil/v2.0", "/acme/v2.0", []error{keyset.ErrUnavailable, keyset.ErrMetadata}},
		"a document with two placeholders": {"/{a}/{b}", "/acme/v2.0", []error{keyset.ErrUnavailable, keyset.ErrMetadata}},
		"a placeholder for more than one":  {"/{all}", "/acme/v2.0", []error{keyset.ErrUnavailable, keyset.ErrMetadata}},
		"a placeholder for nothing":        {"/acme/v2.0{nothing}", "/acme/v2.0", []error{keyset.ErrUnavailable, keyset.ErrMetadata}},
	} {
		t.Run(name, func(t *testing.T) {
			i := poptest.NewIssuerServer(t)
			i.Handle("/common", metadata(i.URL()+c.document, i.URL()+poptest.JWKSPath))
			said := c.key
			if s, ok := said.(string); ok {
				said = i.URL() + s
			}
			i.SetRawJWKS(jwks(t, jwk(poptest.IssuerKey(), map[string]any{"kid": kid, "issuer": said})))
			s := open(t, keyset.Config{Issuer: i.URL() + "/acme/v2.0", MetadataURL: i.URL() + "/common", HTTPClient: i.Client()})
			if c.want != nil {
				refused(t, s, kid, "ES256", c.want...)
				return
			}
			found(t, s, kid, "ES256", poptest.IssuerKey())
		})
	}
	t.Run("an issuer with metadata of its own", func(t *testing.T) {
		i := poptest.NewIssuerServer(t)
		i.SetMetadata(map[string]any{"issuer": i.URL() + "/{tenantid}"})
		i.Handle("/.well-known/openid-configuration/acme", metadata(i.URL()+"/{tenantid}", i.URL()+poptest.JWKSPath))
		refused(t, open(t, keyset.Config{Issuer: i.URL() + "/acme", HTTPClient: i.Client()}), kid, "ES256", keyset.ErrUnavailable)
		i.SetMetadata(map[string]any{"issuer": i.URL()})
		i.SetRawJWKS(jwks(t, jwk(poptest.IssuerKey(), map[string]any{"kid": kid, "issuer": 7})))
		found(t, open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client()}), kid, "ES256", poptest.IssuerKey())
	})
}

// What was first heard of in a token is fetched over https alone, from public addresses alone.
func TestFoundAtRunTime(t *testing.T) {
	i, plain := poptest.NewIssuerServer(t), poptest.NewPlainIssuerServer(t)
	run := keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), FoundAtRunTime: true}
	refused(t, open(t, run), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrFetch, keyset.ErrAddress)
	if i.FetchesOf(poptest.MetadataPath) != 0 {
		t.Fatal("a request went to this machine")
	}
	run.InsecurePrivateAddresses = true
	found(t, open(t, run), poptest.KeyID, "ES256", poptest.IssuerKey())

	i.SetMetadata(map[string]any{"jwks_uri": plain.URL() + poptest.JWKSPath})
	run.InsecureAllowHTTP = true
	refused(t, open(t, run), poptest.KeyID, "ES256", keyset.ErrUnavailable, keyset.ErrMetadata)
	for field, c := range map[string]keyset.Config{
		"issuer identifier": {Issuer: plain.URL()},
		"JWKSURL":           {Issuer: i.URL(), JWKSURL: plain.URL()},
		"MetadataURL":       {Issuer: i.URL(), MetadataURL: plain.URL()},
		"HTTPClient":        {Issuer: i.URL(), HTTPClient: &http.Client{Transport: noNetwork{t}}},
	} {
		c.FoundAtRunTime, c.InsecureAllowHTTP = true, true
		if _, err := keyset.New(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if n := plain.Fetches(); n != 0 {
		t.Errorf("%d fetches over http", n)
	}
	// A transport that dials, or leaves that to a proxy, does not get around it; and is not changed.
	base := &http.Transport{Proxy: http.ProxyURL(nil), DialContext: i.Client().Transport.(*http.Transport).DialContext}
	elsewhere := keyset.Config{Issuer: "https://10.0.0.1", HTTPClient: &http.Client{Transport: base}, FoundAtRunTime: true}
	refused(t, open(t, elsewhere), poptest.KeyID, "ES256", keyset.ErrAddress)
	//lint:ignore SA1019 some still have one
	base.DialTLS = func(string, string) (net.Conn, error) {
		t.Error("the user's transport dialled")
		return nil, io.EOF
	}
	refused(t, open(t, elsewhere), poptest.KeyID, "ES256", keyset.ErrAddress)
	if base.Proxy == nil {
		t.Error("the user's transport was changed")
	}
}

func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "193.0.6.139": true, "172.15.255.255": true, "172.32.0.1": true, "100.63.255.255": true, "100.128.0.1": true,
		"2001:4860:4860::8888": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "0.0.0.0": false, "0.1.2.3": false, "192.0.0.170": false,
		"192.0.2.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.88.99.1": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "fc00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false,
		"::ffff:10.0.0.1": false, "::7f00:1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:a00:1::": false, "2001::1": false,
		"2001:db8::1": false, "3fff::1": false, "100::1": false,
	} {
		if got := keyset.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %t, want %t", address, got, want)
		}
	}
}
