package redisstore

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// Whatever decodes encodes to what decodes the same, and nothing panics. An exception never comes without a value,
// which would match every token that has none.
func FuzzDecode(f *testing.F) {
	at := time.Unix(1_700_000_000, 0)
	f.Add(encode([]revocation.Entry{{Expiry: at}, {Before: at}, {Before: at, ExceptToken: "t"}, {Before: at, ExceptSession: "s"}}))
	f.Add("")
	f.Add("t\x02\x00")
	f.Add("a\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	template := revocation.Entry{Issuer: "i", By: revocation.BySubject, Value: "v"}
	f.Fuzz(func(t *testing.T, s string) {
		entries, err := decode(s, template)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || entries != nil {
				t.Fatalf("%v, %v", entries, err)
			}
			return
		}
		again, err := decode(encode(entries), template)
		if err != nil || !reflect.DeepEqual(again, entries) {
			t.Errorf("%+v became %+v, %v", entries, again, err)
		}
		for _, e := range entries {
			if e.Issuer != "i" || e.Value != "v" || (e.Before.IsZero() && e.ExceptToken+e.ExceptSession != "") {
				t.Errorf("decoded %+v", e)
			}
		}
	})
}
