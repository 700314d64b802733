package revocation

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// Whatever decodes as a key, entry or token in use encodes to the same octets, and nothing panics.
func FuzzCodec(f *testing.F) {
	k := key{issuer: "https://login.example.com", value: "alice", by: BySubject}
	r := record{expiry: 1700000000, marks: marks{
		{before: 1700000001, except: exception{ByToken, "new"}}, {before: 1700000000},
	}}
	u := Use{Issuer: "https://login.example.com", ID: "t", Subject: "alice", Address: "192.0.2.1",
		FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(-2, 0), Expiry: time.Unix(1<<40, 0)}
	f.Add(k.encode(), r.encode(k.encode()))
	f.Add(u.useKey().encode(), u.encode(u.useKey().encode()))
	f.Add([]byte{}, []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, name, value []byte) {
		if k, ok := decodeKey(name); ok {
			if again, ok := decodeKey(k.encode()); !ok || again != k {
				t.Errorf("key %+v became %+v", k, again)
			}
		}
		// A random checksum is never right, so the value is sealed anew as well.
		for _, v := range [][]byte{value, seal(name, slices.Clone(value))} {
			if r, ok := decodeRecord(name, v); ok {
				if again, ok := decodeRecord(name, r.encode(name)); !ok || !reflect.DeepEqual(again, r) {
					t.Errorf("record %+v became %+v", r, again)
				}
				if len(r.marks) > maxMarks {
					t.Errorf("%d marks", len(r.marks))
				}
			}
			if u, ok := decodeUse(name, v); ok {
				if again, ok := decodeUse(name, u.encode(name)); !ok || again != u {
					t.Errorf("use %+v became %+v", u, again)
				}
			}
		}
	})
}

// An exception without a value would match every token that has none, so no file may bring one in.
func TestDecodeRefuses(t *testing.T) {
	name := key{issuer: "i", value: "v", by: BySubject}.encode()
	for what, x := range map[string]exception{
		"an exception without value":    {by: ByToken},
		"an exception without property": {value: "x"},
		"an exception by subject":       {by: BySubject, value: "v"},
		"an unknown property":           {by: 99, value: "v"},
	} {
		if r, ok := decodeRecord(name, record{marks: marks{{before: 1, except: x}}}.encode(name)); ok {
			t.Errorf("%s was read: %+v", what, r)
		}
	}
	good := record{expiry: 1}.encode(name)
	if _, ok := decodeRecord(name, good); !ok {
		t.Error("a good record was refused")
	}
	if _, ok := decodeRecord(append(slices.Clone(name), 'x'), good); ok {
		t.Error("a record under another key was read")
	}
}

// What an earlier release wrote about a token in use is read.
func TestOlderUse(t *testing.T) {
	u := Use{
		Issuer: "https://login.example.com", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k",
		Address: "192.0.2.1", FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(2, 0), Expiry: time.Unix(3, 0),
	}
	name, value := u.useKey().encode(), []byte("\x19https://login.example.com\x01t\x05alice\x01s\x01c\x01k\x09192.0.2.1\x02\x04\x06")
	if got, ok := decodeUse(name, seal(name, slices.Clone(value))); !ok || got != u {
		t.Errorf("%t, %+v", ok, got)
	}
	for what, damaged := range map[string][]byte{"with more behind it": append(slices.Clone(value), 0), "cut off": value[:len(value)-1]} {
		if got, ok := decodeUse(name, seal(name, damaged)); ok {
			t.Errorf("one %s was read: %+v", what, got)
		}
	}
}
