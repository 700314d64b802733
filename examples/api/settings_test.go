package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// Each wrong value ends the start with an error that names the variable and says what to set.
func TestWrongVariables(t *testing.T) {
	w := newWorld(t)
	nothing := file(t, "empty.pem", nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	for name, test := range map[string]struct {
		change env
		want   string
	}{
		"HOST":                     {env{"HOST": "no host"}, `HOST is "no host": set the address to listen on`},
		"PORT":                     {env{"PORT": "http"}, `PORT is "http": set a port number`},
		"PORT, out of range":       {env{"PORT": "65536"}, `PORT is "65536": set a port number`},
		"PORT, taken":              {env{"PORT": takenPort}, `PORT: set a port that is free`},
		"TLS_PORT":                 {env{"TLS_PORT": "-1"}, `TLS_PORT is "-1": set a port number`},
		"TLS_PORT without files":   {env{"TLS_CERT_FILE": "", "TLS_KEY_FILE": ""}, `TLS_PORT is set without TLS_CERT_FILE: set both`},
		"files without TLS_PORT":   {env{"TLS_PORT": ""}, `TLS_CERT_FILE is set without TLS_PORT`},
		"TLS_CERT_FILE, not there": {env{"TLS_CERT_FILE": "/nowhere/cert.pem"}, `TLS_CERT_FILE is "/nowhere/cert.pem": set the path of a PEM file`},
		"TLS_CERT_FILE, empty":     {env{"TLS_CERT_FILE": nothing}, `TLS_CERT_FILE is "` + nothing + `": set it and TLS_KEY_FILE to a certificate and its key`},
		"TLS_KEY_FILE":             {env{"TLS_KEY_FILE": "/nowhere/key.pem"}, `TLS_KEY_FILE is "/nowhere/key.pem": set the path of a PEM file`},
		"CLIENT_CA_FILE":           {env{"CLIENT_CA_FILE": nothing}, `CLIENT_CA_FILE is "` + nothing + `": set the path of a PEM file`},
		"ISSUER, not set":          {env{"ISSUER": ""}, `ISSUER is not set: set the issuer identifier`},
		"ISSUER, no URL":           {env{"ISSUER": "login"}, `ISSUER is "…": set an https URL`},
		"ISSUER, http":             {env{"ISSUER": "http://login.example.com"}, `ISSUER is "http://login.example.com": set an https URL`},
		"ISSUER, a query":          {env{"ISSUER": "https://login.example.com?a"}, `ISSUER is "https://login.example.com/…": set `},
		"ISSUER, a password":       {env{"ISSUER": "https://a:AAAAAAAA@login.example.com"}, `ISSUER is "https://…": set an https URL`},
		"JWKS_URI, a password":     {env{"JWKS_URI": "https://a:AAAAAAAA@login.example.com"}, `JWKS_URI is "https://…": set an https URL`},
		"PUBLIC_ORIGINS, a query":  {env{"PUBLIC_ORIGINS": "https://a.example,https://b.example?AAAAAAAA"}, `PUBLIC_ORIGINS is "https://a.example","https://b.example/…": set the origins`},
		"REPLAY_REDIS_URL":         {env{"REPLAY_REDIS_URL": "redis://a:1/AAAAAAAA@h"}, `REPLAY_REDIS_URL is not usable: set the URL of a Redis`},
		"AUDIENCE":                 {env{"AUDIENCE": ""}, `AUDIENCE is not set: set the identifier of this API`},
		"JWKS_URI":                 {env{"JWKS_URI": "ftp://login.example.com/jwks"}, `JWKS_URI is "ftp://login.example.com/…": set an https URL`},
		"CA_FILE":                  {env{"CA_FILE": nothing}, `CA_FILE is "` + nothing + `": set the path of a PEM file`},
		"INTROSPECTION_ENDPOINT": {
			env{"INTROSPECTION_ENDPOINT": "introspect", "INTROSPECTION_CLIENT_ID": "api", "INTROSPECTION_CLIENT_SECRET": "s"},
			`INTROSPECTION_ENDPOINT is "…": set an https URL`,
		},
		"INTROSPECTION_ENDPOINT, a password": {
			env{"INTROSPECTION_ENDPOINT": "https://a:AAAAAAAA@h/i", "INTROSPECTION_CLIENT_ID": "api", "INTROSPECTION_CLIENT_SECRET": "s"},
			`INTROSPECTION_ENDPOINT is "https://…": set an https URL`,
		},
		"INTROSPECTION_CLIENT_ID":     {env{"INTROSPECTION_ENDPOINT": "https://login.example.com/i"}, `INTROSPECTION_ENDPOINT is set without INTROSPECTION_CLIENT_ID`},
		"INTROSPECTION_CLIENT_SECRET": {env{"INTROSPECTION_CLIENT_SECRET": "s"}, `INTROSPECTION_CLIENT_SECRET is set without INTROSPECTION_ENDPOINT`},
		"PUBLIC_ORIGINS":              {env{"PUBLIC_ORIGINS": "api.example.com"}, `PUBLIC_ORIGINS is "…": set the origins`},
		"PUBLIC_ORIGINS, not set":     {env{"PUBLIC_ORIGINS": "", "HOST": "0.0.0.0"}, `PUBLIC_ORIGINS is not set: set the origins`},
		"PUBLIC_ORIGINS, behind a proxy": {
			env{"PUBLIC_ORIGINS": "", "TRUSTED_PROXIES": "127.0.0.1/32"}, `PUBLIC_ORIGINS is not set: set the origins`,
		},
		"DPOP_NONCE":                   {env{"DPOP_NONCE": "yes"}, `DPOP_NONCE is "yes": set one of off, required`},
		"DPOP_NONCE_TTL":               {env{"DPOP_NONCE_TTL": "soon"}, `DPOP_NONCE_TTL is "soon": set a number of seconds from 1 to 1800`},
		"DPOP_NONCE_TTL, zero":         {env{"DPOP_NONCE_TTL": "0"}, `DPOP_NONCE_TTL is "0": set a number of seconds from 1 to 1800`},
		"DPOP_NONCE_TTL, too long":     {env{"DPOP_NONCE_TTL": "1801"}, `DPOP_NONCE_TTL is "1801": set a number of seconds from 1 to 1800`},
		"DPOP_NONCE_SECRETS, short":    {env{"DPOP_NONCE_SECRETS": base64.StdEncoding.EncodeToString(make([]byte, 31))}, `DPOP_NONCE_SECRETS is not usable: set base64 of at least 32`},
		"CORS_ORIGIN, all":             {env{"CORS_ORIGIN": "*"}, `CORS_ORIGIN is "…": set the one origin`},
		"CORS_ORIGIN, a path":          {env{"CORS_ORIGIN": "https://app.example.com/"}, `CORS_ORIGIN is "https://app.example.com/…": set the one origin`},
		"TRUSTED_PROXIES":              {env{"TRUSTED_PROXIES": "proxy"}, `TRUSTED_PROXIES is "proxy": set the address ranges`},
		"TRUSTED_PROXIES, everybody":   {env{"TRUSTED_PROXIES": "0.0.0.0/0"}, `TRUSTED_PROXIES is "0.0.0.0/0": set the address ranges`},
		"CLIENT_CERT_HEADER":           {env{"CLIENT_CERT_HEADER": "X-Cert", "TRUSTED_PROXIES": "127.0.0.1/32"}, `CLIENT_CERT_HEADER is "X-Cert": set X-SSL-Client-Cert`},
		"CLIENT_CERT_HEADER, no proxy": {env{"CLIENT_CERT_HEADER": "Client-Cert"}, `CLIENT_CERT_HEADER is set without TRUSTED_PROXIES`},
		"REVOCATION_FILE, beside Redis": {
			env{"REVOCATION_FILE": "/nowhere/revoked", "REPLAY_REDIS_URL": "redis://127.0.0.1:1"},
			`REVOCATION_FILE is "/nowhere/revoked": leave it empty, so that revocations are in the Redis`,
		},
		"REVOCATION_FILE, beside Redis for one instance": {
			env{"REVOCATION_FILE": filepath.Join(t.TempDir(), "revoked"), "REPLAY_REDIS_URL": "redis://127.0.0.1:1", "SINGLE_INSTANCE": "on"},
			`REPLAY_REDIS_URL is not usable: set the URL of a Redis that answers`,
		},
		"SINGLE_INSTANCE":                   {env{"SINGLE_INSTANCE": "yes"}, `SINGLE_INSTANCE is "yes": set one of off, on`},
		"REVOCATION_FILE":                   {env{"REVOCATION_FILE": "/nowhere/revoked"}, `REVOCATION_FILE is "/nowhere/revoked": set the path of a file`},
		"REVOCATION_FILE, of another kind":  {env{"REVOCATION_FILE": w.env["TLS_CERT_FILE"]}, `REVOCATION_FILE is "` + w.env["TLS_CERT_FILE"] + `": set the path of a file`},
		"ADMIN_PORT":                        {env{"ADMIN_PORT": "admin"}, `ADMIN_PORT is "admin": set a port number`},
		"ADMIN_HOST":                        {env{"ADMIN_HOST": "everywhere"}, `ADMIN_HOST is "everywhere": set the address to listen on`},
		"ADMIN_HOST, not loopback":          {env{"ADMIN_HOST": "0.0.0.0"}, `ADMIN_TOKEN is not set: set a secret for the admin port`},
		"ADMIN_TOKEN, short":                {env{"ADMIN_TOKEN": "secret"}, `ADMIN_TOKEN is not usable: set at least 32`},
		"ADMIN_TOKEN without port":          {env{"ADMIN_TOKEN": strings.Repeat("a", 32), "ADMIN_PORT": ""}, `ADMIN_TOKEN is set without ADMIN_PORT`},
		"MAX_TOKEN_LIFETIME":                {env{"MAX_TOKEN_LIFETIME": "for ever"}, `MAX_TOKEN_LIFETIME is "for ever": set a number of seconds from 1 to 86400`},
		"MAX_AGE, too long":                 {env{"MAX_AGE": "601"}, `MAX_AGE is "601": set a number of seconds from 1 to 600`},
		"SKEW, zero":                        {env{"SKEW": "0"}, `SKEW is "0": set a number of seconds from 1 to 300`},
		"KEY_REFRESH":                       {env{"KEY_REFRESH": "10"}, `KEY_REFRESH is "10": set a number of seconds from 60 to 86400`},
		"MAX_TOKEN_LIFETIME, a year":        {env{"MAX_TOKEN_LIFETIME": "8760h"}, `MAX_TOKEN_LIFETIME is "8760h": set a number of seconds`},
		"ACCEPT_TYPE_JWT":                   {env{"ACCEPT_TYPE_JWT": "1"}, `ACCEPT_TYPE_JWT is "1": set one of off, on`},
		"EVENTS_ISSUER":                     {env{"EVENTS_AUDIENCE": "a", "EVENTS_ISSUER": "http://a:AAAAAAAA@events.example.com"}, `EVENTS_ISSUER is "http://…": set an https URL`},
		"EVENTS_ISSUER, no audience":        {env{"EVENTS_ISSUER": "https://events.example.com"}, `EVENTS_ISSUER is set without EVENTS_AUDIENCE`},
		"EVENTS_SECRET, short":              {env{"EVENTS_AUDIENCE": "a", "EVENTS_SECRET": "AAAAAAAA"}, `EVENTS_SECRET is not usable: set at least 20`},
		"EVENTS_SECRET, no audience":        {env{"EVENTS_SECRET": strings.Repeat("A", 20)}, `EVENTS_SECRET is set without EVENTS_AUDIENCE`},
		"EVENTS_SECRET, spaces":             {env{"EVENTS_AUDIENCE": "a", "EVENTS_SECRET": strings.Repeat("A", 20) + " "}, `security events: events.SharedSignalsConfig: Authorization`},
		"EVENTS_POLL_ENDPOINT":              {env{"EVENTS_AUDIENCE": "a", "EVENTS_POLL_ENDPOINT": "http://events.example.com/AAAAAAAA"}, `EVENTS_POLL_ENDPOINT is "http://events.example.com/…": set an https URL`},
		"EVENTS_POLL_ENDPOINT, no audience": {env{"EVENTS_POLL_ENDPOINT": "https://events.example.com"}, `EVENTS_POLL_ENDPOINT is set without EVENTS_AUDIENCE`},
		"EVENTS_POLL_INTERVAL":              {env{"EVENTS_AUDIENCE": "a", "EVENTS_POLL_ENDPOINT": "https://events.example.com", "EVENTS_POLL_INTERVAL": "0"}, `EVENTS_POLL_INTERVAL is "0": set a number of seconds from 1`},
		"EVENTS_POLL_INTERVAL, no endpoint": {env{"EVENTS_AUDIENCE": "a", "EVENTS_POLL_INTERVAL": "60"}, `EVENTS_POLL_INTERVAL is set without EVENTS_POLL_ENDPOINT`},
		"LOG_LEVEL":                         {env{"LOG_LEVEL": "loud"}, `LOG_LEVEL is "loud": set one of info, debug, warn, error`},
		"SHUTDOWN_DELAY":                    {env{"SHUTDOWN_DELAY": "1h"}, `SHUTDOWN_DELAY is "1h": set a number of seconds from 0 to 300`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			command := w.env.with(test.change).command(ctx)
			var out, errOut bytes.Buffer
			command.Stdout, command.Stderr = &out, &errOut
			if err := command.Run(); err == nil {
				t.Fatal("the program ended well")
			}
			if !strings.Contains(errOut.String(), "api: "+test.want) {
				t.Errorf("said %q, want %q in it", errOut.String(), test.want)
			}
			if strings.Contains(out.String(), `"listening`) {
				t.Errorf("began to work: %s", &out)
			}
			for _, secret := range []string{"AAAAAAAA", `"secret"`} {
				if strings.Contains(errOut.String(), secret) {
					t.Errorf("repeated a secret: %s", &errOut)
				}
			}
		})
	}
}

// With -check-config the settings are judged, and nothing is opened.
func TestCheckConfig(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		change env
		want   string // empty: in order
	}{
		"in order":        {env{}, ""},
		"a word":          {env{"DPOP_NONCE": "on"}, `DPOP_NONCE is "on": set one of off, required`},
		"what is started": {env{"REPLAY_REDIS_URL": "redis://127.0.0.1:1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			get := func(name string) string { return w.env.with(test.change)[name] }
			err := run(t.Context(), []string{"-check-config"}, get, io.Discard)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if err := run(t.Context(), []string{"-check"}, func(name string) string { return w.env[name] }, io.Discard); err == nil || !strings.Contains(err.Error(), "-check-config") {
		t.Errorf("an unknown flag: %v", err)
	}
}
