// Package revocation takes access tokens back before they expire, so that a resource server that accepts
// self-contained tokens can still lock a user out, end a session, react to a password change or forget a lost
// device (RFC 9700 §2.2, FAPI 2.0 Security Profile §5.3.4: a resource server verifies revocation).
//
// An [Entry] denies tokens of one issuer: one token, or all tokens of a session, a subject, a client, a key or
// a certificate, either whenever issued or only those issued up to an instant. A [Store] keeps entries until
// the tokens they deny can no longer be valid, then drops them by itself. No later entry weakens an earlier
// one; a mistake is undone by a [Lifter] alone, which the stores of this module are.
//
// Two stores are here. [Memory] forgets when the process ends. [File] keeps the same in memory and on disk:
// a revocation call returns when the entry is on disk, and a restart forgets nothing. Both also keep a
// [Register], an optional record of the tokens in use, from which an application can show "your devices".
//
// What is not here: HTTP, the parsing of tokens, and the decision itself, which is package access. Package
// redisstore has the store that many instances share; package events, below this one, receives what an identity
// provider reports.
package revocation
