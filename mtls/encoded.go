package mtls

import (
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// decodeOnePEM reads one PEM block, percent-encoded or not, and nothing else.
func decodeOnePEM(value string) ([][]byte, error) {
	chain, err := decodePEMChain(value)
	if err == nil && len(chain) != 1 {
		return nil, ErrMultiple.With("one certificate", fmt.Sprintf("%d certificates", len(chain)))
	}
	return chain, err
}

// decodePEMChain reads PEM blocks, percent-encoded or not: PEM itself has no percent sign. A plus sign stands for
// itself, as it is part of base64 and AWS ALB does not encode it.
func decodePEMChain(value string) ([][]byte, error) {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, ErrMalformed.With("PEM, percent-encoded or not", value).Because(err)
	}
	return parsePEM(text)
}

// parsePEM accepts certificates with line breaks between them. [encoding/pem.Decode] would also skip everything
// that it does not understand, so that two readers may find different certificates in one text.
func parsePEM(text string) (chain [][]byte, err error) {
	for rest := text; rest != ""; {
		body, ok := strings.CutPrefix(rest, pemBegin)
		if !ok {
			return nil, ErrMalformed.With(pemBegin, rest)
		}
		body, rest, ok = strings.Cut(body, pemEnd)
		if !ok {
			return nil, ErrMalformed.With(pemEnd, body)
		}
		text, err := joinLines(body)
		if err != nil {
			return nil, err
		}
		der, err := decodeBase64(text)
		if err != nil {
			return nil, err
		}
		chain = append(chain, der)
		rest = strings.TrimLeft(rest, lineBreaks)
	}
	return chain, nil
}

// lineBreaks are the characters of a line break and what proxies that do not escape it put in its place: Apache and
// HAProxy a space, nginx's $ssl_client_cert a tab behind it, of which net/http makes one space (RFC 9112 §5.2).
const lineBreaks = " \t\r\n"

// joinLines undoes the line breaks in the base64 of a PEM block. All lines but the last have one length (RFC 7468 §2),
// so a plus sign that somebody turned into a space on the way does not pass as a line break.
func joinLines(body string) (string, error) {
	lines := strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune(lineBreaks, r) })
	for i, line := range lines {
		if width := len(lines[0]); len(line) > width || len(line) < width && i < len(lines)-1 {
			return "", ErrMalformed.With(fmt.Sprintf("lines of %d", width), fmt.Sprintf("one of %d", len(line)))
		}
	}
	return strings.Join(lines, ""), nil
}

func decodeBase64DER(value string) ([][]byte, error) {
	if strings.Contains(value, ",") {
		return nil, ErrMultiple.With("one certificate", "a list")
	}
	der, err := decodeBase64(value)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeDERChain reads base64 of certificates one right behind the other.
func decodeDERChain(value string) (chain [][]byte, err error) {
	rest, err := decodeBase64(value)
	if err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		var der asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &der); err != nil {
			return nil, ErrCertificate.Because(brief(err))
		}
		chain = append(chain, der.FullBytes)
	}
	return chain, nil
}

// decodeTraefik reads what Traefik makes of the connection's certificates: PEM without delimiters and line
// breaks, joined by commas. Traefik sets the field anew, so that the first one is the client's.
func decodeTraefik(value string) (chain [][]byte, err error) {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, ErrMalformed.With("base64, percent-encoded or not", value).Because(err)
	}
	for part := range strings.SplitSeq(text, ",") {
		der, err := decodeBase64(part)
		if err != nil {
			return nil, err
		}
		chain = append(chain, der)
	}
	return chain, nil
}

// decodeBase64 is strict about padding and trailing bits.
func decodeBase64(s string) ([]byte, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrMalformed.With("base64", s).Because(err)
	}
	return der, nil
}
