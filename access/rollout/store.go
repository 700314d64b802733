package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/senderlock/senderlock/internal/privatefile"
)

// Store keeps the summary, which is a text, for longer than a process lives. It must be safe for concurrent use.
type Store interface {
	// Load returns what is kept, or nil if nothing is.
	Load(ctx context.Context) ([]byte, error)
	// Swap puts a new text in the place of the old one, and reports whether that was still what is kept; nil is nothing.
	Swap(ctx context.Context, old, new []byte) (swapped bool, err error)
}

// maxSize is the most that is read: some 100,000 clients.
const maxSize = 64 << 20

// File is a [Store] in a file that only this process's user can read, written whole or not at all. It is for one process:
// two on one file may each lose what the other has counted.
type File string

// Load reads the file. A file that others have access to is an error.
func (f File) Load(context.Context) ([]byte, error) {
	text, err := privatefile.Read(string(f), maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Swap replaces the file.
func (f File) Swap(ctx context.Context, old, new []byte) (bool, error) {
	kept, err := f.Load(ctx)
	if err != nil || !bytes.Equal(kept, old) {
		return false, err
	}
	return true, privatefile.Replace(string(f), new)
}

// document is what is kept, and what the Handler answers.
type document struct {
	Clients []Client `json:"clients"`
}

func (t table) encode() []byte {
	text, err := json.Marshal(document{t.list()})
	if err != nil {
		panic(err) // texts, numbers and times of ours
	}
	return text
}

func decode(text []byte) (table, error) {
	all := table{}
	if text == nil {
		return all, nil
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("what is kept is no summary: %w", err)
	}
	for _, c := range d.Clients {
		all[c.id()] = &c
	}
	return all, nil
}
