// Package events turns what an identity provider reports into revocations: its logout tokens (OpenID Connect
// Back-Channel Logout 1.0) and its security event tokens, pushed over HTTP (RFC 8417, RFC 8935, OpenID Shared
// Signals Framework 1.0, CAEP 1.0, RISC 1.0, subjects by RFC 9493) or fetched (RFC 8936). [BackChannelLogout] and
// [SharedSignals] are HTTP handlers; their Receive methods do the same for tokens that came in another way. A [Poller]
// fetches tokens for a SharedSignals.
//
// A token is believed if it is a strict signed JWT of the right type, under a key of the provider and addressed to
// us. What it reports is revoked as of its own time, not of its arrival. So a token that arrives twice, or late, or
// is replayed, has the effect that it had or should have had, and never ends a login that came after the event; no
// memory of received tokens is needed.
//
// The other way round, a [Transmitter] tells an identity provider that a token was stolen.
//
// What is not here: the stores, which are in package revocation; the making of streams;
// encrypted tokens; and routes, which are the application's or those of package echoauth.
package events
