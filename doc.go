// Package senderlock is the root of Senderlock, with which a resource server
// accepts an access token only from the sender it was issued to. It holds no
// code; the folders do:
//
//   - dpop checks DPoP proofs (RFC 9449): parsing, signature, nonce, replay.
//     It knows nothing of tokens.
//   - mtls finds the client's certificate (RFC 8705, RFC 9440): from the TLS
//     connection or from listed proxies. It knows nothing of tokens either.
//   - revocation takes access tokens back before they expire: by token,
//     session, subject, client or key, in memory or in a file that survives.
//     Its folder events receives logout tokens and security events.
//   - redisstore is the memory of proofs and revocations that many instances
//     share, on Redis or Valkey, and the only package that knows rueidis.
//   - access checks access tokens and makes the decision, for any net/http
//     server: its Config is the one manual, its Guard serves every adapter.
//   - echoauth is the middleware over access for Echo 4, echoauth/v5 that for
//     Echo 5; nothing else outside examples knows Echo.
//   - reason has the two kinds of cause: a refusal, and our own trouble.
//   - otelauth tells OpenTelemetry what is decided.
//   - admin is the operator's handler: tokens are taken back, revocations
//     lifted, tokens in use looked for, by a page or by curl.
//   - conformance asks any resource server whether it does all that.
//   - storetest has the contracts of stores, for anybody's own;
//     senderlocktest has keys, tokens, proofs and an issuer for users' tests.
//   - examples are short programs, each with a test that runs it. Begin with
//     examples/quickstart.
//   - internal holds what two packages share, and what only tests need.
//
// Imports point one way, from echoauth to access to dpop, mtls and
// revocation, and from redisstore to dpop and revocation.
//
// README.md shows a complete server; SECURITY.md says what is trusted and
// what is out of scope.
package senderlock
