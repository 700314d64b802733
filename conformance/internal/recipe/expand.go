package recipe

import (
	"cmp"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/senderlock/senderlock/internal/mint"
)

// expand replaces each ${name|change|…}.
func (b *builder) expand(s string) string {
	before, rest, found := strings.Cut(s, "${")
	if !found {
		return s
	}
	placeholder, rest, closed := strings.Cut(rest, "}")
	if !closed {
		return s
	}
	name, changes, _ := strings.Cut(placeholder, "|")
	value := b.value(name)
	for change := range strings.SplitSeq(changes, "|") {
		if change != "" {
			value = b.change(value, change)
		}
	}
	return before + value + b.expand(rest)
}

func (b *builder) value(name string) string {
	if offset, ok := strings.CutPrefix(name, "now"); ok {
		n, err := strconv.ParseInt(cmp.Or(offset, "0"), 10, 64)
		if err != nil {
			b.fail(err)
		}
		return strconv.FormatInt(b.now.Unix()+n, 10)
	}
	kind, which, _ := strings.Cut(name, ":")
	switch kind {
	case "url":
		return b.Origin + b.path
	case "origin":
		return b.Origin
	case "resource": // the URL of the endpoint, without what the recipe adds
		return b.Origin + b.base
	case "scheme":
		scheme, _, _ := strings.Cut(b.Origin, "://")
		return scheme
	case "host":
		return b.host()
	case "path":
		return b.path
	case "base":
		return b.base
	case "method":
		return b.method
	case "token":
		return b.token
	case "proof", "proof2":
		return b.makeProof(b.proof)
	case "ath":
		if which == "before" {
			return mint.ATH(b.state.before)
		}
		return mint.ATH(b.token)
	case "metadata":
		return b.Metadata
	case "ath512":
		sum := sha512.Sum512([]byte(b.token))
		return mint.Base64(sum[:])
	case "jti":
		return b.state.JTI
	case "random":
		return b.Random()
	case "nonce":
		return b.state.Nonce
	case "issuer":
		return b.Issuers[which].URL
	case "kid":
		return b.Issuers[which].KeyID
	case "audience":
		return b.Audience
	case "jkt":
		if k := b.Keys[which]; k != nil {
			return k.Thumbprint()
		}
	case "x5t":
		return b.x5t(which)
	case "certificate":
		return base64.StdEncoding.EncodeToString(b.Certificates[which].Certificate[0])
	}
	b.fail(fmt.Errorf("recipe: unknown placeholder %q", name))
	return ""
}

func (b *builder) change(s, change string) string {
	switch change {
	case "upper":
		return strings.ToUpper(s)
	case "lower":
		return strings.ToLower(s)
	case "title":
		return strings.ToUpper(s[:1]) + s[1:]
	case "invert":
		return strings.Map(func(r rune) rune {
			if unicode.IsUpper(r) {
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}, s)
	case "hex":
		raw, _ := base64.RawURLEncoding.DecodeString(s)
		return hex.EncodeToString(raw)
	case "tail":
		return s[1:]
	case "encode", "encode-twice": // the last character, which is unreserved
		if strings.HasSuffix(s, "/") {
			b.fail(ErrVoid)
		}
		percent := map[string]string{"encode": "%", "encode-twice": "%25"}[change]
		return fmt.Sprintf("%s%s%02X", s[:len(s)-1], percent, s[len(s)-1])
	case "short":
		return s[:len(s)-1]
	case "first":
		return s[:min(4, len(s))]
	case "digits":
		return strings.Map(func(r rune) rune { return '0' + r%10 }, s)
	case "wide": // the first letter as its wide form, which NFKC folds
		if s == "" {
			return s
		}
		return string(rune(s[0])-'!'+'！') + s[1:]
	case "first-half":
		return s[:len(s)/2] + strings.Repeat("A", len(s)-len(s)/2)
	case "last-half":
		return strings.Repeat("A", len(s)/2) + s[len(s)/2:]
	case "other-on": // what says that the scheme is the other one
		return map[bool]string{true: "off", false: "on"}[s == "https"]
	case "other-scheme-name":
		return map[bool]string{true: "http", false: "https"}[s == "https"]
	case "port-8443":
		scheme, host, _ := strings.Cut(s, "://")
		name, _, _ := strings.Cut(host, ":")
		return scheme + "://" + name + ":8443"
	case "other-scheme":
		if rest, ok := strings.CutPrefix(s, "https:"); ok {
			return "http:" + rest
		}
		return "https:" + strings.TrimPrefix(s, "http:")
	case "with-port":
		if _, host, _ := strings.Cut(s, "://"); strings.Contains(host, ":") {
			return s
		}
		return s + map[bool]string{true: ":443", false: ":80"}[strings.HasPrefix(s, "https:")]
	case "empty-port":
		if _, host, _ := strings.Cut(s, "://"); strings.Contains(host, ":") {
			return s
		}
		return s + ":"
	case "altered", "altered-first", "altered-middle":
		if s == "" {
			return "x"
		}
		i := map[string]int{"altered": max(0, len(s)-5), "altered-middle": len(s) / 2}[change]
		other := map[bool]string{true: "B", false: "A"}[s[i] == 'A']
		return s[:i] + other + s[i+1:]
	case "slashes":
		return strings.ReplaceAll(s, "/", `\/`)
	case "pad":
		return s + strings.Repeat("=", (4-len(s)%4)%4)
	}
	b.fail(fmt.Errorf("recipe: unknown change %q", change))
	return s
}
