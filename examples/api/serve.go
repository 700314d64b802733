package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/internal/serving"
)

// The bounds of a connection. A token may have 16 KiB, a proof 8 and a certificate in a field 16.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 48 << 10

	// shutdownTimeout is how long the requests in flight may take once the program is ending: longer than any may.
	shutdownTimeout = readTimeout + writeTimeout
)

// serve answers requests until ctx is done, and then ends without losing one. While it ends, the load balancer learns of
// it from /healthz.
func (a *app) serve(ctx context.Context) error {
	s := a.settings
	ports := []*serving.Port{{Name: "PORT", Address: net.JoinHostPort(s.Host, s.Port), Server: a.server(a.api)}}
	if s.TLSPort != "" {
		p := &serving.Port{Name: "TLS_PORT", Address: net.JoinHostPort(s.Host, s.TLSPort), Server: a.server(a.api)}
		p.Server.TLSConfig = a.tls
		ports = append(ports, p)
	}
	if s.AdminPort != "" {
		ports = append(ports, &serving.Port{Name: "ADMIN_PORT", Address: net.JoinHostPort(s.AdminHost, s.AdminPort), Server: a.server(a.admin)})
	}
	if err := serving.Listen(ports...); err != nil {
		return err
	}
	end := serving.End{Begin: func() { a.ending.Store(true); a.ready.End() }, Delay: s.Drain, Wait: shutdownTimeout, Log: a.log}
	return serving.Serve(ctx, end, ports...)
}

func (a *app) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // handshakes of scanners, mostly
	}
}
