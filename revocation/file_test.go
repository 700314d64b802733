package revocation_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// filepathOf returns a path that is unused, also by other stores of the same test.
func filepathOf(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "revocations.db")
}

func openFile(t testing.TB, path string, o revocation.Options) *revocation.File {
	t.Helper()
	f, err := revocation.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// copyOf returns a copy of the file as it is now, as a crash would leave it.
func copyOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, b)
}

func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepathOf(t)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Everything about an entry is there after a restart, its exceptions and its end included.
func TestReopen(t *testing.T) {
	clock := poptest.NewClock()
	path := filepathOf(t)
	options := revocation.Options{Now: clock.Now}
	at := clock.Now()
	entries := []revocation.Entry{
		{Issuer: issuer, By: revocation.ByToken, Value: "token", Expiry: at.Add(10 * time.Minute)},
		{Issuer: issuer, By: revocation.BySession, Value: "session", Before: at},
		{Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at, ExceptToken: "new"},
		{Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: at.Add(-time.Minute), ExceptSession: "new"},
		{Issuer: issuer, By: revocation.BySubject, Value: "bob\xff\x00"},
	}
	check := func(s revocation.Store) {
		t.Helper()
		token := func(change func(*revocation.Token)) revocation.Token {
			tok := revocation.Token{Issuer: issuer, IssuedAt: at, Expiry: at.Add(10 * time.Minute)}
			change(&tok)
			return tok
		}
		for _, c := range []struct {
			tok    revocation.Token
			denied bool
		}{
			{token(func(t *revocation.Token) { t.ID = "token" }), true},
			{token(func(t *revocation.Token) { t.Session = "session" }), true},
			{token(func(t *revocation.Token) { t.Subject = "alice" }), true},
			{token(func(t *revocation.Token) { t.Subject, t.ID = "alice", "new" }), false},
			{token(func(t *revocation.Token) { t.Subject, t.ID, t.IssuedAt = "alice", "new", at.Add(-2*time.Minute) }), true},
			{token(func(t *revocation.Token) { t.Subject, t.Session = "alice", "new" }), true},
			{token(func(t *revocation.Token) { t.Subject = "bob\xff\x00" }), true},
			{token(func(t *revocation.Token) { t.Subject = "carol" }), false},
		} {
			expect(t, s, c.tok, c.denied)
		}
	}
	f := openFile(t, path, options)
	for _, e := range entries {
		mustRevoke(t, f, e)
	}
	check(f)
	check(openFile(t, copyOf(t, path), options)) // a crash
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, options)
	check(f)

	clock.Advance(10*time.Minute + 59*time.Second)
	check(f)
	clock.Advance(2 * time.Second)
	expect(t, f, revocation.Token{Issuer: issuer, ID: "token", Expiry: at.Add(10 * time.Minute)}, false)
}

// A longer Retention holds for entries that were revoked under a shorter one.
func TestReopenWithLongerRetention(t *testing.T) {
	clock := poptest.NewClock()
	path := filepathOf(t)
	f := openFile(t, path, revocation.Options{Now: clock.Now})
	mustRevoke(t, f, before("alice", clock.Now()))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, revocation.Options{Now: clock.Now, Retention: revocation.Retention{Lifetime: 3 * time.Hour}})
	clock.Advance(2 * time.Hour)
	tok := tokenOf("alice")
	tok.Expiry = tok.IssuedAt.Add(3 * time.Hour)
	expect(t, f, tok, true)
}

const stormPath = "SENDERLOCK_TEST_STORM"

// TestStorm is the child of TestKill: it revokes until it is killed, and says what was revoked.
func TestStorm(t *testing.T) {
	path := os.Getenv(stormPath)
	if path == "" {
		t.Skip("run by TestKill")
	}
	f := openFile(t, path, revocation.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := 0; ; j++ {
				name := fmt.Sprintf("%d.%d", i, j)
				if err := f.Revoke(context.Background(), subject(name)); err != nil {
					fmt.Printf("\nfailed: %v\n", err)
					os.Exit(1)
				}
				fmt.Printf("\nrevoked %s\n", name)
			}
		})
	}
	wg.Wait()
}

// Every revocation that returned is there after the process was killed in the middle of others.
func TestKill(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	path := filepathOf(t)
	revoked := make(map[string]bool)
	for round := range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestStorm$", "-test.v")
		child.Env = append(os.Environ(), stormPath+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		killed, count := false, 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "failed") {
				t.Error(lines.Text())
			}
			name, ok := strings.CutPrefix(lines.Text(), "revoked ")
			if !ok {
				continue
			}
			revoked[name] = true
			if count++; count >= 300+100*round && !killed {
				killed = true
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil || !killed {
			t.Fatalf("the child ended by itself: %v", err)
		}
		f := openFile(t, path, revocation.Options{})
		for name := range revoked {
			tok := tokenOf(name)
			tok.IssuedAt, tok.Expiry = time.Now(), time.Now().Add(time.Minute)
			expect(t, f, tok, true)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d revocations there after kill %d", len(revoked), round+1)
	}
}

func TestOpenTwice(t *testing.T) {
	path := filepathOf(t)
	f := openFile(t, path, revocation.Options{})
	if _, err := revocation.Open(path, revocation.Options{}); !errors.Is(err, revocation.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second Open = %v, want ErrLocked with the path", err)
	}
	mustRevoke(t, f, subject("alice")) // the first is unharmed
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFile(t, path, revocation.Options{})
}

func TestFileMode(t *testing.T) {
	path := filepathOf(t)
	openFile(t, path, revocation.Options{})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode is %o, want 600", got)
	}
}

func TestOpenMissingDirectory(t *testing.T) {
	_, err := revocation.Open(filepath.Join(t.TempDir(), "missing", "file"), revocation.Options{})
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, revocation.ErrFile) {
		t.Fatalf("Open = %v, want fs.ErrNotExist", err)
	}
}

func TestOpenWithoutPath(t *testing.T) {
	if _, err := revocation.Open("", revocation.Options{}); err == nil || !strings.Contains(err.Error(), "path is empty: give") {
		t.Errorf("Open = %v, want a refusal that says what to give", err)
	}
}

// A file that is not ours is refused and left as it is.
func TestForeignFile(t *testing.T) {
	other := func(change func(*bolt.Tx) error) []byte {
		path := filepathOf(t)
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, content := range map[string][]byte{
		"a word":         []byte("hello"),
		"a long text":    bytes.Repeat([]byte("hello\n"), 10_000),
		"zeros":          make([]byte, 1<<16),
		"another's file": other(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("users")); return err }),
		"a newer format": other(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("senderlock.revocation"))
			return errors.Join(err, b.Put([]byte("format"), []byte("2")))
		}),
		"no format": other(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("senderlock.revocation"))
			return err
		}),
		"no entries": other(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("senderlock.revocation"))
			return errors.Join(err, b.Put([]byte("format"), []byte("1")))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, content)
			for range 2 { // the refused file is not left locked
				if _, err := revocation.Open(path, revocation.Options{}); !errors.Is(err, revocation.ErrFile) {
					t.Fatalf("Open = %v, want ErrFile", err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// A damaged file is refused, unless nothing that it holds is damaged: no entry is ever lost in silence.
func TestDamagedFile(t *testing.T) {
	const entries = 400
	clock := poptest.NewClock()
	path := filepathOf(t)
	f := openFile(t, path, revocation.Options{Now: clock.Now})
	var wg sync.WaitGroup
	for i := range entries {
		wg.Go(func() {
			mustRevoke(t, f, before(strconv.Itoa(i), clock.Now()))
			if err := f.Record(context.Background(), tokenOf(strconv.Itoa(i)), "192.0.2.1"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// refused reports whether a file with this content is refused, as it must be if not all is there.
	files := 0
	refused := func(what string, content []byte) bool {
		t.Helper()
		files++
		damaged := path + strconv.Itoa(files)
		if err := os.WriteFile(damaged, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := revocation.Open(damaged, revocation.Options{Now: clock.Now})
		if err != nil {
			if !errors.Is(err, revocation.ErrFile) {
				t.Errorf("%s: Open = %v, want ErrFile", what, err)
			}
			return true
		}
		for i := range entries {
			name := strconv.Itoa(i)
			if e, err := f.Revoked(context.Background(), tokenOf(name)); e == nil || err != nil {
				t.Errorf("%s: entry %s was lost: %v, %v", what, name, e, err)
			}
			list, err := f.Uses(context.Background(), issuer, name)
			if err != nil || len(list) != 1 || list[0].Address != "192.0.2.1" {
				t.Errorf("%s: record of %s was lost: %v, %v", what, name, list, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		return false
	}
	if refused("intact", intact) {
		t.Fatal("the intact file was refused")
	}
	// The first two pages are bbolt's own: of two versions, it takes the newer one that is whole.
	page := os.Getpagesize()
	for _, size := range []int{2 * page, 3 * page, len(intact) / 2} {
		if !refused(fmt.Sprintf("cut to %d octets", size), intact[:size]) {
			t.Errorf("a file cut to %d octets was not refused", size)
		}
	}
	found := 0
	seeded := rand.New(rand.NewPCG(1, 1))
	for at := 2 * page; at < len(intact); at += page {
		zeroed := bytes.Clone(intact)
		clear(zeroed[at : at+page])
		if refused(fmt.Sprintf("page %d zeroed", at/page), zeroed) {
			found++
		}
		for offset := 8; offset < 16; offset++ { // flags, count and overflow of the page
			flipped := bytes.Clone(intact)
			flipped[at+offset] ^= 1 << seeded.IntN(8)
			if refused(fmt.Sprintf("octet %d of page %d is %02x", offset, at/page, flipped[at+offset]), flipped) {
				found++
			}
		}
	}
	repeated := 0 // some leaf pages are free
	for _, at := range leafPages(intact, page) {
		if refused(fmt.Sprintf("page %d shows its first record twice", at/page), repeatFirst(intact, at)) {
			repeated++
		}
	}
	if repeated == 0 {
		t.Error("no file with a repeated record was refused")
	}
	for range 100 {
		flipped := bytes.Clone(intact)
		at := 2*page + seeded.IntN(len(intact)-2*page)
		flipped[at] ^= 1 << seeded.IntN(8)
		if refused(fmt.Sprintf("octet %d is %02x", at, flipped[at]), flipped) {
			found++
		}
	}
	if found < 20 {
		t.Errorf("only %d damaged files were refused", found)
	}
}

// many is a file with 400 entries, and its content.
func many(t *testing.T, now func() time.Time) (path string, content []byte) {
	t.Helper()
	path = filepathOf(t)
	f := openFile(t, path, revocation.Options{Now: now})
	revokeMany(f, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

func revokeMany(f *revocation.File, ended func(error)) {
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() { ended(f.Revoke(context.Background(), subject(strconv.Itoa(i)))) })
	}
	all.Wait()
}

// A file that made bbolt panic is not locked afterwards: once it was put right, it is opened.
func TestDamagedFileIsLetGo(t *testing.T) {
	now := poptest.NewClock().Now
	path, intact := many(t, now)
	page := os.Getpagesize()
	damaged := bytes.Clone(intact)
	for at := 2 * page; at < len(damaged); at += page {
		if damaged[at+8] == 0x10 { // of free pages
			damaged[at+8] = 0x20
		}
	}
	for _, c := range []struct {
		content []byte
		want    error
	}{{damaged, revocation.ErrFile}, {damaged, revocation.ErrFile}, {intact, nil}} {
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := revocation.Open(path, revocation.Options{Now: now})
		if !errors.Is(err, c.want) {
			t.Errorf("Open = %v, want %v", err, c.want)
		}
		if err == nil {
			expect(t, f, tokenOf("7"), true)
			_ = f.Close()
		}
	}
}

// What is written to a file that was moved away, or that another has taken the place of, would not be found by the next
// process. It is in force in this one, and saved when the file is back.
func TestFileMoved(t *testing.T) {
	options := revocation.Options{Now: poptest.NewClock().Now}
	path := filepathOf(t)
	f := openFile(t, path, options)
	mustRevoke(t, f, subject("alice"))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	for _, replace := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		if err := f.Revoke(t.Context(), subject("bob")); !errors.Is(err, revocation.ErrDisk) {
			t.Errorf("Revoke = %v, want ErrDisk", err)
		}
		expect(t, f, tokenOf("bob"), true)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, f, subject("carol"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, options)
	for _, name := range []string{"alice", "bob", "carol"} {
		expect(t, f, tokenOf(name), true)
	}
}

// Damage that shows only when the file is written to, as how many pages belong together, ends no process: what could not
// be saved says so, all is in force, and the file is not locked. It may have become unreadable, but loses nothing in silence.
func TestDamageThatShowsLate(t *testing.T) {
	now := poptest.NewClock().Now
	path, intact := many(t, now)
	found := false
	for _, at := range leafPages(intact, os.Getpagesize()) {
		damaged := bytes.Clone(intact)
		damaged[at+12]++
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := revocation.Open(path, revocation.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		var unsaved atomic.Int64
		revokeMany(f, func(err error) {
			if err == nil {
				return
			}
			if unsaved.Add(1); !errors.Is(err, revocation.ErrDisk) || !errors.Is(err, revocation.ErrFile) {
				t.Errorf("Revoke = %v, want ErrDisk because of ErrFile", err)
			}
		})
		expect(t, f, tokenOf("7"), true)
		if err := f.Close(); (err != nil) != (unsaved.Load() > 0) {
			t.Errorf("Close = %v, and %d were not saved", err, unsaved.Load())
		}
		if unsaved.Load() > 0 {
			found = true
			again, err := revocation.Open(path, revocation.Options{Now: now})
			if err == nil {
				expect(t, again, tokenOf("7"), true)
				_ = again.Close()
			} else if !errors.Is(err, revocation.ErrFile) {
				t.Errorf("Open = %v, want ErrFile", err)
			}
		}
	}
	if !found {
		t.Error("no damage showed")
	}
}

// A clock that panics, whenever it is asked, ends the call that asked it: the file is not taken for damaged, and no call waits.
func TestFileClockPanics(t *testing.T) {
	path, left := filepathOf(t), 0
	options := revocation.Options{SaveEvery: time.Hour, Now: func() time.Time { // nothing else asks it meanwhile
		if left--; left == 0 {
			panic("no clock")
		}
		return poptest.Now
	}}
	f := openFile(t, path, options)
	panics := 0
	for asked := range 10 {
		func() {
			defer func() {
				if recover() != nil {
					panics++
				}
			}()
			left = 1 + asked
			_ = f.Revoke(t.Context(), subject("alice"))
		}()
		left = 0
		mustRevoke(t, f, subject("bob"))
	}
	if panics == 0 {
		t.Error("the clock was not asked")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// leafPages returns where bbolt's leaf pages with several records begin: page
// headers have their flags in octets 8 and 9, and their count in 10 and 11.
func leafPages(b []byte, page int) (at []int) {
	for i := 2 * page; i < len(b); i += page {
		if b[i+8] == 2 && b[i+10] >= 8 {
			at = append(at, i)
		}
	}
	return at
}

// repeatFirst returns b with the second record of a leaf page pointing to the first's octets. Each record has
// 16 octets after the page's 16: flags, position from here, size of key, size of value.
func repeatFirst(b []byte, page int) []byte {
	b = bytes.Clone(b)
	first, second := b[page+16:page+32], b[page+32:page+48]
	copy(second, first)
	binary.LittleEndian.PutUint32(second[4:], binary.LittleEndian.Uint32(first[4:])-16)
	return b
}

// keys returns the number of keys in each bucket of the file as it is now.
func keys(t testing.TB, path string) (entries, uses int) {
	t.Helper()
	db, err := bolt.Open(copyOf(t, path), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		entries, uses = tx.Bucket([]byte("entries")).Stats().KeyN, tx.Bucket([]byte("uses")).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, uses
}

func expectKeys(t testing.TB, path string, entries, uses int) {
	t.Helper()
	if e, u := keys(t, path); e != entries || u != uses {
		t.Fatalf("the file has %d entries and %d tokens in use, want %d and %d", e, u, entries, uses)
	}
}

// What has expired leaves the file by itself, with nobody calling.
func TestExpiredLeavesFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepathOf(t)
		f := openFile(t, path, revocation.Options{SaveEvery: time.Minute})
		ctx := context.Background()
		for i := range 20 {
			name := strconv.Itoa(i)
			tok := tokenOf(name)
			tok.Expiry = time.Now().Add(5 * time.Minute)
			mustRevoke(t, f, before(name, time.Now()))
			if err := f.Record(ctx, tok, ""); err != nil {
				t.Fatal(err)
			}
		}
		mustRevoke(t, f, revocation.Entry{
			Issuer: issuer, By: revocation.ByToken, Value: "x", Expiry: time.Now().Add(5 * time.Minute),
		})
		expectKeys(t, path, 21, 20)
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		expectKeys(t, path, 20, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		expectKeys(t, path, 0, 0)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What expired while the file was closed leaves it once the clock has run on for as long as anything is needed, and
// ErrClock holds across the restart.
func TestExpiredAtOpen(t *testing.T) {
	clock := poptest.NewClock()
	path := filepathOf(t)
	options := revocation.Options{Now: clock.Now}
	f := openFile(t, path, options)
	mustRevoke(t, f, before("alice", clock.Now()))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * time.Hour)
	f = openFile(t, path, options)
	expectKeys(t, path, 1, 0) // the clock may be wrong
	clock.Advance(time.Hour + 3*time.Minute)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	expectKeys(t, path, 0, 0)
	clock.Advance(-3*time.Hour - 3*time.Minute)
	f = openFile(t, path, options)
	if _, err := f.Revoked(context.Background(), tokenOf("alice")); !errors.Is(err, revocation.ErrClock) {
		t.Fatalf("Revoked = %v, want ErrClock", err)
	}
}

// A clock that is ahead at a start and set right later has made the store forget nothing, across the next start too:
// tokens that were not revoked are accepted at once, the others are denied.
func TestClockAheadAtOpen(t *testing.T) {
	clock := poptest.NewClock()
	path := filepathOf(t)
	options := revocation.Options{Now: clock.Now}
	f := openFile(t, path, options)
	mustRevoke(t, f, before("alice", clock.Now()))
	mustRevoke(t, f, revocation.Entry{
		Issuer: issuer, By: revocation.BySubject, Value: "old", Expiry: clock.Now().Add(10 * time.Minute),
	})
	for _, ahead := range []time.Duration{40 * time.Minute, 3 * time.Hour} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(ahead)
		f = openFile(t, path, options)
		mustRevoke(t, f, subject("carol")) // drops what it may
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(-ahead)
		f = openFile(t, path, options)
		expect(t, f, tokenOf("alice"), true)
		expect(t, f, tokenOf("old"), true)
		expect(t, f, tokenOf("bob"), false)
	}
}

// Entries beyond the capacity are read all the same.
func TestReopenWithLessCapacity(t *testing.T) {
	path := filepathOf(t)
	f := openFile(t, path, revocation.Options{})
	for _, name := range []string{"a", "b", "c"} {
		mustRevoke(t, f, subject(name))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, revocation.Options{Capacity: 1})
	for _, name := range []string{"a", "b", "c"} {
		tok := tokenOf(name)
		expect(t, f, tok, true)
	}
	if err := f.Revoke(context.Background(), subject("d")); !errors.Is(err, revocation.ErrFull) {
		t.Fatalf("Revoke = %v, want ErrFull", err)
	}
}

// Requests do not touch the file; when a token was last seen is saved in intervals, and at Close.
func TestLastSeenIsSavedInIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepathOf(t)
		f := openFile(t, path, revocation.Options{SaveEvery: 30 * time.Second})
		ctx := context.Background()
		start := time.Now()
		tok := tokenOf("alice")
		tok.Expiry = start.Add(5 * time.Minute)
		if err := f.Record(ctx, tok, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		lastSeen := func(path string) (time.Duration, string) {
			t.Helper()
			saved := openFile(t, copyOf(t, path), revocation.Options{})
			defer saved.Close()
			list, err := saved.Uses(ctx, issuer, "alice")
			if err != nil || len(list) != 1 {
				t.Fatalf("Uses = %v, %v after a crash", list, err)
			}
			return list[0].LastSeen.Sub(start.Truncate(time.Second)), list[0].Address
		}
		recorded, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			time.Sleep(time.Second)
			if ok, err := f.Seen(ctx, tok, "192.0.2.2"); !ok || err != nil {
				t.Fatalf("Seen = %t, %v", ok, err)
			}
			if err := f.Record(ctx, tok, "192.0.2.2"); err != nil {
				t.Fatal(err)
			}
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, recorded) {
			t.Fatalf("the file was written before the interval was over (%v)", err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if at, address := lastSeen(path); at != 20*time.Second || address != "192.0.2.2" {
			t.Errorf("saved as seen after %s from %s, want 20s from 192.0.2.2", at, address)
		}
		time.Sleep(9 * time.Second)
		if _, err := f.Seen(ctx, tok, "192.0.2.3"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if at, address := lastSeen(path); at != 40*time.Second || address != "192.0.2.3" {
			t.Errorf("saved at Close as seen after %s from %s, want 40s from 192.0.2.3", at, address)
		}
	})
}

// What the register was told is there after a crash.
func TestRegisterReopen(t *testing.T) {
	clock := poptest.NewClock()
	path := filepathOf(t)
	options := revocation.Options{Now: clock.Now}
	f := openFile(t, path, options)
	ctx := context.Background()
	for _, name := range []string{"alice", "bob"} {
		if err := f.Record(ctx, tokenOf(name), "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Forget(ctx, revocation.Use{Issuer: issuer, Subject: "bob", ID: "token of bob"}); err != nil {
		t.Fatal(err)
	}
	want, err := f.Uses(ctx, issuer, "alice")
	if err != nil || len(want) != 1 {
		t.Fatalf("Uses = %v, %v", want, err)
	}
	again := openFile(t, copyOf(t, path), options)
	if got, err := again.Uses(ctx, issuer, "alice"); err != nil || len(got) != 1 || got[0] != want[0] {
		t.Errorf("Uses = %+v, %v after a crash, want %+v", got, err, want)
	}
	if ok, err := again.Seen(ctx, tokenOf("bob"), ""); ok || err != nil {
		t.Errorf("Seen = %t, %v of a forgotten token after a crash", ok, err)
	}
}

// What was lifted stays lifted after a restart, and what was not stays in force.
func TestLiftIsDurable(t *testing.T) {
	path := filepathOf(t)
	f := openFile(t, path, revocation.Options{Now: poptest.NewClock().Now})
	for _, name := range []string{"alice", "bob"} {
		mustRevoke(t, f, subject(name))
	}
	if err := f.Lift(t.Context(), subject("alice")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFile(t, path, revocation.Options{Now: poptest.NewClock().Now})
	for name, denied := range map[string]bool{"alice": false, "bob": true} {
		if e, err := f.Revoked(t.Context(), tokenOf(name)); err != nil || (e != nil) != denied {
			t.Errorf("%s after a restart: %+v, %v, want denied %t", name, e, err, denied)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Lift(t.Context(), subject("bob")); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("Lift of a closed file = %v", err)
	}
}
