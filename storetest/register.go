package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// Register is an empty register of tokens in use under test, with its clock. All fields are required.
type Register struct {
	Register revocation.Register

	// Store is the store of the same process, for [revocation.TakeBack].
	Store revocation.Store

	// Now is the register's clock, Advance moves it by whole seconds.
	Now     func() time.Time
	Advance func(time.Duration)
}

// TestRegister checks that a register does what [revocation.Register] promises. open returns a new, empty
// register each time, with room for ten thousand tokens, and has it closed when the test ends.
func TestRegister(t *testing.T, open func(t *testing.T) Register) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Register)
	}{
		{"a recorded token is listed as it was seen", testListed},
		{"the last used is listed first", testOrder},
		{"only recorded tokens are seen", testAdmission},
		{"a forgotten token is off the record", testForget},
		{"a token taken back is denied and off the record", testTakeBack},
		{"a token is on record until it has expired", testUseExpiry},
		{"what cannot be recorded is refused", testUnrecordable},
		{"concurrent calls lose nothing", testConcurrentUse},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func (r Register) token(id string) revocation.Token {
	tok := Revocation{Now: r.Now}.token()
	tok.ID = id
	return tok
}

func (r Register) record(t *testing.T, tok revocation.Token, address string) {
	t.Helper()
	if err := r.Register.Record(context.Background(), tok, address); err != nil {
		t.Fatalf("Record: %v", err)
	}
}

func (r Register) seen(t *testing.T, tok revocation.Token, address string, want bool) {
	t.Helper()
	got, err := r.Register.Seen(context.Background(), tok, address)
	if err != nil || got != want {
		t.Fatalf("Seen(%s) = %t, %v, want %t", tok.ID, got, err, want)
	}
}

func (r Register) list(t *testing.T, subject string) []revocation.Use {
	t.Helper()
	list, err := r.Register.Uses(context.Background(), issuer, subject)
	if err != nil {
		t.Fatalf("Uses: %v", err)
	}
	return list
}

func (r Register) ids(t *testing.T, subject string) string {
	t.Helper()
	var ids []string
	for _, u := range r.list(t, subject) {
		ids = append(ids, u.ID)
	}
	return strings.Join(ids, " ")
}

func (r Register) expect(t *testing.T, ids string) {
	t.Helper()
	if got := r.ids(t, "alice"); got != ids {
		t.Fatalf("Uses lists %q, want %q", got, ids)
	}
}

func testListed(t *testing.T, r Register) {
	start := r.Now().Truncate(time.Second)
	tok := r.token("phone")
	r.record(t, tok, "192.0.2.1")
	want := revocation.Use{
		Issuer: issuer, ID: "phone", Subject: "alice", Session: "session-1", Client: "app",
		KeyThumbprint: "jkt-1", CertThumbprint: "x5t-1",
		Address: "192.0.2.1", FirstSeen: start, LastSeen: start, Expiry: tok.Expiry,
	}
	check := func() {
		t.Helper()
		list := r.list(t, "alice")
		if len(list) != 1 {
			t.Fatalf("Uses lists %+v, want one", list)
		}
		got := list[0]
		if !got.FirstSeen.Equal(want.FirstSeen) || !got.LastSeen.Equal(want.LastSeen) || !got.Expiry.Equal(want.Expiry) {
			t.Fatalf("times are %+v, want %+v", got, want)
		}
		got.FirstSeen, got.LastSeen, got.Expiry = want.FirstSeen, want.LastSeen, want.Expiry
		if got != want {
			t.Fatalf("Uses lists %+v, want %+v", got, want)
		}
	}
	check()

	r.Advance(10 * time.Second)
	r.seen(t, tok, "192.0.2.2", true)
	want.Address, want.LastSeen = "192.0.2.2", start.Add(10*time.Second)
	check()

	r.Advance(10 * time.Second)
	r.record(t, tok, "192.0.2.3") // again
	want.Address, want.LastSeen = "192.0.2.3", start.Add(20*time.Second)
	check()

	other := r.token("phone")
	other.Subject = "bob"
	r.seen(t, other, "192.0.2.4", false)
	other.Subject, other.Issuer = "alice", "https://other.example.com"
	r.seen(t, other, "192.0.2.4", false)
	check()
	if list := r.list(t, "bob"); len(list) != 0 {
		t.Fatalf("Uses lists %+v for bob, want none", list)
	}
}

func testOrder(t *testing.T, r Register) {
	for _, id := range []string{"b", "a", "c"} {
		r.record(t, r.token(id), "")
	}
	r.expect(t, "a b c")
	r.Advance(time.Second)
	r.seen(t, r.token("b"), "", true)
	r.Advance(time.Second)
	r.seen(t, r.token("c"), "", true)
	r.expect(t, "c b a")
}

func testAdmission(t *testing.T, r Register) {
	r.seen(t, r.token("phone"), "", false)
	r.expect(t, "")
	r.record(t, r.token("phone"), "")
	r.seen(t, r.token("phone"), "", true)
	nameless := r.token("")
	r.seen(t, nameless, "", false)
}

func testForget(t *testing.T, r Register) {
	r.record(t, r.token("phone"), "")
	r.record(t, r.token("tablet"), "")
	u := revocation.Use{Issuer: issuer, Subject: "alice", ID: "phone"}
	for range 2 {
		if err := r.Register.Forget(context.Background(), u); err != nil {
			t.Fatalf("Forget: %v", err)
		}
		r.expect(t, "tablet")
		r.seen(t, r.token("phone"), "", false)
	}
	r.record(t, r.token("phone"), "")
	r.expect(t, "phone tablet")
}

func testTakeBack(t *testing.T, r Register) {
	r.record(t, r.token("phone"), "")
	r.record(t, r.token("tablet"), "")
	for _, u := range r.list(t, "alice") {
		if u.ID != "phone" {
			continue
		}
		if err := revocation.TakeBack(context.Background(), r.Store, r.Register, u); err != nil {
			t.Fatalf("TakeBack: %v", err)
		}
	}
	r.expect(t, "tablet")
	store := Revocation{Store: r.Store, Now: r.Now}
	store.expect(t, r.token("phone"), true)
	store.expect(t, r.token("tablet"), false)
}

func testUseExpiry(t *testing.T, r Register) {
	short, long := r.token("short"), r.token("long")
	long.Expiry = long.Expiry.Add(time.Hour)
	r.record(t, short, "")
	r.record(t, long, "")
	r.Advance(short.Expiry.Sub(r.Now()) - time.Second)
	r.expect(t, "long short")
	r.Advance(r.Store.Retention().Leeway + 2*time.Second)
	r.expect(t, "long")
	r.seen(t, short, "", false)
	r.seen(t, long, "", true)
}

func testUnrecordable(t *testing.T, r Register) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		change func(*revocation.Token)
		want   error
	}{
		"no issuer":    {func(t *revocation.Token) { t.Issuer = "" }, revocation.ErrInvalid},
		"no ID":        {func(t *revocation.Token) { t.ID = "" }, revocation.ErrInvalid},
		"no expiry":    {func(t *revocation.Token) { t.Expiry = time.Time{} }, revocation.ErrLifetime},
		"long subject": {func(t *revocation.Token) { t.Subject = long }, revocation.ErrInvalid},
		"long x5t":     {func(t *revocation.Token) { t.CertThumbprint = long }, revocation.ErrInvalid},
	} {
		tok := r.token("phone")
		c.change(&tok)
		if err := r.Register.Record(context.Background(), tok, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: Record = %v, want %v", name, err, c.want)
		}
	}
	r.expect(t, "")
	if err := r.Register.Record(context.Background(), r.token("phone"), long); !errors.Is(err, revocation.ErrInvalid) {
		t.Errorf("long address: Record = %v, want ErrInvalid", err)
	}
	if _, err := r.Register.Seen(context.Background(), r.token("phone"), long); !errors.Is(err, revocation.ErrInvalid) {
		t.Errorf("long address: Seen = %v, want ErrInvalid", err)
	}
	for _, o := range [][2]string{{"", "alice"}, {issuer, ""}} {
		if _, err := r.Register.Uses(context.Background(), o[0], o[1]); !errors.Is(err, revocation.ErrInvalid) {
			t.Errorf("Uses(%q) = %v, want ErrInvalid", o, err)
		}
	}
}

func testConcurrentUse(t *testing.T, r Register) {
	const callers = 16
	var want []string
	var wg sync.WaitGroup
	for i := range callers {
		id := fmt.Sprintf("%02d", i)
		want = append(want, id)
		wg.Go(func() {
			gone := r.token("gone " + id)
			for _, tok := range []revocation.Token{r.token(id), gone, r.token("shared")} {
				if err := r.Register.Record(context.Background(), tok, id); err != nil {
					t.Errorf("Record: %v", err)
				}
				if ok, err := r.Register.Seen(context.Background(), tok, id); !ok || err != nil {
					t.Errorf("Seen = %t, %v", ok, err)
				}
			}
			u := revocation.Use{Issuer: gone.Issuer, Subject: gone.Subject, ID: gone.ID}
			if err := r.Register.Forget(context.Background(), u); err != nil {
				t.Errorf("Forget: %v", err)
			}
		})
	}
	wg.Wait()
	want = append(want, "shared")
	got := strings.Fields(r.ids(t, "alice"))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("Uses lists %q, want %q", got, want)
	}
}
