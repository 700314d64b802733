package recipe

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/internal/mint"
)

// signer is the key as it signs under the name alg. A name that the key has nothing to do with changes what stands
// in the header alone.
func signer(k *mint.Key, alg string) *mint.Key {
	c := *k
	family := ""
	switch k.Private.(type) {
	case *ecdsa.PrivateKey:
		family = "ES"
	case ed25519.PrivateKey:
		family = "Ed"
	default:
		family = "RS PS"
	}
	switch {
	case strings.EqualFold(alg, "none"):
		c.Alg = "none"
	case len(alg) > 2 && (strings.Contains(family, alg[:2]) || alg == "HS256" || alg == "HS384" || alg == "HS512"):
		c.Alg = alg
	}
	return &c
}

// compact signs header and payload, with the edits before and after.
func (b *builder) compact(header, payload string, key *mint.Key, alg string, edits []string) string {
	h, p := mint.Base64([]byte(header)), mint.Base64([]byte(payload))
	for _, edit := range edits {
		switch part, op, _ := strings.Cut(edit, ":"); part {
		case "header":
			h = b.editPart(header, op)
		case "payload":
			p = b.editPart(payload, op)
		}
	}
	signer := signer(key, alg)
	signature := signer.Sign(h + "." + p)
	for _, edit := range edits {
		if op, ok := strings.CutPrefix(edit, "signature:"); ok {
			signature = b.editSignature(signature, op, header, h+"."+p, key)
		}
	}
	s := mint.Base64(signature)
	b.state.signature[b.kind] = s
	b.keepSecret(s, edits)
	text := h + "." + p + "." + s
	for _, edit := range edits {
		if edit == "nested" {
			outer := mint.Base64([]byte(strings.Replace(header, "{", `{"cty":"JWT",`, 1))) + "." + mint.Base64([]byte(text))
			again := mint.Base64(signer.Sign(outer))
			b.keepSecret(again, edits)
			text = outer + "." + again
			continue
		}
		text = b.editText(text, edit, h, p, s)
	}
	return text
}

// editSignature changes the octets of a signature.
func (b *builder) editSignature(signature []byte, op, header, signed string, key *mint.Key) []byte {
	n := len(signature)
	switch op {
	case "flip":
		signature[n/2] ^= 1
	case "first-bit":
		signature[0] ^= 0x80
	case "empty":
		return nil
	case "short":
		return signature[:n-1]
	case "long":
		return append(signature, 0)
	case "front":
		return append([]byte{0}, signature...)
	case "zero":
		clear(signature)
	case "half":
		clear(signature[n/2:])
	case "swap":
		return slices.Concat(signature[n/2:], signature[:n/2])
	case "der":
		return der(signature)
	case "plus-order":
		return plusOrder(key, signature)
	case "small-order":
		return smallOrder(publicX(header), signed)
	case "e-1":
		return exponentOne(key, signed)
	case "before":
		before, _ := base64.RawURLEncoding.DecodeString(b.state.signature[b.kind])
		return before
	default:
		if material, ok := strings.CutPrefix(op, "mac-"); ok {
			return b.mac(material, header, key, signed)
		}
	}
	return signature
}

// editText changes the finished text, of which h, p and s are the parts.
func (b *builder) editText(text, edit, h, p, s string) string {
	switch edit {
	case "signature:pad":
		return text + strings.Repeat("=", (4-len(s)%4)%4)
	case "signature:stray":
		return text[:len(h)+len(p)+2] + stray(s)
	case "two-parts":
		return h + "." + p
	case "one-part":
		return h
	case "four-parts":
		return text + "." + s
	case "five-parts":
		return text + "." + s + "." + s
	case "dot-after":
		return text + "."
	case "dot-before":
		return "." + text
	case "json-flat":
		return fmt.Sprintf(`{"payload":"%s","protected":"%s","signature":"%s"}`, p, h, s)
	case "json-general":
		return fmt.Sprintf(`{"payload":"%s","signatures":[{"protected":"%s","signature":"%s"}]}`, p, h, s)
	case "detached":
		return h + ".." + s
	case "upper-payload":
		i := len(h) + 1 + strings.IndexFunc(p[4:], func(r rune) bool { return r >= 'a' && r <= 'z' }) + 4
		return text[:i] + strings.ToUpper(text[i:i+1]) + text[i+1:]
	case "quoted":
		return `"` + text + `"`
	}
	if !strings.Contains(edit, ":") {
		b.fail(fmt.Errorf("recipe: unknown edit %q", edit))
	}
	return text
}

// editPart encodes header or payload in a way that is not allowed.
func (b *builder) editPart(text, op string) string {
	if len(text)%3 == 0 && (op == "pad" || op == "stray") {
		text += " " // for these two the length must not be even
	}
	good := mint.Base64([]byte(text))
	switch op {
	case "pad":
		return good + strings.Repeat("=", (4-len(good)%4)%4)
	case "newline":
		return good[:8] + "\n" + good[8:]
	case "space":
		return good[:8] + " " + good[8:]
	case "standard":
		return strings.NewReplacer("-", "+", "_", "/").Replace(good)
	case "stray":
		return stray(good)
	case "empty":
		return ""
	case "bom":
		return mint.Base64([]byte("\ufeff" + text))
	case "utf16":
		return mint.Base64(utf16(text))
	case "json-after":
		return mint.Base64([]byte(text + "{}"))
	case "white-space":
		return mint.Base64([]byte(" \n" + strings.ReplaceAll(text, `":`, "\" :\t") + "\r\n"))
	case "latin1":
		return mint.Base64([]byte(strings.Replace(text, `"@latin1"`, "\"\xe9\"", 1)))
	}
	b.fail(fmt.Errorf("recipe: unknown edit %q", op))
	return good
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// stray sets a bit at the end that means nothing. A text without such bits comes back as it is.
func stray(s string) string {
	if len(s)%4 == 0 {
		return s
	}
	return s[:len(s)-1] + string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
}

func utf16(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r>>8), byte(r))
	}
	return out
}

func der(signature []byte) []byte {
	half := len(signature) / 2
	out, _ := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]),
	})
	return out
}

// plusOrder writes r + n in place of r where it fits, a second spelling of one number.
func plusOrder(key *mint.Key, signature []byte) []byte {
	private, ok := key.Private.(*ecdsa.PrivateKey)
	if !ok {
		return signature
	}
	half := len(signature) / 2
	r := new(big.Int).SetBytes(signature[:half])
	s := new(big.Int).SetBytes(signature[half:])
	n := private.Curve.Params().N
	out := append(r.Add(r, n).FillBytes(make([]byte, half+1)), s.Add(s, n).FillBytes(make([]byte, half+1))...)
	return out
}

// keepSecret takes note of a signature that must not be shown, also as the edits spell it.
func (b *builder) keepSecret(signature string, edits []string) {
	b.state.secrets = append(b.state.secrets, signature)
	if slices.Contains(edits, "signature:stray") {
		b.state.secrets = append(b.state.secrets, stray(signature))
	}
}

// mac signs with HMAC and a secret that everybody knows.
func (b *builder) mac(material, header string, key *mint.Key, input string) []byte {
	var secret []byte
	switch material {
	case "pem":
		secret = key.PublicPEM()
	case "der":
		block, _ := pem.Decode(key.PublicPEM())
		secret = block.Bytes
	case "jwk":
		secret = []byte(mint.Marshal(key.JWK()))
	case "point":
		public, err := x509.MarshalPKIXPublicKey(key.Private.Public())
		b.fail(err)
		secret = public[len(public)-65:] // of P-256
	case "modulus":
		secret, _ = base64.RawURLEncoding.DecodeString(fmt.Sprint(key.JWK()["n"]))
	case "k":
		secret, _ = base64.RawURLEncoding.DecodeString(member(header, "k"))
	default:
		b.fail(fmt.Errorf("recipe: no secret %q", material))
	}
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(input))
	return sum.Sum(nil)
}

// member is a text of the jwk in a header.
func member(header, name string) string {
	var h struct {
		JWK map[string]any `json:"jwk"`
	}
	_ = json.Unmarshal([]byte(header), &h) // what is not there is empty
	text, _ := h.JWK[name].(string)
	return text
}

func publicX(header string) []byte {
	x, _ := base64.RawURLEncoding.DecodeString(member(header, "x"))
	return x
}

// smallOrder signs for a public point of small order, whose secret nobody needs: with R = s·B the equation
// s·B = R + k·A holds whenever k·A is the neutral point (RFC 8032 §5.1.7).
func smallOrder(public []byte, input string) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	for i := range byte(64) {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = i
		known := ed25519.NewKeyFromSeed(seed)
		digest := sha512.Sum512(seed)
		digest[0] &= 248
		digest[31] = digest[31]&63 | 64
		little := digest[:32]
		slices.Reverse(little)
		s := new(big.Int).Mod(new(big.Int).SetBytes(little), order).FillBytes(make([]byte, 32))
		slices.Reverse(s)
		signature := append(slices.Clone(known[32:]), s...)
		if len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(input), signature) {
			return signature
		}
	}
	return make([]byte, ed25519.SignatureSize)
}

// exponentOne is the padded digest itself, which is its own first power (RFC 8017 §9.2).
func exponentOne(key *mint.Key, input string) []byte {
	private, ok := key.Private.(*rsa.PrivateKey)
	if !ok {
		return nil
	}
	sum := sha256.Sum256([]byte(input))
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
		0x05, 0x00, 0x04, 0x20}, sum[:]...)
	out := make([]byte, private.Size())
	out[1] = 1
	pad := out[2 : len(out)-len(info)-1]
	for i := range pad {
		pad[i] = 0xff
	}
	copy(out[len(out)-len(info):], info)
	return out
}
