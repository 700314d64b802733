package mtls

import (
	"fmt"

	"github.com/dunglas/httpsfv"
)

// decodeClientCert reads Client-Cert: one byte sequence, no list, no parameters (RFC 9440 §2.1 and §2.2).
func decodeClientCert(_ *Proxy, lines []string) ([][]byte, error) {
	item, err := httpsfv.UnmarshalItem(lines)
	if err != nil {
		return nil, ErrMalformed.With("one byte sequence", lines[0]).Because(err)
	}
	der, err := byteSequence(item)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeClientCertChain reads Client-Cert-Chain: a list of byte sequences in any number of lines, without the
// client's certificate (RFC 9440 §2.3).
func decodeClientCertChain(_ *Proxy, lines []string) (chain [][]byte, err error) {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil, ErrMalformed.With("a list of byte sequences", "").Because(err)
	}
	for _, member := range list {
		der, err := byteSequence(member)
		if err != nil {
			return nil, err
		}
		chain = append(chain, der)
	}
	return chain, nil
}

func byteSequence(member httpsfv.Member) ([]byte, error) {
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil, ErrMalformed.With("a byte sequence", "an inner list")
	}
	der, ok := item.Value.([]byte)
	if !ok {
		return nil, ErrMalformed.With("a byte sequence", fmt.Sprintf("%T", item.Value))
	}
	if len(item.Params.Names()) > 0 {
		return nil, ErrMalformed.With("a byte sequence without parameters", item.Params.Names()[0])
	}
	return der, nil
}
