package access

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"

	"github.com/senderlock/senderlock/internal/peer"
)

// SubjectForm says how the log names whom a token stands for. The zero SubjectForm is SubjectPlain.
type SubjectForm uint8

// The forms.
const (
	SubjectPlain   SubjectForm = iota // sub, as the token has it
	SubjectHashed                     // "sha256:" and the base64url of the SHA-256 of sub, by which lines of one subject are found
	SubjectDropped                    // not at all
	endSubjectForm
)

// Of returns a subject in this form. Empty stays empty.
func (f SubjectForm) Of(subject string) string {
	switch {
	case subject == "" || f == SubjectDropped:
		return ""
	case f == SubjectHashed:
		sum := sha256.Sum256([]byte(subject))
		return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subject
}

// from is the address that a request comes from, for people to read; empty if it is not known.
func (g *Guard) from(r *http.Request) string {
	var address netip.Addr
	if err := guarded("Address", func() (err error) { address, err = g.config.Address(r); return err }); err != nil || !address.IsValid() {
		return ""
	}
	return address.String()
}

// peerOf is the other end of the connection.
func peerOf(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return peer.Plain(remote.Addr()).String()
}

// maxRequestID is the longest name of a request that is logged.
const maxRequestID = 128

// requestID is the name of a request in the logs of others. One that does not look like a name is none, so that nobody
// writes what he likes into the log.
func (g *Guard) requestID(r *http.Request) (id string) {
	_ = guarded("RequestID", func() error { id = g.config.RequestID(r); return nil }) // one that panics has no name
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:=/+"
	if len(id) > maxRequestID || strings.Trim(id, allowed) != "" {
		return ""
	}
	return id
}
