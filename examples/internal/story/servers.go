package story

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Servers are those of an example, on this machine. The zero value has none yet.
type Servers struct{ enders []func() error }

// Defer has end called by Close, before what was deferred earlier.
func (s *Servers) Defer(end func() error) { s.enders = append(s.enders, end) }

// Listen takes a port of this machine until Close; 0 takes a free one. The address is host and port.
func (s *Servers) Listen(port uint) (listener net.Listener, address string, err error) {
	listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, "", err
	}
	s.Defer(listener.Close)
	return listener, listener.Addr().String(), nil
}

// Serve serves h until Close. What handshakes fail of is told by the clients.
func (s *Servers) Serve(listener net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	s.Defer(server.Close)
	go func() { _ = server.Serve(listener) }() // until Close
}

// Close ends what was begun, the last first. The program says what went wrong.
func (s *Servers) Close(p Program) {
	for i := len(s.enders) - 1; i >= 0; i-- {
		if err := s.enders[i](); err != nil && !errors.Is(err, net.ErrClosed) {
			fmt.Fprintf(p.Err, "%s: %v\n", p.Name, err)
		}
	}
	s.enders = nil
}
