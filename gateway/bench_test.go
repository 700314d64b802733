package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// BenchmarkProxy compares the gateway with a bare ReverseProxy in front of the same service.
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
	ours, err := gateway.New(gateway.Config{
		Guard: guard, Routes: []gateway.Route{{Pattern: "/orders"}, {Pattern: "/public", Public: true}}, Upstream: service.URL, Signer: signer,
	})
	if err != nil {
		b.Fatal(err)
	}
	target, _ := url.Parse(service.URL)
	bare := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }}
	token := issuer.Token(senderlocktest.Token{Client: client})
	for _, run := range []struct {
		name, path string
		handler    http.Handler
	}{{"bare", "/orders", bare}, {"public", "/public", ours}, {"protected", "/orders", ours}} {
		b.Run(run.name, func(b *testing.B) {
			server := httptest.NewServer(run.handler)
			defer server.Close()
			requests := make([]*http.Request, b.N)
			for i := range requests {
				requests[i], _ = http.NewRequestWithContext(b.Context(), "GET", server.URL+run.path, nil)
				requests[i].Host = "api.example.com"
				if run.name == "protected" {
					requests[i].Header = client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+run.path, nil), token).Header
				}
			}
			b.ResetTimer()
			for _, r := range requests {
				response, err := http.DefaultClient.Do(r)
				if err != nil || response.StatusCode != 200 {
					b.Fatal(response, err)
				}
				_ = response.Body.Close()
			}
		})
	}
}
