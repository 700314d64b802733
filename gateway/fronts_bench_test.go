package gateway_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/proxytest"
	"github.com/senderlock/senderlock/senderlocktest"
)

// BenchmarkNGINX asks nginx in front of the same service in turns: alone, asking forward authentication, the same with a
// table for the client's key, and asking a server that verifies one signature, makes one and does nothing else, which is
// the least that an answer with an assertion can cost. The ratios are those of the latency: 1 is as long as alone, with
// one signature more.
func BenchmarkNGINX(b *testing.B) {
	quiet := func(c *access.Config) { c.Log = slog.New(slog.DiscardHandler) }
	w := newWorld(b, quiet)
	known := newWorld(b, quiet, func(c *access.Config) { c.PrecomputedKeys = 1 })
	known.service = w.service
	order := gateway.Route{Pattern: "/orders"}
	fronts := []struct {
		name   string
		server *httptest.Server
		by     *world
		token  string
	}{
		{"alone", w.nginxAlone(), w, w.token()},
		{"asking", w.nginx(order), w, w.token()},
		{"asking-known", known.nginx(order), known, known.token()},
		{"bare", w.nginxAsking(httptest.NewServer(bareAnswer(b))), w, w.token()},
	}
	signature := timeSignature(b)
	times := make([][]time.Duration, len(fronts))
	for range b.N {
		for i, front := range fronts {
			signed := front.by.client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/orders", nil), front.token)
			r, _ := http.NewRequestWithContext(b.Context(), "GET", "http://"+front.server.Listener.Addr().String()+"/orders", nil)
			r.Host, r.Header = "api.example.com", signed.Header
			start := time.Now()
			response, err := http.DefaultClient.Do(r)
			if err != nil || response.StatusCode != 200 {
				b.Fatal(front.name, response, err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			times[i] = append(times[i], time.Since(start))
		}
		w.service.last()
	}
	for _, list := range times {
		slices.Sort(list)
	}
	for name, share := range map[string]int{"p50": 50, "p99": 99} {
		at := (b.N - 1) * share / 100
		alone := times[0][at]
		b.ReportMetric(float64(alone.Nanoseconds()), name+"-alone-ns")
		for i, front := range fronts[1:] {
			b.ReportMetric(float64(times[i+1][at])/float64(alone+signature), name+"-"+front.name)
		}
	}
}

// bareAnswer makes a signature as the gateway does, verifies one, and answers with as much as an assertion.
func bareAnswer(b *testing.B) http.Handler {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		digest := sha256.Sum256([]byte("a signature"))
		signature, err := key.Sign(nil, digest[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.Header().Set(gateway.FieldAssertion, strings.Repeat("a", 700))
	})
}

// nginxAlone is the same nginx without the question.
func (w *world) nginxAlone() *httptest.Server {
	listener := listen(w.t)
	proxytest.NGINX.Run(w.t, listener, w.t.TempDir(), fmt.Sprintf(`
		server {
			listen %s;
			location / {
				proxy_pass http://%s;
				proxy_http_version 1.1;
			}
		}`, listener.Addr(), w.service.Listener.Addr()))
	return &httptest.Server{Listener: listener}
}

// timeSignature is how long one signature takes to verify.
func timeSignature(b *testing.B) time.Duration {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a signature"))
	var times []time.Duration
	for range 200 {
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("a signature does not verify")
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
