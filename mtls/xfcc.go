package mtls

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// decodeXFCC reads X-Forwarded-Client-Cert, to which each Envoy may append an element that describes its own
// peer: elements are separated by commas, their key=value pairs by semicolons; values may be quoted. Only Cert is
// a certificate. Envoy does not quote the names that it copies from a certificate (URI, DNS), so their owner can
// write commas and semicolons; such a request is refused because the number of elements is wrong, or because
// Cert or Hash is there twice, or because Hash, which Envoy computes itself, is not that of Cert.
func decodeXFCC(p *Proxy, lines []string) ([][]byte, error) {
	var elements []xfccElement
	for _, line := range lines {
		more, err := parseXFCC(line)
		if err != nil {
			return nil, err
		}
		elements = append(elements, more...)
	}
	if len(elements) > p.Elements {
		return nil, ErrMultiple.With(fmt.Sprintf("elements: %d", p.Elements), fmt.Sprintf("elements: %d", len(elements)))
	}
	if len(elements) < p.Elements {
		return nil, nil
	}
	return elements[0].chain()
}

// xfccElement holds the pairs of one element that are read here, under their keys in lower case.
type xfccElement map[string]string

// chain returns the certificate, and those which lead to a root as far as the element has them.
func (e xfccElement) chain() ([][]byte, error) {
	if e["cert"] == "" {
		return nil, ErrNoCert.With("Cert", "an element without it; set it in set_current_client_cert_details")
	}
	certs, err := decodeOnePEM(e["cert"])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(certs[0])
	if hash, ok := e["hash"]; ok && !strings.EqualFold(hash, hex.EncodeToString(sum[:])) {
		return nil, ErrHash.With(hex.EncodeToString(sum[:]), hash)
	}
	all, err := decodePEMChain(e["chain"])
	return append(certs, all...), err // Chain repeats the certificate itself, which does no harm
}

// parseXFCC splits the field into its elements; pairs that are not needed are only checked for their form.
func parseXFCC(s string) ([]xfccElement, error) {
	elements := []xfccElement{{}}
	for {
		key, value, rest, err := nextPair(s)
		if err != nil {
			return nil, err
		}
		if err := elements[len(elements)-1].set(strings.ToLower(key), value); err != nil {
			return nil, err
		}
		if rest == "" {
			return elements, nil
		}
		if rest[0] == ',' {
			elements = append(elements, xfccElement{})
		}
		s = rest[1:]
	}
}

func (e xfccElement) set(key, value string) error {
	if key != "cert" && key != "chain" && key != "hash" {
		return nil // By, URI and DNS may come several times
	}
	if _, ok := e[key]; ok {
		return ErrMultiple.With("one "+key+" in an element", "two")
	}
	e[key] = value
	return nil
}

// nextPair cuts a pair off the front of s; rest is empty or begins with the separator.
func nextPair(s string) (key, value, rest string, err error) {
	key, rest, ok := strings.Cut(strings.TrimLeft(s, " \t"), "=")
	if key == "" || strings.Trim(key, fieldCharacters) != "" {
		return "", "", "", ErrMalformed.With("key=value", s)
	}
	if strings.HasPrefix(rest, `"`) {
		value, rest, ok = cutQuoted(rest)
	} else {
		value, rest = cutPlain(rest)
	}
	rest = strings.TrimLeft(rest, " \t")
	if !ok || rest != "" && rest[0] != ',' && rest[0] != ';' {
		return "", "", "", ErrMalformed.With("a value, quoted where it holds a comma, a semicolon or a quote", s)
	}
	return key, value, rest, nil
}

func cutPlain(s string) (value, rest string) {
	end := strings.IndexAny(s, `,;"`)
	if end < 0 {
		end = len(s)
	}
	return strings.TrimRight(s[:end], " \t"), s[end:]
}

// cutQuoted takes a quoted string off the front of s. A backslash takes the character behind it as it is.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
