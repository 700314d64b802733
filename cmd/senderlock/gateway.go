package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/senderlock/senderlock/cmd/senderlock/internal/extauthz"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/serving"
	"github.com/senderlock/senderlock/internal/settings"
	"github.com/senderlock/senderlock/logqueue"
)

// The bounds of a connection. A body or an answer may take as long as something comes (IDLE_TIMEOUT), and an answer ends
// with its token.
const (
	gatewayHeaderTimeout = 5 * time.Second
	gatewayIdleTimeout   = 2 * time.Minute
	gatewayMaxHeader     = 48 << 10

	// gatewayWait is how long the requests in flight may take once the program is ending.
	gatewayWait = 45 * time.Second
	logWait     = 2 * time.Second
)

// The paths that the program answers itself, on the port of the service.
const (
	keysPath  = "/.well-known/senderlock/jwks.json"
	readyPath = "/.well-known/senderlock/ready"
)

func gatewayCommand() *cobra.Command {
	return serverCommand(&cobra.Command{
		Use:   "gateway [flags]",
		Short: "Protect a service in any language, as a reverse proxy",
		Long: `Forwards the requests that the Guard accepts to a service, and tells it who is
calling. Settings are variables of the environment or keys of a file;
docs/gateway.md lists them. SIGHUP reads them anew.`,
		Example: `  ISSUER=https://login.example.com AUDIENCE=https://api.example.com \
    senderlock gateway --upstream http://127.0.0.1:3000 \
    --route 'GET /{path...} scopes=read'`,
	}, false)
}

func forwardAuthCommand() *cobra.Command {
	return serverCommand(&cobra.Command{
		Use:   "forward-auth [flags]",
		Short: "Answer a proxy that asks whether a request may go on",
		Long: `Answers a proxy (nginx, Caddy, Traefik, HAProxy, Envoy) that asks before it
forwards a request: 200 with who is calling, or the refusal. Settings are
variables of the environment or keys of a file; docs/gateway.md lists them, with
those of each proxy.`,
		Example: `  FORWARD_AUTH=nginx TRUSTED_PROXIES=127.0.0.1 \
    senderlock forward-auth --config forward-auth.yaml`,
	}, true)
}

func serverCommand(command *cobra.Command, forwardAuth bool) *cobra.Command {
	s := source{env: os.Getenv}
	var check bool
	command.Args = cobra.NoArgs
	command.RunE = func(command *cobra.Command, _ []string) error {
		if check {
			read, err := readGateway(s, forwardAuth)
			if err != nil {
				return err
			}
			return read.check()
		}
		return serveGateway(command.Context(), s, forwardAuth, command.OutOrStdout())
	}
	command.Flags().StringVar(&s.file, "config", "", "the YAML `file` with settings; variables of the environment count first")
	command.Flags().StringVar(&s.upstream, "upstream", "", "the `origin` of the service, in place of UPSTREAM")
	command.Flags().StringArrayVar(&s.routes, "route", nil, "a `route`, in place of ROUTES; may be given more than once")
	command.Flags().BoolVar(&check, "check-config", false, "judge the settings, and end")
	return command
}

// serveGateway serves until ctx is done, and reads the settings anew at each SIGHUP.
func serveGateway(ctx context.Context, from source, forwardAuth bool, out io.Writer) error {
	s, err := readGateway(from, forwardAuth)
	if err != nil {
		return err
	}
	lines, err := logqueue.New(logqueue.Config{Writer: out}) // a log that nobody drains stops no request
	if err != nil {
		return err
	}
	defer func() { _ = lines.Close(logWait) }()
	log := slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: s.Level}))
	g, err := newReloadable(s, log)
	if err != nil {
		return err
	}
	g.current.FetchKeys() // readiness waits for them
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				g.reload(from)
			}
		}
	}()
	return errors.Join(g.serve(ctx, s.Settings, log), g.Close())
}

// serve opens the ports.
func (g *reloadable) serve(ctx context.Context, s *settings.Settings, log *slog.Logger) error {
	var ending atomic.Bool
	forward := http.Handler(g)
	asksByGRPC := g.current.settings.preset == gateway.Envoy
	if asksByGRPC {
		forward = extauthz.Handler(g)
	}
	idle := g.current.settings.idle
	ready, keys := bodiless(g.watch.Ready, idle), bodiless(g.signer, idle)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ending.Load() {
			w.Header().Set("Connection", "close") // so that no request is sent on a connection that is about to be closed
		}
		switch path, _, _ := strings.Cut(r.RequestURI, "?"); path {
		case readyPath:
			ready.ServeHTTP(w, r)
		case keysPath:
			keys.ServeHTTP(w, r)
		default:
			forward.ServeHTTP(w, r)
		}
	})
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(asksByGRPC)
	server := func() *http.Server {
		return &http.Server{
			Handler: handler, Protocols: &protocols, ReadHeaderTimeout: gatewayHeaderTimeout, IdleTimeout: gatewayIdleTimeout, MaxHeaderBytes: gatewayMaxHeader,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
	}
	ports := []*serving.Port{{Name: "PORT", Address: net.JoinHostPort(s.Host, s.Port), Server: server()}}
	certificates, err := s.TLS(log)
	if err != nil {
		return err
	}
	if certificates != nil {
		p := &serving.Port{Name: "TLS_PORT", Address: net.JoinHostPort(s.Host, s.TLSPort), Server: server()}
		p.Server.TLSConfig = certificates
		ports = append(ports, p)
	}
	if s.AdminPort != "" {
		p := &serving.Port{Name: "ADMIN_PORT", Address: net.JoinHostPort(s.AdminHost, s.AdminPort), Server: server()}
		admin, err := g.watch.Handler(g.stores.Tokens, nil)
		if err != nil {
			return err
		}
		p.Server.Handler = bodiless(admin, idle)
		ports = append(ports, p)
	}
	if err := serving.Listen(ports...); err != nil {
		return err
	}
	end := serving.End{Begin: func() { ending.Store(true); g.watch.Ready.End() }, Delay: s.Drain, Wait: gatewayWait, Log: log}
	return serving.Serve(ctx, end, ports...)
}

// bodiless serves what the program answers itself: a body that does not come holds no connection for longer than a time.
func bodiless(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.NoBody(w, r, limit)
		next.ServeHTTP(w, r)
	})
}
