package packed_test

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/packed"
)

// Whatever is read packs to what reads the same, and nothing panics.
func FuzzUse(f *testing.F) {
	u := packed.Use{
		Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k", Address: "192.0.2.1",
		FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(-2, 0), Expiry: time.Unix(1<<40, 0),
	}
	f.Add(u.Token(), u.Sight())
	f.Add([]byte{}, []byte{})
	f.Add([]byte("\x02\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), []byte{2})
	f.Fuzz(func(t *testing.T, token, sight []byte) {
		u, ok := packed.ReadUse(token, sight)
		if !ok {
			return
		}
		if again, ok := packed.ReadUse(u.Token(), u.Sight()); !ok || again != u {
			t.Errorf("%+v became %+v", u, again)
		}
	})
}

func TestUse(t *testing.T) {
	u := packed.Use{
		Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k", Address: "192.0.2.1",
		FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(-2, 0), Expiry: time.Unix(1<<40, 0),
	}
	if got, ok := packed.ReadUse(u.Token(), u.Sight()); !ok || got != u {
		t.Errorf("%+v became %+v", u, got)
	}
	token, sight := u.Token(), u.Sight()
	for name, pair := range map[string][2][]byte{
		"a token that is cut off":       {token[:len(token)-1], sight},
		"a token with more behind it":   {append(token[:len(token):len(token)], 0), sight},
		"no token":                      {nil, sight},
		"no sight":                      {token, nil},
		"a string longer than the rest": {[]byte("\x02\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), sight},
	} {
		if got, ok := packed.ReadUse(pair[0], pair[1]); ok {
			t.Errorf("%s was read: %+v", name, got)
		}
	}
}

func TestReader(t *testing.T) {
	b := append(packed.AppendString(packed.AppendInt([]byte{7}, -5), "two"), "rest"...)
	r := packed.Read(b)
	if o, n, s, more, rest := r.Octet(), r.Int(), r.String(), r.More(), r.Rest(); o != 7 || n != -5 || s != "two" || !more || rest != "rest" {
		t.Errorf("%d, %d, %q, %t, %q", o, n, s, more, rest)
	}
	if r.More() || r.Failed() {
		t.Error("nothing is left, and nothing failed")
	}
	if r.Octet() != 0 || !r.Failed() {
		t.Error("an octet was read where there is none")
	}
}
