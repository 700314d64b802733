//go:build linux

package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// limitFiles lets no file of this process grow beyond size, until the returned function is called.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(lift)
	return lift
}

// A revocation that cannot be saved says so, is in force all the same, and is saved when the disk is well again.
func TestDiskFull(t *testing.T) {
	path := filepathOf(t)
	options := revocation.Options{Now: poptest.NewClock().Now}
	f := openFile(t, path, options)
	ctx := context.Background()
	lift := limitFiles(t, 64<<10)
	saved, failed := 0, ""
	for i := range 5000 {
		name := fmt.Sprintf("%01000d", i)
		err := f.Revoke(ctx, subject(name))
		if err == nil {
			saved++
			continue
		}
		if failed = name; !errors.Is(err, revocation.ErrDisk) {
			t.Fatalf("Revoke = %v, want ErrDisk", err)
		}
		break
	}
	if failed == "" {
		t.Fatal("the disk was never full")
	}
	expect(t, f, tokenOf(failed), true)
	unrecorded := ""
	for i := range 200 {
		tok := tokenOf(fmt.Sprint(i))
		tok.Client = fmt.Sprintf("%04000d", i)
		if err := f.Record(ctx, tok, ""); err != nil {
			if unrecorded = tok.Subject; !errors.Is(err, revocation.ErrDisk) {
				t.Errorf("Record = %v, want ErrDisk", err)
			}
			break
		}
	}
	if ok, err := f.Seen(ctx, tokenOf(unrecorded), ""); ok || err != nil || unrecorded == "" {
		t.Errorf("Seen = %t, %v of a token that could not be recorded", ok, err)
	}
	crashed := openFile(t, copyOf(t, path), options)
	for i := range saved {
		expect(t, crashed, tokenOf(fmt.Sprintf("%01000d", i)), true)
	}
	expect(t, crashed, tokenOf(failed), false)

	lift()
	mustRevoke(t, f, subject("bob"))
	if err := f.Close(); err != nil { // writes what is pending
		t.Fatal(err)
	}
	f = openFile(t, path, options)
	for _, name := range []string{failed, "bob"} {
		expect(t, f, tokenOf(name), true)
	}
}

// The name of a new file has to survive as well. A folder that cannot be synced is that of a process's open files.
func TestOpenSyncsTheFolder(t *testing.T) {
	file, err := os.OpenFile(filepathOf(t), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := revocation.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), revocation.Options{})
	if !errors.Is(err, revocation.ErrDisk) {
		t.Errorf("got %v, want ErrDisk", err)
	}
	if err == nil {
		_ = f.Close()
	}
}
