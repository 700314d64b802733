//go:build unix

package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// readable refuses a file to which others have any access.
func readable(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: its mode is %#o: replace the secret if someone may have read it, else run chmod 600",
			ErrExposed, mode)
	}
	return nil
}

// changeable refuses a file or folder that others own or may write.
func changeable(info fs.FileInfo) error {
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: its owner is unknown", ErrExposed)
	}
	if of.Uid != 0 && int(of.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to user %d: let it belong to user %d, which runs this, by chown",
			ErrExposed, of.Uid, os.Geteuid())
	}
	mode := info.Mode()
	if info.IsDir() && mode&fs.ModeSticky != 0 {
		return nil // others put no file in place of ours
	}
	others := mode.Perm() & 0o022
	if info.IsDir() && of.Gid == of.Uid {
		others &= 0o002 // the group is of that user alone, as where umask is 002
	}
	if others != 0 {
		return fmt.Errorf("%w: its mode is %#o: see whether somebody changed it, then run chmod go-w", ErrExposed, mode.Perm())
	}
	return nil
}

// SyncFolder makes the names of the files in a folder as durable as their contents.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
