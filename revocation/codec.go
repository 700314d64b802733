package revocation

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// The form in which keys and values stand in the file: strings with their length in front, numbers as varints,
// and each value ended by a checksum over its key and itself, because bbolt does not check its data pages.

func (k key) encode() []byte {
	return append(appendString([]byte{byte(k.by)}, k.issuer), k.value...)
}

func decodeKey(b []byte) (key, bool) {
	r := reader{rest: b}
	k := key{by: By(r.octet()), issuer: r.string()}
	k.value = string(r.rest)
	return k, !r.failed && k.by > 0 && k.by < endBy && k.issuer != "" && k.value != ""
}

func (r record) encode(key []byte) []byte {
	b := binary.AppendVarint(nil, r.expiry)
	for _, m := range r.marks {
		b = binary.AppendVarint(b, m.before)
		b = append(b, byte(m.except.by))
		b = appendString(b, m.except.value)
	}
	return seal(key, b)
}

func decodeRecord(key, b []byte) (record, bool) {
	r := unseal(key, b)
	out := record{expiry: r.int()}
	for len(r.rest) > 0 && !r.failed {
		m := mark{before: r.int()}
		m.except = exception{by: By(r.octet()), value: r.string()}
		if !m.except.valid() {
			r.fail()
		}
		out.marks = out.marks.with(m)
	}
	return out, !r.failed
}

func (k useKey) encode() []byte {
	return append(appendString(appendString(nil, k.issuer), k.subject), k.id...)
}

func (u Use) encode(key []byte) []byte {
	var b []byte
	for _, v := range [...]string{u.Issuer, u.ID, u.Subject, u.Session, u.Client, u.KeyThumbprint, u.Address} {
		b = appendString(b, v)
	}
	for _, t := range [...]time.Time{u.FirstSeen, u.LastSeen, u.Expiry} {
		b = binary.AppendVarint(b, t.Unix())
	}
	return seal(key, b)
}

func decodeUse(key, b []byte) (Use, bool) {
	r := unseal(key, b)
	var u Use
	for _, v := range [...]*string{&u.Issuer, &u.ID, &u.Subject, &u.Session, &u.Client, &u.KeyThumbprint, &u.Address} {
		*v = r.string()
	}
	for _, t := range [...]*time.Time{&u.FirstSeen, &u.LastSeen, &u.Expiry} {
		*t = time.Unix(r.int(), 0)
	}
	return u, !r.failed && len(r.rest) == 0 && string(u.useKey().encode()) == string(key)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// unseal returns a reader of the value, which has failed if the checksum is wrong.
func unseal(key, sealed []byte) reader {
	n := len(sealed) - 4
	if n < 0 || checksum(key, sealed[:n]) != binary.BigEndian.Uint32(sealed[n:]) {
		return reader{failed: true}
	}
	return reader{rest: sealed[:n]}
}

// reader takes values off the front of rest. After a failure it returns zero values.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() {
	r.rest, r.failed = nil, true
}

func (r *reader) octet() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || size > uint64(len(r.rest)-n) {
		r.fail()
		return ""
	}
	s := string(r.rest[n : n+int(size)])
	r.rest = r.rest[n+int(size):]
	return s
}
