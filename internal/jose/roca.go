package jose

import (
	"math/big"
	"math/bits"
	"slices"
)

// A fingerprint tells for one small prime what remains of a modulus that was made by a library of Infineon's before
// 2017: such moduli are powers of 65537 modulo many small primes, which gives their factors away (CVE-2017-15361,
// "The Return of Coppersmith's Attack", Nemec et al., 2017, §3).
type fingerprint struct {
	prime   uint
	remains []bool // by the remainder
}

var fingerprints = newFingerprints()

// newFingerprints takes the primes that divide the product of each key size there is, as far as they tell anything.
func newFingerprints() (all []fingerprint) {
	for prime := uint(3); prime <= 167; prime += 2 {
		if !big.NewInt(int64(prime)).ProbablyPrime(0) {
			continue
		}
		f := fingerprint{prime, make([]bool, prime)}
		power := uint(1)
		for ; !f.remains[power]; power = power * 65537 % prime {
			f.remains[power] = true
		}
		if slices.Contains(f.remains[1:], false) {
			all = append(all, f)
		}
	}
	return all
}

// roca reports whether a modulus has the form of those. It takes others for one of them once in 2^27 keys, and nearly
// always knows after a prime or two.
func roca(modulus *big.Int) bool {
	for _, f := range fingerprints {
		var rest uint
		for _, word := range slices.Backward(modulus.Bits()) {
			rest = bits.Rem(rest, uint(word), f.prime)
		}
		if !f.remains[rest] {
			return false
		}
	}
	return true
}
