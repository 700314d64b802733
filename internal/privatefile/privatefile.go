// Package privatefile keeps secrets in files that only their owner can read, written whole or not at all.
package privatefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// The causes for which a file is not read.
var (
	ErrExposed  = errors.New("others than the owner have access to the file")
	ErrTooLarge = errors.New("the file is too large")
)

// Read returns the content of a file, of at most limit octets. A file that group or others have any access to is an
// [ErrExposed]. On Windows access is not checked: it depends on more than the file's mode.
func Read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The file that was opened is judged, not whatever has the name by now.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: its mode is %#o: replace the secret if someone may have read it, else run chmod 600",
			ErrExposed, mode)
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%w: larger than %d octets", ErrTooLarge, limit)
	}
	return content, err
}

// Create writes a file that must not exist yet: otherwise the error is an [io/fs.ErrExist], also if another process
// was faster.
func Create(path string, content []byte) error { return write(path, content, os.Link) }

// Replace writes a file, in place of the one that is there. Who reads meanwhile sees the old content or the new.
func Replace(path string, content []byte) error { return write(path, content, os.Rename) }

// write leaves the whole content under path or nothing of it, whenever the machine stops.
func write(path string, content []byte, place func(from, to string) error) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, ".private-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
