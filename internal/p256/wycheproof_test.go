package p256_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/senderlock/senderlock/internal/p256"
)

// The vectors of Project Wycheproof for P-256, with what they say as the verdict that is wanted.
func TestWycheproof(t *testing.T) {
	sha256 := func(message []byte) []byte { h := sha256.Sum256(message); return h[:] }
	sha512 := func(message []byte) []byte { h := sha512.Sum512(message); return h[:] }
	whole := func(signature []byte) ([]byte, bool) { return signature, true }

	for name, test := range map[string]struct {
		hash  func([]byte) []byte
		raw   func([]byte) ([]byte, bool) // false for what is not DER, which is none of a table's business
		valid int
		all   int
	}{
		"sha256_p1363": {sha256, whole, 173, 262},
		"sha512_p1363": {sha512, whole, 242, 332}, // of a digest of 64 octets the first 32 count
		"sha256":       {sha256, fromDER, 174, 249},
	} {
		t.Run(name, func(t *testing.T) {
			valid, all := 0, 0
			for _, group := range vectors(t, name) {
				key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), group.PublicKey.Uncompressed)
				if err != nil {
					t.Fatal(err)
				}
				table, err := p256.New(key)
				if err != nil {
					t.Fatal(err)
				}
				for _, vector := range group.Tests {
					signature, ok := test.raw(vector.Signature)
					if !ok {
						if vector.Result == "valid" {
							t.Errorf("vector %d: not read", vector.ID)
						}
						continue
					}
					want := vector.Result == "valid"
					if got := agree(t, table, key, test.hash(vector.Message), signature); got != want {
						t.Errorf("vector %d: Verify = %t, want %t: %s", vector.ID, got, want, vector.Comment)
					}
					if all++; want {
						valid++
					}
				}
			}
			if valid != test.valid || all != test.all {
				t.Errorf("%d of %d vectors are valid, want %d of %d", valid, all, test.valid, test.all)
			}
		})
	}
}

type octetString []byte

func (o *octetString) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

type vectorGroup struct {
	PublicKey struct{ Uncompressed octetString }
	Tests     []struct {
		ID        int         `json:"tcId"`
		Message   octetString `json:"msg"`
		Signature octetString `json:"sig"`
		Comment   string
		Result    string
	}
}

func vectors(t *testing.T, name string) []vectorGroup {
	t.Helper()
	file, err := os.ReadFile("testdata/wycheproof/ecdsa_secp256r1_" + name + "_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ TestGroups []vectorGroup }
	if err := json.Unmarshal(file, &set); err != nil {
		t.Fatal(err)
	}
	return set.TestGroups
}

// fromDER returns r and s of a signature in DER where both are numbers of at most 256 bits.
func fromDER(der []byte) ([]byte, bool) {
	var s struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) > 0 || s.R.Sign() < 0 || s.S.Sign() < 0 || s.R.BitLen() > 256 || s.S.BitLen() > 256 {
		return nil, false
	}
	again, err := asn1.Marshal(s)
	return raw(s.R, s.S), err == nil && bytes.Equal(again, der)
}
