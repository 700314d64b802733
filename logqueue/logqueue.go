// Package logqueue keeps a log that nobody drains from holding requests up. A slog handler writes while its caller waits,
// behind one lock: a pipe that is full, or a disk that hangs, then stops every request that logs. [New] makes a writer
// with a bounded queue in front of another one. What does not fit is dropped, counted and told.
//
// It carries no RFC, and knows nothing of requests.
package logqueue

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Config holds the settings of a [Writer]. Writer is required.
type Config struct {
	// Writer takes the lines, one after another, and may block.
	Writer io.Writer
	// Lines is how many lines may wait. Zero means 8,192.
	Lines int
	// Told makes the line that tells how many were lost, as soon as there is room again. Nil means one in JSON, as
	// slog.JSONHandler writes it.
	Told func(lost int64) []byte
}

const defaultLines = 8192

// Writer is an [io.Writer] for a slog handler: each Write is one line, and none of them waits. Its methods are safe for
// concurrent use. Close it when nothing is logged any more.
type Writer struct {
	config Config
	lines  chan []byte
	lost   atomic.Int64 // not yet told
	all    atomic.Int64

	mu     sync.RWMutex // held for writing by Close alone
	closed bool
	done   chan struct{}
}

// New starts a Writer. Its error names the setting and what to put there.
func New(c Config) (*Writer, error) {
	switch {
	case c.Writer == nil:
		return nil, errors.New("logqueue.Config: Writer is nil: give where the lines go, such as os.Stdout")
	case c.Lines < 0:
		return nil, fmt.Errorf("logqueue.Config: Lines is %d: give how many lines may wait, or zero for %d", c.Lines, defaultLines)
	case c.Lines == 0:
		c.Lines = defaultLines
	}
	if c.Told == nil {
		c.Told = told
	}
	w := &Writer{config: c, lines: make(chan []byte, c.Lines), done: make(chan struct{})}
	go w.drain()
	return w, nil
}

func told(lost int64) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"lines of the log were lost","lost":%d}`+"\n",
		time.Now().Format(time.RFC3339Nano), lost)
}

// Write takes a line, or counts it as lost. It never fails and never waits.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		w.lose()
		return len(line), nil
	}
	select {
	case w.lines <- append([]byte(nil), line...): // slog uses its buffer again
	default:
		w.lose()
	}
	return len(line), nil
}

func (w *Writer) lose() {
	w.lost.Add(1)
	w.all.Add(1)
}

// Lost returns how many lines have been lost since the start.
func (w *Writer) Lost() int64 { return w.all.Load() }

// drain writes what waits, and before it how much was lost. A line that cannot be written is lost too.
func (w *Writer) drain() {
	defer close(w.done)
	for line := range w.lines {
		w.tell()
		if _, err := w.config.Writer.Write(line); err != nil {
			w.lose()
		}
	}
	w.tell()
}

func (w *Writer) tell() {
	lost := w.lost.Swap(0)
	if lost == 0 {
		return
	}
	if _, err := w.config.Writer.Write(w.config.Told(lost)); err != nil {
		w.lost.Add(lost) // told with the next
	}
}

// Close writes what waits, for as long as wait at most, and returns an error if that was not enough. Later lines are
// lost.
func (w *Writer) Close(wait time.Duration) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.lines)
	}
	w.mu.Unlock()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-w.done:
		return nil
	case <-late.C:
		return fmt.Errorf("logqueue: %d lines were not written within %v", len(w.lines), wait)
	}
}
