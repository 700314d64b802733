package mtls

import (
	"fmt"

	"github.com/dunglas/httpsfv"
)

// decodeClientCert reads Client-Cert: one byte sequence, no list, no parameters (RFC 9440 §2.1 and §2.2).
func decodeClientCert(_ *Proxy, value string) ([][]byte, error) {
	item, err := httpsfv.UnmarshalItem([]string{value})
	if err != nil {
		return nil, ErrMalformed.With("one byte sequence", value).Because(err)
	}
	der, err := byteSequence(item)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeClientCertChain reads Client-Cert-Chain: a list of byte sequences in any number of fields, without the
// client's certificate (RFC 9440 §2.3).
func decodeClientCertChain(values []string, maxSize int) (chain [][]byte, err error) {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	if size > maxSize {
		return nil, ErrTooLarge.With(fmt.Sprintf("a chain of at most %d octets", maxSize), fmt.Sprint(size))
	}
	list, err := httpsfv.UnmarshalList(values)
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
