package dpop

import (
	"crypto"

	"github.com/senderlock/senderlock/internal/jose"
)

// SignerAlgorithms lists the algorithms that a [Signer] must know: those that a [Verifier] does.
func SignerAlgorithms() []string { return jose.Algorithms() }

// SignerOpts returns what a key is asked for, to compare with the bare signature.
func SignerOpts(alg string) crypto.SignerOpts { return signerOpts[alg] }
