package poptest

import (
	"crypto/fips140"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"
)

// primes are what RSA keys of tests are made of, by their bits and to base 62: to search for new ones takes a process a
// second or more. Nothing but tests may trust a key of these.
var primes = map[int][]string{
	512: {
		"Km7RPeBVs6IE7N8E7XP82bCCDTw9IuNSoc2ZwaNhu6umSrJGZO88CBTn1QVovJ3cHDPC7IqKWYv3YDNArWt5Bn",
		"KrAA5IIZ2krh5WLJQJD43oS2kALxGjvH1HjqL4bzyycw3ca7GKsNN5J3NTXxPuXqUa3mj7DR0B7h1Uh4vHWJmZ",
	},
	1020: {
		"2L1g7ahGU8mZn3u5rKj5BbI3mYzbUK7dCdEjiNAlrYtt9kk3QrtF6yY7cgVEps8japcPoiP9g9qZFNeAoD7x6QBh1InOvFYP849172JzxXxBhDVvaH26WYLkcPegRdAnvWGB2tJE51UHiGevqxk3VSfBBLyQdnwyPFRUcR181zm1",
		"2RM7H4OOpcHPXy9EctWUGGIKO3pa6qdrU6WgEkbwzR1S2w1pMFPOWMmyMTVj5tSIqFk1sftOklFlHz2fkYdZL9QKiDN8JrhyggMVuNUTXi0vryzBcR50NitfTkdJJUB1aqeJ3TNR9ZlexCNRIpCYCMHtU6IQYunwJxhAQfhAcRkx",
	},
	1024: {
		"HQt1VmeVfW5mmtUibWzdB8S36lIf1oI34du5acXRJ2q4VLyNvEqZsXSzcCjLtVpB39GEHJkmIfgKb9g1wdN5VWV5mJm6PBnCEictoGpyJw1bNkFzaRAazQI5rBJ4g9DYHr3lF84w2NzpPIpIlUk8ED3LGUaZKDAyI60twcgcqnd1",
		"KRNvFw6OoCYbcudAcYnJi5hod8cns9tIc1OMpwTyBBsL9jWs9C1gcAn35oyJoNglyXSZFjWykH9usvddIB6Frm54LS1HRCCXuwxw2vD0PWRNibNLnqkvytWW3sAU3hYrOkh5VLER0E1tIChApF3YWYdLZy0AlOi0cOeQVZPbTKLR",
		"H7Lkrq4ECdGIl0JSy9mP6uP6r6AyciOarDv76Z46aLfLj9PsFARxNK57ujW8wKjcv73zggbVB2qDfS98Z0psXSg4Kzt7VGaU1hHFQtTQhZJfvXVMYPXo9glexnotlmrakfXtVWQfvddwNk63IiLf029eXIUph3QteLSg6sOksuJj",
		"QkDvnw1u4je43Mv25BXOqOHu7az5YxztkyoFYfq6Z5CiJhpUYM3YXSzh4qb7P0qiWXxA5qWpohwMhrFX1JaGFv4PKo1DKfmQszyeqrhxtabkhaJ9q35STU6KKjrYkwtGdEuHY1GT9PwqHnZc4OzHD1KQdqkHmSPNCEi0zI5PN8eB",
		"KiApbnRgJOsw6kVztdv674v07qgRAXiSxEBrbpcqir0ut7FVIUw0VWs0lnbNRfjti4FZNTDJxQszmHToJB7DNxGiFkWEONwPgKkryjixUlvK7NGCVb3HbUjlcOT80UjUIcNlXVs2U7esZOfLXhrNdiaChQepHZeSQEzLqo2bzguh",
		"QmuJtpxwr4OD5D38mdxL3Rzi0kbUMjDqgSpFfB5IKOoyqSCgFJBIWQK4tJMNQp15HBk6e4WZf6SHFiugt2vUomEr5fdwgpuqXIh92pcAn4R92TFjAMTJtXm3zzOR36pvl6y7FMYellc1okg3QOswfpXzWpucIWVV4HFnuk6zcPiL",
		"GWjvLLuXpFqhFR27q19dNrjYB4hMK2hvJ2YBTszVxsCRYOFwqMI99OLDXiLWfuIQJpWAPlDw0PSaCF4kRkucPV4CthjfwGSkA4PrIm3g91cnXL2nn4YyNssq5c2qEFBRzLjPWpWNwjwvpi0m6pIpGw2P0btoSIlaQM69zXeI8X8Z",
		"UgVtFctFtafuRb8FBmwvnEsOS3mP9xVnWF3EkbG1utVP3owO3Wieb3LCGtsvogHkzkCUjq01eDETteDrJCQGMUraiFZR83Elaf4XbvCK5elarXhF24Y8jpfglOXj6RthmRn5Kgy1L0Xj28Nn7FuoCDEVExpzAV2OYVQCtbF4zy9z",
	},
	1536: {
		"IrXyvGfU35Vre3thJWaIG3ItRHpupQpC7h4UFQvQTaMwZsw6RInNSt1ZI6laNSxi7tlQkkjONRvIjuUwmYVTb9s3usoy5KnbCLJCHP6hh21A9TESrytBTS5DlljCflDF2jEN5HYgLicFVdH3WVs2IzS3Eu5SgEYiRj1CpbzQcEyjbBhO4Lvi4FkxgHtBEj2PXCIR0Zli5VG2AcFrwnPvazx94qQidGa836NM7K5AjXKTZ2y13CanH1a9w4ILmd1DQ7",
		"GCVVE5iCNhYQJ8LXaqpRy589rMeoOWesGosjpYwmWUC27SPfnPv9eehHEOj4Bmc6o5YIgGxC923cDi8RSpnIveEcWBp18MSetos3dHpOV9Wwq7Y1FRt3fDHj6TiLOiI6qqGtxPme0RcDGAWxPwHaIqbmK0sAhBhaFRLnHZdxun7K4l314EfK92lkwdgyhm4xZsagq9hhuC7wZzeZXDP5NqjFY6FKgazSdOml7SoE2CgN83y09z3Vv1fo1VpA9soV7h",
	},
}

// common is how many RSA keys NewKey gives in turn.
const common = 4

var (
	rsaMu   sync.Mutex
	rsaTurn int                            // how many keys NewKey has given
	rsaOwn  = common                       // how many of the keys of 2048 bits are taken
	rsaMade = map[[2]int]*rsa.PrivateKey{} // by bits and number
)

// RSA returns the RSA key of 1024, 2040 or 3072 bits; NewKey and Keyed have those of 2048. Sizes below 1024 bits need
// GODEBUG=rsa1024min=0.
func RSA(alg string, bits int) *Key {
	rsaMu.Lock()
	defer rsaMu.Unlock()
	return &Key{Alg: alg, Private: rsaKey(bits, 0)}
}

func nextRSA() *rsa.PrivateKey {
	rsaMu.Lock()
	defer rsaMu.Unlock()
	rsaTurn++
	return rsaKey(2048, (rsaTurn-1)%common)
}

// ownRSA returns a key that nothing else in this process has.
func ownRSA() *rsa.PrivateKey {
	rsaMu.Lock()
	defer rsaMu.Unlock()
	rsaOwn++
	return rsaKey(2048, rsaOwn-1)
}

// rsaKey returns the nth key that two of the primes make.
func rsaKey(bits, n int) *rsa.PrivateKey {
	id := [2]int{bits, n}
	if rsaMade[id] != nil {
		return rsaMade[id]
	}
	for i, p := range primes[bits/2] {
		for _, q := range primes[bits/2][:i] {
			if n == 0 {
				rsaMade[id] = multiplied(number(p), number(q))
				return rsaMade[id]
			}
			n--
		}
	}
	panic(fmt.Sprintf("poptest: no more RSA keys of %d bits: add a prime of %d bits", bits, bits/2))
}

func number(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 62)
	if !ok {
		panic("poptest: not a number: " + text)
	}
	return n
}

func multiplied(p, q *big.Int) *rsa.PrivateKey {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(big.NewInt(65537), phi),
		Primes:    []*big.Int{p, q},
	}
	var err error
	fips140.WithoutEnforcement(func() { // an attacker's key may be short
		k.Precompute()
		err = k.Validate()
	})
	if err != nil {
		panic("poptest: " + err.Error())
	}
	return k
}
