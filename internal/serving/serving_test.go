package serving_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/serving"
)

// lateListener tells Serve that it is closed only once it has been closed again.
type lateListener struct {
	net.Listener
	closed atomic.Int32
	again  chan struct{}
}

func (l *lateListener) Close() error {
	if l.closed.Add(1) == 2 {
		close(l.again)
	}
	return l.Listener.Close()
}

func (l *lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.again
	}
	return conn, err
}

// That net/http has not yet seen a port closed, when it is told to end, is no failure.
func TestEndBeforeServeSeesIt(t *testing.T) {
	p := &serving.Port{Name: "PORT", Address: "127.0.0.1:0", Server: &http.Server{ReadHeaderTimeout: time.Minute}}
	if err := serving.Listen(p); err != nil {
		t.Fatal(err)
	}
	p.Listener = &lateListener{Listener: p.Listener, again: make(chan struct{})}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan struct{})
	p.Server.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() { // a request shows that Serve has the listener
		defer end()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+p.Addr().String(), nil)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = response.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		close(served)
	}()
	if err := serving.Serve(ctx, serving.End{Wait: time.Minute, Log: slog.New(slog.DiscardHandler)}, p); err != nil {
		t.Errorf("ended with %v", err)
	}
	<-served
}
