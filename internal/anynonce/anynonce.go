// Package anynonce lets a tool of this module look at requests to a server whose secrets it does not have.
package anynonce

// Secret takes, as the only one of dpop.Nonces.Secrets, every nonce for a fresh one, so a proof with one never becomes too
// old. What counts is that it is this very slice, which nobody outside of this module can name; a copy is refused as any
// secret of zeros is.
var Secret = make([]byte, 32)

// Is reports whether these secrets are that one.
func Is(secrets [][]byte) bool {
	return len(secrets) == 1 && len(secrets[0]) > 0 && &secrets[0][0] == &Secret[0]
}
