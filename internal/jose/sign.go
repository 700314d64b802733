package jose

import (
	"encoding/asn1"
	"errors"
	"math/big"
)

// FixedLength turns an ASN.1 signature of ECDSA into R and S at full length, one after the other (RFC 7518 §3.4). Size is
// that of a coordinate in octets.
func FixedLength(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 || !inRange(sig.R, size) || !inRange(sig.S, size) {
		return nil, errors.New("the key did not return an ASN.1 ECDSA signature")
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}

func inRange(n *big.Int, size int) bool { return n.Sign() > 0 && n.BitLen() <= 8*size }
