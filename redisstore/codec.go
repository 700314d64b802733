package redisstore

import (
	"encoding/binary"
	"time"

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
		b = binary.AppendVarint(append(b, kind), at.Unix())
		b = append(binary.AppendUvarint(b, uint64(len(except))), except...)
	}
	return string(b)
}

// decode returns the entries, each with what template says. It fails with [ErrDamaged].
func decode(s string, template revocation.Entry) (entries []revocation.Entry, err error) {
	for b := []byte(s); len(b) > 0; {
		e, kind := template, b[0]
		seconds, n := binary.Varint(b[1:])
		if n <= 0 {
			return nil, ErrDamaged
		}
		b = b[1+n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, ErrDamaged
		}
		except := string(b[n : n+int(size)])
		b = b[n+int(size):]
		at := time.Unix(seconds, 0)
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
