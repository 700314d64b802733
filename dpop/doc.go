// Package dpop checks DPoP proofs for resource servers (RFC 9449 §4.3, §8, §9 and §11): a [Verifier] parses a
// proof, compares it with the request, verifies its signature and remembers it, so that it is accepted once.
//
// It knows nothing of access tokens beyond the hash that a proof carries of one; whether a token is bound to
// the proof's key is decided in package access.
package dpop
