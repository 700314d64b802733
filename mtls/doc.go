// Package mtls finds the certificate with which a client proved itself in a TLS handshake, for servers that
// accept an access token only together with the certificate it is bound to (RFC 8705 §3).
//
// A [CertificateSource] takes the certificate from the request: [FromTLS] from its connection, [FromProxy] from
// the field that a listed proxy sets (RFC 9440 and the formats of Envoy, nginx, HAProxy, Apache, Traefik and AWS
// ALB). [Certificate.Matches] compares it with a token's x5t#S256 (RFC 8705 §3.1). Possession alone counts, so a
// self-signed or expired certificate binds as well as any other (RFC 8705 §6.2); with a [Verification],
// [Certificate.Verify] judges chain, validity and purpose where a token or a route needs the certificate.
// [ServerTLS] asks clients for a certificate; [KeyPair] serves and presents one from files that are rotated.
//
// What is not in it: access tokens and the decision, which are in package access; certificate revocation lists
// and OCSP; PROXY protocol, which changes the peer's address before a request reaches this package.
//
// README.md in this folder lists the formats; that of examples/mtls has the settings with which each proxy writes its
// field and clients cannot.
package mtls
