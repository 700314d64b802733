// Package privatefile keeps secrets in files that only their owner can read, written whole or not at all, and judges
// files that others must not change. On Windows access is not judged: it depends on more than a file's mode.
package privatefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The causes for which a file is not read.
var (
	ErrExposed  = errors.New("others than the owner have access to the file")
	ErrTooLarge = errors.New("the file is too large")
)

// Read returns the content of a file, of at most limit octets. A file that group or others have any access to is an
// [ErrExposed], and so is one that [Guarded] refuses.
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
	if err := errors.Join(readable(info), Guarded(file)); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%w: larger than %d octets", ErrTooLarge, limit)
	}
	return content, err
}

// maxSecret bounds a secret in octets.
const maxSecret = 64 << 10

// Secret is the text in a file that a user has named, without the space around it, by the rules of [Read].
func Secret(path string) (string, error) {
	content, err := Read(path, maxSecret)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("%s has no secret in it", path)
	}
	return text, nil
}

// Guarded refuses a file that somebody else than this process's user and root may write, or may put another in place
// of: because the file, or the folder of its name, is theirs or open to them. The error is an [ErrExposed].
func Guarded(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return guarded(info, file.Name())
}

func guarded(info fs.FileInfo, path string) error {
	if err := changeable(info); err != nil {
		return err
	}
	if err := guardedFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil { // else it is no file that has a name
		return guardedFolder(filepath.Dir(target))
	}
	return nil
}

// GuardedPath is [Guarded] for the file of a path, which it does not open, or that is yet to be made.
func GuardedPath(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return guardedFolder(filepath.Dir(path))
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	}
	return guarded(info, path)
}

func guardedFolder(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := changeable(info); err != nil {
		return fmt.Errorf("its folder %s: %w", path, err)
	}
	return nil
}

// Create writes a file that must not exist yet: otherwise the error is an [io/fs.ErrExist], also if another process
// was faster.
func Create(path string, content []byte) error { return write(path, content, os.Link) }

// Replace writes a file, in place of the one that is there. Who reads meanwhile sees the old content or the new.
func Replace(path string, content []byte) error { return write(path, content, os.Rename) }

// write leaves the whole content under path or nothing of it, whenever the machine stops.
func write(path string, content []byte, place func(from, to string) error) error {
	folder := filepath.Dir(path)
	if err := guardedFolder(folder); err != nil { // Read would not take the file
		return err
	}
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
	return SyncFolder(folder)
}
