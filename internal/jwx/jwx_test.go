package jwx_test

import (
	"crypto"
	"testing"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/jwx"
	"github.com/senderlock/senderlock/internal/mint"
	"github.com/senderlock/senderlock/internal/poptest"
)

// What is signed here is what our own strict reading accepts, PSS with its one length of salt included.
func TestSign(t *testing.T) {
	for _, alg := range jose.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			k := poptest.NewKey(alg)
			signed, err := jwx.Sign([]byte(`{"sub":"us"}`), alg, k.Private, map[string]string{"typ": "JWT", "kid": ""})
			if err != nil {
				t.Fatal(err)
			}
			c, err := jose.Split(signed)
			if err != nil {
				t.Fatal(err)
			}
			key, err := jose.ParseKey([]byte(mint.Marshal(k.JWK())), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(alg, c); err != nil {
				t.Error(err)
			}
			var header map[string]string
			if err := jose.DecodeObject(c.Header, &header); err != nil {
				t.Fatal(err)
			}
			if _, ok := header["kid"]; ok || header["typ"] != "JWT" {
				t.Errorf("header %v", header)
			}
			if payload, err := jose.Decode(c.Payload); err != nil || string(payload) != `{"sub":"us"}` {
				t.Errorf("payload %s, %v", payload, err)
			}
		})
	}
}

func TestKeyThereAndBack(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "EdDSA"} {
		k := poptest.NewKey(alg)
		raw, err := jwx.MarshalKey(k.Private)
		if err != nil {
			t.Fatal(err)
		}
		back, err := jwx.UnmarshalKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Private.(interface{ Equal(crypto.PrivateKey) bool }).Equal(back) {
			t.Errorf("%s: another key came back", alg)
		}
	}
}
