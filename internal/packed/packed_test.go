package packed_test

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/packed"
)

// Whatever is read packs to what reads the same, and nothing panics.
func FuzzUse(f *testing.F) {
	u := packed.Use{
		Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k", CertThumbprint: "x", Address: "192.0.2.1",
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
		Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k", CertThumbprint: "x", Address: "192.0.2.1",
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

// Two neighbouring releases read each other's records: one without a certificate is as it was in 0.1, octet for octet, and
// one with a certificate has as many strings.
func TestCertificateOfAUse(t *testing.T) {
	for name, c := range map[string]struct{ key, certificate, last string }{
		"a key":         {"jkt", "", "\x03jkt"},
		"neither":       {"", "", "\x00"},
		"a certificate": {"", "x5t", "\x04\x00x5t"},
		"both":          {"jkt", "x5t", "\x07jkt\x00x5t"},
	} {
		u := packed.Use{
			Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: c.key, CertThumbprint: c.certificate,
			FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(2, 0), Expiry: time.Unix(3, 0),
		}
		token := "\x02\x06\x01i\x01t\x05alice\x01s\x01c" + c.last
		if got := string(u.Token()); got != token {
			t.Errorf("%s: %q, want %q", name, got, token)
		}
		if got, ok := packed.ReadUse([]byte(token), u.Sight()); !ok || got != u {
			t.Errorf("%s: %+v became %+v", name, u, got)
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
