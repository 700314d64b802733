package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errIdle is why a request ends in which nothing goes on any more.
var errIdle = errors.New("gateway: nothing has come for too long")

// idle ends a request whose body, or whose answer, stands still for too long. What goes on may take as long as it wants.
type idle struct {
	limit   time.Duration
	timer   *time.Timer // stopped while the service thinks, which has a limit of its own
	reading atomic.Bool // the client is waited for
	late    atomic.Bool // it was, for too long
	all     atomic.Bool // of the body has come, or the connection does not depend on it
	begun   atomic.Bool // the answer has
	over    atomic.Bool // the request is: its connection may carry another
}

// watch returns a context that ends when nothing goes on, and what releases it.
func (i *idle) watch(ctx context.Context, w http.ResponseWriter) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	i.timer = time.AfterFunc(i.limit, func() {
		if i.over.Load() {
			return
		}
		i.late.Store(i.reading.Load())
		cancel(errIdle)
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // nobody waits for the rest of the body
		if i.begun.Load() {                                                // nor for a client that takes no more of the answer
			_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
		}
	})
	return ctx, func() {
		i.over.Store(true)
		i.timer.Stop()
		cancel(context.Canceled)
	}
}

// body is the body of a request. Without one nothing is waited for until there is an answer.
func (i *idle) body(body io.ReadCloser) io.ReadCloser {
	if body == nil || body == http.NoBody {
		i.timer.Stop()
		return http.NoBody
	}
	return &sent{body, i}
}

// sent is the body of a request.
type sent struct {
	io.ReadCloser
	idle *idle
}

func (b *sent) Read(p []byte) (int, error) {
	b.idle.reading.Store(true)
	n, err := b.ReadCloser.Read(p)
	b.idle.reading.Store(false)
	if err == io.EOF {
		b.idle.all.Store(true)
	}
	if err != nil {
		b.idle.ended()
	} else if n > 0 {
		b.idle.timer.Reset(b.idle.limit)
	}
	return n, err
}

// ended is called behind the body of a request: what is waited for now is the service, or the rest of its answer.
func (i *idle) ended() {
	i.timer.Stop()
	if i.begun.Load() {
		i.timer.Reset(i.limit)
	}
}

// letGo is for a body that nobody wants: what net/http reads of it, so that the connection can carry another request, comes
// within the limit.
func (i *idle) letGo(w http.ResponseWriter) {
	if !i.all.Load() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(i.limit))
	}
}

// closes has the connection closed behind an answer that begins before all of the body has come. net/http would read the rest
// and go on, but cannot in full duplex: it panics (go.dev/issue/68560), or takes for a request what comes too late.
func (i *idle) closes(h http.Header) {
	if !i.all.Load() {
		h.Set("Connection", "close")
	}
}

// answer is the body of an answer, or a connection that was taken over.
func (i *idle) answer(body io.ReadCloser) io.ReadCloser {
	i.begun.Store(true) // in front of Reset, which ended may undo
	i.timer.Reset(i.limit)
	if conn, ok := body.(io.ReadWriteCloser); ok {
		return &connection{got{conn, i}, conn}
	}
	return &got{body, i}
}

type got struct {
	io.ReadCloser
	idle *idle
}

func (b *got) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.idle.timer.Reset(b.idle.limit)
	}
	return n, err
}

type connection struct {
	got
	io.Writer
}

func (c *connection) Write(p []byte) (int, error) {
	c.idle.timer.Reset(c.idle.limit)
	return c.Writer.Write(p)
}
