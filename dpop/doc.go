// Package dpop checks DPoP proofs for resource servers (RFC 9449 §4.3, §8, §9 and §11): a [Verifier] parses a
// proof, compares it with the request, verifies its signature and remembers it, so that it is accepted once. For
// clients it makes them (§4.2, §5 and §7.1): a [Signer] signs with any key, a [Transport] sends access token and
// proof with each request and deals with nonces.
//
// It knows nothing of access tokens beyond the hash that a proof carries of one; whether a token is bound to
// the proof's key is decided in package access. Package keyfile keeps a client's key on disk, package mobile makes
// proofs in mobile apps.
package dpop
