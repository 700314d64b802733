package gateway_test

import (
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
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/proxytest"
	"github.com/senderlock/senderlock/senderlocktest"
)

// BenchmarkNGINX asks nginx that asks forward authentication and the same nginx that does not, in turns, in front of the
// same service. Its ratios are those of the latency: 1 is as long as without, with one signature more.
func BenchmarkNGINX(b *testing.B) {
	w := newWorld(b, func(c *access.Config) { c.Log = slog.New(slog.DiscardHandler) })
	asking, plain := w.nginx(gateway.Route{Pattern: "/orders"}), w.nginxAlone()
	token := w.token()
	signature := timeSignature(b)
	var times [2][]time.Duration
	for range b.N {
		signed := w.client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/orders", nil), token)
		for i, server := range []*httptest.Server{plain, asking} {
			r, _ := http.NewRequestWithContext(b.Context(), "GET", "http://"+server.Listener.Addr().String()+"/orders", nil)
			r.Host, r.Header = "api.example.com", signed.Header
			start := time.Now()
			response, err := http.DefaultClient.Do(r)
			if err != nil || response.StatusCode != 200 {
				b.Fatal(response, err)
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
		at := (len(times[0]) - 1) * share / 100
		without, with := times[0][at], times[1][at]
		b.ReportMetric(float64(without.Nanoseconds()), name+"-without-ns")
		b.ReportMetric(float64(with.Nanoseconds()), name+"-with-ns")
		b.ReportMetric(float64(with)/float64(without+signature), name+"-ratio")
	}
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
