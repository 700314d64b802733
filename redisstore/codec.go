package redisstore

import (
	"time"

	"github.com/senderlock/senderlock/internal/packed"
	"github.com/senderlock/senderlock/revocation"
)

// What is known of one value stands in one string: for each entry its kind, an instant in seconds of Unix time, and
// the exception with its length in front.
const (
	kindAll           = 'a' // the instant is the expiry
	kindBefore        = 'b'
	kindExceptToken   = 't'
	kindExceptSession = 's'
)

func encode(entries []revocation.Entry) string {
	var b []byte
	for _, e := range entries {
		kind, at, except := byte(kindBefore), e.Before, ""
		switch {
		case e.Before.IsZero():
			kind, at = kindAll, e.Expiry
		case e.ExceptToken != "":
			kind, except = kindExceptToken, e.ExceptToken
		case e.ExceptSession != "":
			kind, except = kindExceptSession, e.ExceptSession
		}
		b = packed.AppendString(packed.AppendInt(append(b, kind), at.Unix()), except)
	}
	return string(b)
}

// decode returns the entries, each with what template says. It fails with [ErrDamaged].
func decode(s string, template revocation.Entry) (entries []revocation.Entry, err error) {
	for r := packed.Read([]byte(s)); r.More(); {
		e, kind, at, except := template, r.Octet(), time.Unix(r.Int(), 0), r.String()
		if r.Failed() {
			return nil, ErrDamaged
		}
		switch {
		case kind == kindAll && except == "":
			e.Expiry = at
		case kind == kindBefore && except == "":
			e.Before = at
		case kind == kindExceptToken && except != "":
			e.Before, e.ExceptToken = at, except
		case kind == kindExceptSession && except != "":
			e.Before, e.ExceptSession = at, except
		default:
			return nil, ErrDamaged
		}
		entries = append(entries, e)
	}
	return entries, nil
}
