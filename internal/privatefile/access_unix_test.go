//go:build unix

package privatefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/privatefile"
)

// place is a file in a folder, and how others stand to both. The owner of what is not said is this process's user.
type place struct {
	file, folder fs.FileMode
	fileOf       int // as uid; 0: ours
	folderOf     int
	folderGroup  int // as gid; 0: ours
}

// make puts the file there and returns its path.
func (p place) make(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "folder")
	path := filepath.Join(folder, "file")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(folder, 0o700))
	check(os.WriteFile(path, []byte("content"), 0o600))
	check(os.Chmod(path, p.file))
	check(os.Chmod(folder, p.folder))
	if p.fileOf+p.folderOf+p.folderGroup > 0 {
		if os.Geteuid() != 0 {
			t.Skip("needs root, which may give files away")
		}
		check(os.Chown(path, p.fileOf, 0))
		check(os.Chown(folder, p.folderOf, p.folderGroup))
	}
	return path
}

func TestWhoMayChangeIt(t *testing.T) {
	const sticky = fs.ModeSticky
	for _, test := range []struct {
		name    string
		place   place
		read    string // what Read says; empty: it reads
		guarded string // what Guarded says
	}{
		{"ours alone", place{file: 0o600, folder: 0o700}, "", ""},
		{"in a folder that others may read", place{file: 0o600, folder: 0o755}, "", ""},
		{"in a folder like /tmp", place{file: 0o600, folder: 0o777 | sticky}, "", ""},
		{"read by the group", place{file: 0o640, folder: 0o700}, "mode is 0640", ""},
		{"read by others", place{file: 0o604, folder: 0o700}, "mode is 0604", ""},
		{"run by the group", place{file: 0o610, folder: 0o700}, "mode is 0610", ""},
		{"run by others", place{file: 0o601, folder: 0o700}, "mode is 0601", ""},
		{"written by the group", place{file: 0o620, folder: 0o700}, "mode is 0620", "mode is 0620"},
		{"written by others", place{file: 0o602, folder: 0o700}, "mode is 0602", "mode is 0602"},
		{"in a folder that others write", place{file: 0o600, folder: 0o707}, "mode is 0707", "mode is 0707"},
		{"of another user", place{file: 0o600, folder: 0o700, fileOf: 1000}, "belongs to user 1000", "belongs to user 1000"},
		{"planted in a folder like /tmp", place{file: 0o600, folder: 0o777 | sticky, fileOf: 1000}, "belongs to user 1000", "belongs to user 1000"},
		{"in a folder of another user", place{file: 0o600, folder: 0o700, folderOf: 1000}, "belongs to user 1000", "belongs to user 1000"},
		{"in a folder that another group writes", place{file: 0o600, folder: 0o770, folderGroup: 1000}, "mode is 0770", "mode is 0770"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.place.make(t)
			linked := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(path, linked); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{path, linked} {
				_, err := privatefile.Read(path, 100)
				judged(t, "Read", err, test.read)
				file, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				judged(t, "Guarded", privatefile.Guarded(file), test.guarded)
			}
		})
	}
}

// A link counts as little as the folder that it is in, however well what it leads to is kept: others can put another there.
func TestLinkInAnOpenFolder(t *testing.T) {
	open := place{file: 0o600, folder: 0o707}.make(t) + "-link"
	if err := os.Symlink(place{file: 0o600, folder: 0o700}.make(t), open); err != nil {
		t.Fatal(err)
	}
	_, err := privatefile.Read(open, 100)
	judged(t, "Read", err, "mode is 0707")
	file, err := os.Open(open)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	judged(t, "Guarded", privatefile.Guarded(file), "mode is 0707")
}

func judged(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (!errors.Is(err, privatefile.ErrExposed) || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// A folder that the group may write is open to nobody else if the group is its owner's alone: of the same number, as
// on systems with a umask of 002.
func TestPrivateGroup(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o770); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, -1, os.Geteuid()); err != nil {
		t.Skipf("this user has no group of its own: %v", err)
	}
	path := filepath.Join(folder, "file")
	if err := privatefile.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := privatefile.Read(path, 100); err != nil {
		t.Error(err)
	}
}

// Nothing is written where it would not be read.
func TestWriteRefuses(t *testing.T) {
	path := place{file: 0o600, folder: 0o702}.make(t)
	judged(t, "Create", privatefile.Create(path+"2", nil), "mode is 0702")
	judged(t, "Replace", privatefile.Replace(path, nil), "mode is 0702")
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
