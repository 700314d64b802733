package revocation

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/senderlock/senderlock/internal/packed"
)

// The form in which keys and values stand in the file: packed, and each value ended by a checksum over its key and itself,
// because bbolt does not check its data pages.

func (k key) encode() []byte {
	return append(packed.AppendString([]byte{byte(k.by)}, k.issuer), k.value...)
}

func decodeKey(b []byte) (key, bool) {
	r := packed.Read(b)
	k := key{by: By(r.Octet()), issuer: r.String()}
	k.value = r.Rest()
	return k, !r.Failed() && k.by > 0 && k.by < endBy && k.issuer != "" && k.value != ""
}

func (r record) encode(key []byte) []byte {
	b := packed.AppendInt(nil, r.expiry)
	for _, m := range r.marks {
		b = packed.AppendInt(b, m.before)
		b = append(b, byte(m.except.by))
		b = packed.AppendString(b, m.except.value)
	}
	return seal(key, b)
}

func decodeRecord(key, b []byte) (record, bool) {
	r := unseal(key, b)
	out := record{expiry: r.Int()}
	for r.More() {
		m := mark{before: r.Int()}
		m.except = exception{by: By(r.Octet()), value: r.String()}
		if !m.except.valid() {
			r.Fail()
		}
		out.marks = out.marks.with(m)
	}
	return out, !r.Failed()
}

func (k useKey) encode() []byte {
	return append(packed.AppendString(packed.AppendString(nil, k.issuer), k.subject), k.id...)
}

// current stands in front of the form in which tokens in use are written. The form before it began with the length of
// the issuer.
const current = 0

func (u Use) encode(key []byte) []byte {
	p := packed.Use(u)
	return seal(key, append(packed.AppendString([]byte{current}, string(p.Token())), p.Sight()...))
}

func decodeUse(key, b []byte) (Use, bool) {
	r := unseal(key, b)
	p, ok := readOlderUse(r)
	if r.Octet() == current {
		token := r.String()
		p, ok = packed.ReadUse([]byte(token), []byte(r.Rest()))
	}
	u := Use(p)
	return u, ok && string(u.useKey().encode()) == string(key)
}

func readOlderUse(r packed.Reader) (u packed.Use, ok bool) {
	for _, v := range [...]*string{&u.Issuer, &u.ID, &u.Subject, &u.Session, &u.Client, &u.KeyThumbprint, &u.Address} {
		*v = r.String()
	}
	for _, t := range [...]*time.Time{&u.FirstSeen, &u.LastSeen, &u.Expiry} {
		*t = time.Unix(r.Int(), 0)
	}
	return u, !r.Failed() && !r.More()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// unseal returns a reader of the value, which has failed if the checksum is wrong.
func unseal(key, sealed []byte) (r packed.Reader) {
	n := len(sealed) - 4
	if n < 0 || checksum(key, sealed[:n]) != binary.BigEndian.Uint32(sealed[n:]) {
		r.Fail()
		return r
	}
	return packed.Read(sealed[:n])
}
