package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// Log is the server's log. It keeps the last refusal. A zero Log is ready for use, and safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	last entry
	kind string        // of an alert since the last request
	news chan struct{} // an entry has come; made when somebody waits
	live io.Writer     // also hears of each entry, unless nil
}

// entry is what the middleware says of a refusal.
type entry struct {
	Message string `json:"msg"`
	Status  int    `json:"status"`
	Method  string `json:"method"`
	Route   string `json:"route"`
	Reason  string `json:"reason"`
	Cause   string `json:"cause"`
	Kind    string `json:"kind"` // of an alert
}

// alerted is what the log says at Warn when somebody other than its sender has a token.
const alerted = "bound token without its sender"

// cause gives the cause in plain words; in full with the expected and the received value.
func (e entry) cause(full bool) string {
	if full {
		return e.Cause
	}
	short, _, _ := strings.Cut(e.Cause, ": expected ")
	return short
}

// Logger returns what the server is given to write to.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// Write takes one JSON entry of package slog.
func (l *Log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return 0, err
	}
	if e.Message == alerted {
		l.kind = e.Kind
		if l.live != nil {
			fmt.Fprintf(l.live, "ALERT: %s: %s %s\n", e.Message, e.Kind, e.Route)
		}
		return len(text), nil
	}
	if e.Message == "request refused" || e.Message == "request could not be decided" { // not the end of a response, which may come beside another request
		l.last = e
		l.tell()
	}
	if l.live != nil {
		fmt.Fprintf(l.live, "%s: %s %s: %d %s: %s\n", e.Message, e.Method, e.Route, e.Status, e.Reason, e.Cause)
	}
	return len(text), nil
}

// Follow also tells w of each entry from now on.
func (l *Log) Follow(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = w
}

// alert is the kind of the alert that the last request raised; empty if it raised none.
func (l *Log) alert() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kind
}

func (l *Log) read() entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// wait is read for a log that comes by another way than the answer, and may come later.
func (l *Log) wait() entry {
	ctx, stop := context.WithTimeout(context.Background(), Patience)
	defer stop()
	for {
		l.mu.Lock()
		e := l.last
		if l.news == nil {
			l.news = make(chan struct{}, 1)
		}
		news := l.news
		l.mu.Unlock()
		if e != (entry{}) {
			return e
		}
		select {
		case <-news:
		case <-ctx.Done():
			return e // the answer then lacks its reason
		}
	}
}

// tell wakes whoever waits.
func (l *Log) tell() {
	select {
	case l.news <- struct{}{}:
	default: // nobody waits, or is told already
	}
}

func (l *Log) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.kind = entry{}, ""
}
