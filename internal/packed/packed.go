// Package packed puts strings and numbers into octets, as they stand in the file of revocations and in Redis: strings with
// their length in front, numbers as varints.
package packed

import "encoding/binary"

// AppendString appends a string.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendInt appends a number.
func AppendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// Reader takes values off the front of octets. After a failure it returns zero values.
type Reader struct {
	rest   []byte
	failed bool
}

// Read makes a Reader.
func Read(b []byte) Reader { return Reader{rest: b} }

// Fail says that what was read cannot be meant.
func (r *Reader) Fail() { r.rest, r.failed = nil, true }

// Failed reports whether something could not be read.
func (r *Reader) Failed() bool { return r.failed }

// More reports whether there is more to read.
func (r *Reader) More() bool { return len(r.rest) > 0 }

// Octet takes one octet.
func (r *Reader) Octet() byte {
	if len(r.rest) == 0 {
		r.Fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Int takes what AppendInt appended.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// String takes what AppendString appended.
func (r *Reader) String() string {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || size > uint64(len(r.rest)-n) {
		r.Fail()
		return ""
	}
	s := string(r.rest[n : n+int(size)])
	r.rest = r.rest[n+int(size):]
	return s
}

// Rest takes all that is left.
func (r *Reader) Rest() string {
	s := string(r.rest)
	r.rest = nil
	return s
}
