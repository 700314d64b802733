package logqueue_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/logqueue"
)

// A pipe that nobody reads from is soon full. Whoever logs goes on, what is lost is counted, and told once somebody reads.
func TestFullPipe(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const room, lines = 10, 5000 // of some 200 octets, far more than a pipe holds
	w, err := logqueue.New(logqueue.Config{Writer: in, Lines: room})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(w, nil))
	for range lines {
		log.Info("request accepted", "padding", strings.Repeat("x", 200))
	}
	if w.Lost() == 0 {
		t.Fatal("nothing was lost")
	}
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(out)
		read <- string(all)
	}()
	if err := w.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	all := <-read
	written := int64(strings.Count(all, "request accepted"))
	if written+w.Lost() != lines {
		t.Errorf("%d written and %d lost of %d", written, w.Lost(), lines)
	}
	if !strings.Contains(all, `"msg":"lines of the log were lost","lost":`) {
		t.Error("nobody was told")
	}
}

// Where there is room nothing is lost, and the order is kept.
func TestOrder(t *testing.T) {
	var out bytes.Buffer
	w, err := logqueue.New(logqueue.Config{Writer: &out, Lines: 3})
	if err != nil {
		t.Fatal(err)
	}
	line := []byte("a\n")
	for i := range 3 {
		line[0] = 'a' + byte(i) // its buffer is used again
		_, _ = w.Write(line)
	}
	if err := w.Close(time.Minute); err != nil || out.String() != "a\nb\nc\n" || w.Lost() != 0 {
		t.Errorf("%v, %q, %d lost", err, &out, w.Lost())
	}
	if _, err := w.Write(line); err != nil || w.Lost() != 1 {
		t.Errorf("after Close: %v, %d lost", err, w.Lost())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// What cannot be written counts as lost.
func TestUnwritable(t *testing.T) {
	w, err := logqueue.New(logqueue.Config{Writer: failing{}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("a\n"))
	if err := w.Close(time.Minute); err != nil || w.Lost() != 1 {
		t.Errorf("%v, %d lost", err, w.Lost())
	}
}

type hanging struct{ end chan struct{} }

func (h hanging) Write(b []byte) (int, error) { <-h.end; return len(b), nil }

// The end of a program does not wait for ever.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		w, err := logqueue.New(logqueue.Config{Writer: hanging{end}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("a\n"))
		began := time.Now()
		if err := w.Close(time.Second); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(end)
	})
}

func TestSettings(t *testing.T) {
	for want, c := range map[string]logqueue.Config{
		"Writer is nil": {}, "Lines is -1": {Writer: io.Discard, Lines: -1},
	} {
		if _, err := logqueue.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
