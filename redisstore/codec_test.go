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

func FuzzDecodeUse(f *testing.F) {
	u := revocation.Use{
		Issuer: "i", ID: "t", Subject: "alice", Session: "s", Client: "c", KeyThumbprint: "k", Address: "192.0.2.1",
		FirstSeen: time.Unix(1, 0), LastSeen: time.Unix(-2, 0), Expiry: time.Unix(1<<40, 0),
	}
	f.Add(encodeUse(&u), encodeSeen(u.LastSeen, u.Address))
	f.Add("", "")
	f.Add("\x02\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x02")
	f.Fuzz(func(t *testing.T, token, seen string) {
		u, ok := decodeUse(token, seen)
		if !ok {
			return
		}
		if again, ok := decodeUse(encodeUse(&u), encodeSeen(u.LastSeen, u.Address)); !ok || again != u {
			t.Errorf("%+v became %+v", u, again)
		}
	})
}

// What INFO says of a server decides since when its memory counts.
func TestMemoryBegins(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	info := func(changes ...string) map[string]string {
		m := map[string]string{
			"role": "master", "redis_mode": "standalone", "run_id": "a", "master_replid": "r", "master_replid2": never,
			"maxmemory_policy": "noeviction", "uptime_in_seconds": "100",
		}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		info map[string]string
		open bool // the store was open already
		ago  time.Duration
	}{
		"a master ever since it started":   {info(), false, 99 * time.Second},
		"one that took over":               {info("master_replid2", "q"), false, 0},
		"one that says nothing of that":    {info("master_replid2", ""), false, 0},
		"one that has just started":        {info("uptime_in_seconds", "0"), false, 0},
		"one without an uptime":            {info("uptime_in_seconds", "x"), false, 0},
		"another than at first, long up":   {info(), true, 0},
		"another than at first, restarted": {info("uptime_in_seconds", "2"), true, 0},
	} {
		m := memory{known: map[string]bool{}, open: c.open}
		for range 2 { // the second look changes nothing
			if err := m.note(c.info, now); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := now.Sub(time.Unix(0, m.since.Load())); got != c.ago {
				t.Errorf("%s: since %v ago, want %v", name, got, c.ago)
			}
		}
	}
	// It moves with each new identity, whatever the clock says.
	m := memory{known: map[string]bool{}, open: true}
	for i, change := range []string{"run_id", "master_replid", "run_id"} {
		before := m.since.Load()
		if err := m.note(info(change, string(rune('k'+i))), now.Add(-time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if after := m.since.Load(); after <= before {
			t.Errorf("a new %s: since moved from %d to %d", change, before, after)
		}
	}
	for what, bad := range map[string]map[string]string{
		"a Sentinel": info("redis_mode", "sentinel"), "no run_id": info("run_id", ""), "eviction": info("maxmemory_policy", "allkeys-lru"),
	} {
		if err := m.note(bad, now); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	replica := memory{known: map[string]bool{}}
	if err := replica.note(info("role", "slave"), now); err != nil || replica.begin() {
		t.Errorf("a replica counts as a master: %v", err)
	}
}
