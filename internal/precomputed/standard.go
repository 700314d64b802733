package precomputed

import (
	"bytes"
	"crypto/ecdsa"
	"slices"
)

// Standard verifies by crypto/ecdsa alone, under a key of any curve: the signature is r and s, each as long as the
// curve's order (RFC 7518 §3.4). Under nil nothing is verified.
func Standard(public *ecdsa.PublicKey, digest, signature []byte) bool {
	return public != nil && len(signature) == 2*((public.Params().BitSize+7)/8) && ecdsa.VerifyASN1(public, digest, inASN1(signature))
}

// inASN1 puts R and S, one after the other, into the form that crypto/ecdsa reads: a SEQUENCE of two INTEGERs.
func inASN1(signature []byte) []byte {
	const integer, sequence, long = 0x02, 0x30, 0x81
	out := make([]byte, 3, 3+6+len(signature))
	for number := range slices.Chunk(signature, len(signature)/2) {
		number = bytes.TrimLeft(number, "\x00")
		out = append(out, integer, byte(len(number)))
		if len(number) == 0 || number[0] >= 0x80 { // nothing left of zero, or what would read as negative
			out[len(out)-1]++
			out = append(out, 0)
		}
		out = append(out, number...)
	}
	length := len(out) - 3
	if length < 0x80 {
		out[1], out[2] = sequence, byte(length)
		return out[1:]
	}
	out[0], out[1], out[2] = sequence, long, byte(length) // P-521
	return out
}
