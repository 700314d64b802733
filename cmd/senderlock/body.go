package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
)

// body is what curl's flags say of a request's body. A file is read when the request is made.
type body struct {
	parts  []part
	isJSON bool
	upload string // the name of a file
}

// part is a piece of a body: a text or a file, from which form data drops the ends of lines.
type part struct {
	text, file string
	trim       bool
}

func (b *body) form(value string) error   { return b.add(value, true, true) }
func (b *body) binary(value string) error { return b.add(value, true, false) }
func (b *body) raw(value string) error    { return b.add(value, false, false) }

func (b *body) json(value string) error {
	b.isJSON = true
	return b.add(value, true, false)
}

func (b *body) add(value string, mayBeFile, trim bool) error {
	file, isFile := strings.CutPrefix(value, "@")
	switch {
	case !isFile || !mayBeFile:
		b.parts = append(b.parts, part{text: value})
	case file == "":
		return errors.New("there is no name of a file behind @")
	default:
		b.parts = append(b.parts, part{file: file, trim: trim})
	}
	return nil
}

func (b *body) readsStdin() bool {
	for _, p := range b.parts {
		if p.file == "-" {
			return true
		}
	}
	return b.upload == "-"
}

// set gives a request its body, and what its header says of it.
func (b *body) set(r *http.Request, stdin io.Reader) error {
	switch {
	case b.parts != nil && b.upload != "":
		return errors.New("-d and -T both give a body: choose one")
	case b.upload != "":
		return b.setUpload(r, stdin)
	case b.parts == nil:
		return nil
	}
	var text bytes.Buffer
	for i, p := range b.parts {
		if i > 0 && !b.isJSON {
			text.WriteByte('&')
		}
		piece, err := p.read(stdin)
		if err != nil {
			return err
		}
		text.Write(piece)
	}
	content := text.Bytes()
	r.ContentLength = int64(len(content))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	r.Body, _ = r.GetBody()
	if len(content) == 0 {
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if b.isJSON {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json")
	}
	return nil
}

func (p part) read(stdin io.Reader) ([]byte, error) {
	var text []byte
	var err error
	switch p.file {
	case "":
		return []byte(p.text), nil
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(p.file)
	}
	if p.trim {
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r"), nil), []byte("\n"), nil)
	}
	return text, err
}

// setUpload sends a file as it is read, without a copy in memory.
func (b *body) setUpload(r *http.Request, stdin io.Reader) error {
	if b.upload == "-" {
		r.Body, r.ContentLength = io.NopCloser(stdin), -1
		return nil
	}
	file, err := os.Open(b.upload)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = file, -1
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() { // what comes out of a pipe comes once
		r.ContentLength = info.Size()
		r.GetBody = func() (io.ReadCloser, error) { return os.Open(b.upload) }
	}
	return err
}
