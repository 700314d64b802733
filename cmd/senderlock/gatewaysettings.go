package main

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop/keyfile"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/settings"
)

// gatewaySettings are those of examples/api, and those that only a gateway has.
type gatewaySettings struct {
	*settings.Settings
	upstream, authorization string
	routes                  []gateway.Route
	timeout, idle           time.Duration
	maxBody                 int64
	name                    string
	key                     crypto.Signer // nil: one is made
	preset                  gateway.Preset

	values map[string]string // as they were set, by name
}

// elsewhere are settings of the vocabulary that a gateway has no use for.
var elsewhere = map[string]string{
	"LOGOUT_CLIENT_ID": "leave it out: the gateway takes no logout tokens",
}

// own are what may change while the program runs besides what the Guard is made of.
var ownSettings = []string{"UPSTREAM", "ROUTES", "UPSTREAM_AUTHORIZATION", "UPSTREAM_TIMEOUT", "IDLE_TIMEOUT", "MAX_BODY", "CORS_ORIGIN"}

// guardSettings are what only the Guard is made of.
var guardSettings = []string{
	"ISSUER", "AUDIENCE", "JWKS_URI", "CA_FILE", "ACCEPT_TYPE_JWT", "KEY_REFRESH", "CLIENT_CA_FILE", "PUBLIC_ORIGINS",
	"CLIENT_CERT_HEADER", "TRUSTED_PROXIES", "DPOP_NONCE", "DPOP_NONCE_SECRETS", "REPORT_ONLY",
	"INTROSPECTION_ENDPOINT", "INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET", "INTROSPECTION_TOKEN_LIFETIME",
}

// readGateway reads all settings. Its error has a line for each that is wrong.
func readGateway(from source, forwardAuth bool) (*gatewaySettings, error) {
	file, err := from.open()
	if err != nil {
		return nil, err
	}
	r := settings.NewReader(file.get)
	s := &gatewaySettings{
		Settings: settings.Read(r), upstream: r.Text("UPSTREAM", ""), authorization: r.Text("UPSTREAM_AUTHORIZATION", ""),
		timeout: r.Seconds("UPSTREAM_TIMEOUT", gateway.DefaultTimeout, time.Second, time.Hour),
		idle:    r.Seconds("IDLE_TIMEOUT", gateway.DefaultIdle, time.Second, 24*time.Hour),
		maxBody: gateway.DefaultMaxBody,
	}
	for name, want := range elsewhere {
		if r.Text(name, "") != "" {
			r.Wrong(name, want)
		}
	}
	if text := r.Text("MAX_BODY", ""); text != "" {
		n, err := strconv.ParseUint(text, 10, 40)
		if s.maxBody = int64(n); err != nil || n == 0 {
			r.Wrong("MAX_BODY", "set a number of octets, such as 10485760")
		}
	}
	s.readRoutes(r)
	s.readSigner(r)
	s.readPreset(r, forwardAuth)
	s.values = map[string]string{}
	for _, name := range r.Asked() {
		s.values[name] = file.get(name)
	}
	return s, errors.Join(r.Err(), file.unknown(r.Asked()))
}

func (s *gatewaySettings) readRoutes(r *settings.Reader) {
	for _, line := range r.Lines("ROUTES") {
		route, err := parseRoute(line)
		if err != nil {
			r.Wrong("ROUTES", fmt.Sprintf("in %q, %v", line, err))
			return
		}
		if cmp.Or(route.Upstream, s.upstream) == "" {
			r.Wrong("UPSTREAM", "set the origin of the service, such as http://127.0.0.1:3000, or upstream=… in each route")
			return
		}
		s.routes = append(s.routes, route)
	}
	if len(s.routes) == 0 {
		r.Wrong("ROUTES", "set what may be asked for, such as GET /orders/{id} scopes=orders:read")
	}
}

func (s *gatewaySettings) readSigner(r *settings.Reader) {
	var first string
	if len(s.Origins) > 0 {
		first = s.Origins[0]
	}
	s.name = r.Text("GATEWAY_NAME", first)
	if path := r.Text("GATEWAY_KEY_FILE", ""); path != "" {
		key, err := keyfile.File{Path: path}.Load()
		if err == nil {
			_, err = gateway.NewSigner("a", key)
		}
		if err != nil {
			r.Wrong("GATEWAY_KEY_FILE", fmt.Sprintf("set a file with a P-256 key, from: senderlock key new: %v", err))
		}
		s.key = key
	}
}

func (s *gatewaySettings) readPreset(r *settings.Reader, forwardAuth bool) {
	s.preset = gateway.Preset(r.Text("FORWARD_AUTH", ""))
	known := slices.Contains([]gateway.Preset{gateway.NGINX, gateway.Caddy, gateway.Traefik, gateway.HAProxy, gateway.Envoy}, s.preset)
	switch {
	case forwardAuth && !known:
		r.Wrong("FORWARD_AUTH", "set the proxy that asks: nginx, caddy, traefik, haproxy or envoy")
	case forwardAuth && s.Proxies.IsZero():
		r.Wrong("TRUSTED_PROXIES", "set the addresses of the proxy that asks")
	case !forwardAuth && s.preset != "":
		r.Wrong("FORWARD_AUTH", "leave it out, or start senderlock forward-auth")
	}
}

// parseRoute reads a route from a line: a method, a path and words about it.
func parseRoute(line string) (gateway.Route, error) {
	var r gateway.Route
	words := strings.Fields(line)
	pattern := 1
	if !strings.HasPrefix(words[0], "/") {
		pattern = 2
	}
	if len(words) < pattern || !strings.HasPrefix(words[pattern-1], "/") {
		return r, fmt.Errorf("set a method and a path first, such as GET /orders/{id}")
	}
	r.Pattern = strings.Join(words[:pattern], " ")
	seen := map[string]bool{}
	for _, word := range words[pattern:] {
		name, value, valued := strings.Cut(word, "=")
		if seen[name] {
			return r, fmt.Errorf("%s is there twice: leave one of them", name)
		}
		seen[name] = true
		if err := routeWord(&r, name, value, valued); err != nil {
			return r, err
		}
	}
	return r, nil
}

func routeWord(r *gateway.Route, name, value string, valued bool) (err error) {
	known := valued && value != ""
	switch name {
	case "public":
		r.Public, known = true, !valued
	case "upstream":
		r.Upstream = value
	case "allow":
		r.Allow, err = gateway.ParsePathForms(strings.Split(value, ",")...)
	default:
		known, err = settings.Demand(&r.Requirement, name, value, valued)
	}
	if !known {
		return fmt.Errorf("%s is not understood: the words are public, allow=, upstream=, %s", name, settings.Demands)
	}
	return err
}
