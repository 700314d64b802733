package mtls

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// decodeOnePEM reads one percent-encoded PEM block and nothing else.
func decodeOnePEM(p *Proxy, value string) ([][]byte, error) {
	chain, err := decodePEMChain(p, value)
	if err == nil && len(chain) != 1 {
		return nil, ErrMultiple.With("one certificate", fmt.Sprintf("%d certificates", len(chain)))
	}
	return chain, err
}

// decodePEMChain reads percent-encoded PEM blocks. A plus sign stands for itself, as it is part of base64 and
// AWS ALB does not encode it.
func decodePEMChain(_ *Proxy, value string) ([][]byte, error) {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, ErrMalformed.With("percent-encoded PEM", value).Because(err)
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
		der, err := decodeBase64(body)
		if err != nil {
			return nil, err
		}
		chain = append(chain, der)
		rest = strings.TrimLeft(rest, "\r\n")
	}
	return chain, nil
}

func decodeBase64DER(_ *Proxy, value string) ([][]byte, error) {
	if strings.Contains(value, ",") {
		return nil, ErrMultiple.With("one certificate", "a list")
	}
	der, err := decodeBase64(value)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeTraefik reads what Traefik makes of the connection's certificates: PEM without delimiters and line
// breaks, joined by commas. Traefik sets the field anew, so that the first one is the client's.
func decodeTraefik(_ *Proxy, value string) (chain [][]byte, err error) {
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

// decodeBase64 is strict about padding and trailing bits; line breaks are skipped, as PEM has them.
func decodeBase64(s string) ([]byte, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrMalformed.With("base64", s).Because(err)
	}
	return der, nil
}
