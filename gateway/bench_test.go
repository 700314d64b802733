package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// BenchmarkProxy asks the gateway and a bare ReverseProxy with one signature more, in turns, in front of the same service.
// Its ratio is that of their throughputs: 1 is as many requests a second.
func BenchmarkProxy(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	client := senderlocktest.NewClient(clock)
	c := senderlocktest.Config(issuer, clock)
	c.Log = slog.New(slog.DiscardHandler)
	guard, err := access.New(c)
	if err != nil {
		b.Fatal(err)
	}
	defer guard.Close()
	signer, err := gateway.NewSigner("https://gateway.example.com", nil)
	if err != nil {
		b.Fatal(err)
	}
	proxy, err := gateway.New(gateway.Config{
		Guard: guard, Routes: []gateway.Route{{Pattern: "/orders"}, {Pattern: "/public", Public: true}}, Upstream: service.URL, Signer: signer,
	})
	if err != nil {
		b.Fatal(err)
	}
	ours := httptest.NewServer(proxy)
	defer ours.Close()
	target, _ := url.Parse(service.URL)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a signature"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature)
	}})
	defer bare.Close()
	token := issuer.Token(senderlocktest.Token{Client: client})
	for _, path := range []string{"/public", "/orders"} {
		b.Run(path[1:], func(b *testing.B) {
			requests := make([]*http.Request, b.N)
			for i := range requests {
				r := httptest.NewRequest("GET", senderlocktest.Origin+path, nil)
				if path == "/orders" {
					r = client.Sign(r, token)
				}
				requests[i] = r
			}
			var times [2]time.Duration
			b.ResetTimer()
			for _, r := range requests {
				for i, server := range []*httptest.Server{bare, ours} {
					out, _ := http.NewRequestWithContext(b.Context(), "GET", server.URL+path, nil)
					out.Host, out.Header = "api.example.com", r.Header
					start := time.Now()
					response, err := http.DefaultClient.Do(out)
					if err != nil || response.StatusCode != 200 {
						b.Fatal(response, err)
					}
					_ = response.Body.Close()
					times[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(times[0].Nanoseconds())/float64(b.N), "bare-ns")
			b.ReportMetric(float64(times[1].Nanoseconds())/float64(b.N), "ours-ns")
			b.ReportMetric(float64(times[0])/float64(times[1]), "ratio")
		})
	}
}
