//go:build unix

package revocation_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// Whoever can write the file, or put another in its place, can undo revocations.
func TestOpenRefusesWhatOthersMayChange(t *testing.T) {
	for _, test := range []struct {
		name         string
		file, folder fs.FileMode
		owner        int    // 0: ours
		want         string // in the error; empty: it opens
	}{
		{"ours", 0o600, 0o700, 0, ""},
		{"readable", 0o644, 0o755, 0, ""},
		{"written by others", 0o602, 0o700, 0, "mode is 0602"},
		{"written by the group", 0o660, 0o700, 0, "mode is 0660"},
		{"in a folder that others write", 0o600, 0o777, 0, "mode is 0777"},
		{"of another user", 0o600, 0o700, 1000, "belongs to user 1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepathOf(t)
			f := openFile(t, path, revocation.Options{})
			mustRevoke(t, f, subject("alice"))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if test.owner != 0 && os.Geteuid() != 0 {
				t.Skip("needs root, which may give files away")
			}
			if test.owner != 0 {
				if err := os.Chown(path, test.owner, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chmod(path, test.file), os.Chmod(filepath.Dir(path), test.folder)); err != nil {
				t.Fatal(err)
			}
			again, err := revocation.Open(path, revocation.Options{})
			if test.want == "" && err != nil ||
				test.want != "" && (!errors.Is(err, revocation.ErrExposed) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil {
				expect(t, again, tokenOf("alice"), true)
				_ = again.Close()
			}
		})
	}
}

// A file that others may change is our own trouble, whoever asks.
func TestExposedIsOurs(t *testing.T) {
	if err := revocation.ErrExposed.Because(errors.New("mode 0644")); reason.IsRefusal(err) || reason.Of(err) != "revocation_exposed" {
		t.Errorf("%v is a refusal, or has another name", err)
	}
}
