// Package access decides whether a request may go on: it checks the access token, that its sender is the one it
// was issued to, and what policy says of it. [Guard.Check] is the decision, for any net/http server;
// [Guard.Allow] is the demand of one route, and [Guard.Watch] looks after a response that goes on for long. Each
// refusal is an [*Error], which knows its answer.
//
// It carries RFC 6750 (bearer challenges), RFC 9068 (JWT access tokens), RFC 9449 §6 and §7 (DPoP-bound tokens
// and their challenges), RFC 8705 §3 (certificate-bound tokens), RFC 7800 (confirmation), RFC 9470 (step-up) and
// RFC 9728 (protected resource metadata), with the advice of RFC 8725. How a proof is checked is in package dpop,
// where a certificate comes from in package mtls, what takes a token back in package revocation; Echo is in package
// echoauth.
package access
