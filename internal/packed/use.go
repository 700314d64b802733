package packed

import (
	"strings"
	"time"
)

// Use is a token in use, with the fields of revocation.Use.
type Use struct {
	Issuer         string
	ID             string
	Subject        string
	Session        string
	Client         string
	KeyThumbprint  string
	CertThumbprint string
	Address        string
	FirstSeen      time.Time
	LastSeen       time.Time
	Expiry         time.Time
}

// Token packs what stays as it is for as long as the token is on record.
func (u *Use) Token() []byte {
	b := AppendInt(AppendInt(nil, u.FirstSeen.Unix()), u.Expiry.Unix())
	for _, v := range u.names() {
		b = AppendString(b, *v)
	}
	return AppendString(b, u.bound())
}

// Sight packs what changes with each use: when, and from where.
func (u *Use) Sight() []byte {
	return append(AppendInt(nil, u.LastSeen.Unix()), u.Address...)
}

// ReadUse reads both.
func ReadUse(token, sight []byte) (u Use, ok bool) {
	r := Read(token)
	u.FirstSeen, u.Expiry = time.Unix(r.Int(), 0), time.Unix(r.Int(), 0)
	for _, v := range u.names() {
		*v = r.String()
	}
	u.KeyThumbprint, u.CertThumbprint, _ = strings.Cut(r.String(), certificate)
	s := Read(sight)
	u.LastSeen, u.Address = time.Unix(s.Int(), 0), s.Rest()
	return u, !r.Failed() && !r.More() && !s.Failed()
}

func (u *Use) names() [5]*string {
	return [...]*string{&u.Issuer, &u.ID, &u.Subject, &u.Session, &u.Client}
}

// certificate stands between the thumbprint of the key and that of the certificate, and is in neither. Release 0.1 knows
// the key alone: it reads both as the thumbprint of a key that nobody has, and writes what is read here as no certificate.
const certificate = "\x00"

func (u *Use) bound() string {
	if u.CertThumbprint == "" {
		return u.KeyThumbprint
	}
	return u.KeyThumbprint + certificate + u.CertThumbprint
}
