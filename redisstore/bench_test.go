package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/revocation"
)

// redisBenchmark returns how many of the same claims a second redis-benchmark reaches at the same server, with as many
// in flight on some connections.
func redisBenchmark(b *testing.B, server *redistest.Server, clients, connections int) float64 {
	_, port, _ := net.SplitHostPort(server.Addr)
	out, err := exec.Command("redis-benchmark", "-p", port, "-c", fmt.Sprint(connections), "-P", fmt.Sprint(clients/connections),
		"-n", "60000", "-r", "1000000000000", "--csv",
		"SET", "senderlock:p:benchmark-as-long-as-ours-is__rand_int__", "", "NX", "PX", "75000").Output()
	if err != nil {
		b.Skip("redis-benchmark is not installed")
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	field := strings.Split(lines[len(lines)-1], `","`)[1]
	rate, err := strconv.ParseFloat(field, 64)
	if err != nil {
		b.Fatal(err, string(out))
	}
	return rate
}

// BenchmarkClaim is claims alone, at some numbers of clients, beside redis-benchmark in the same run.
func BenchmarkClaim(b *testing.B) {
	server := redistest.Start(b)
	s := openOn(b, server)
	var number atomic.Int64
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			latencies := make([][]time.Duration, clients)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range clients {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						began := time.Now()
						var key dpop.ReplayKey
						copy(key[:], fmt.Sprint(number.Add(1)))
						if ok, err := s.Claim(context.Background(), key, began.Add(70*time.Second)); !ok || err != nil {
							b.Errorf("Claim = %t, %v", ok, err)
						}
						latencies[i] = append(latencies[i], time.Since(began))
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			all := slices.Concat(latencies...)
			slices.Sort(all)
			b.ReportMetric(rate, "claims/s")
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
			if b.N > 1 {
				// As many clients, each with one claim in flight; and four connections that are always full, as those
				// of a store can be at best.
				b.ReportMetric(rate/redisBenchmark(b, server, clients, clients), "of-redis-benchmark")
				b.ReportMetric(rate/redisBenchmark(b, server, clients, min(clients, 4)), "of-redis-benchmark-P")
			}
		})
	}
}

// BenchmarkRequest is a whole request at the guard, its token and key known, one after another and by 64 at once: with
// both memories in the process, with both on Redis in one round trip, and in two.
func BenchmarkRequest(b *testing.B) {
	for name, stores := range map[string]func(b *testing.B, c *access.Config){
		"memory": func(b *testing.B, c *access.Config) {
			m, err := revocation.NewMemory(revocation.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = m.Close() })
			c.Revocation = m
		},
		"redis": func(b *testing.B, c *access.Config) {
			c.Shared = openOn(b, redistest.Start(b))
		},
		"redis, two round trips": func(b *testing.B, c *access.Config) {
			s := openOn(b, redistest.Start(b))
			c.Replay, c.Revocation = s, s
		},
	} {
		check := requests(b, func(c *access.Config) { stores(b, c) })
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) { check(b, clients) })
		}
	}
}

// requests returns a benchmark of requests by some clients at once. Their proofs are made beforehand.
func requests(b *testing.B, use func(*access.Config)) func(b *testing.B, clients int) {
	issuer := access.Issuer{
		URL: poptest.Issuer, Audience: poptest.Audience,
		JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
	}
	config := access.Config{
		Origins: []string{poptest.Audience}, Issuers: []access.Issuer{issuer}, InsecureForgetAtStart: true,
		Log: slog.New(slog.DiscardHandler),
	}
	use(&config)
	guard, err := access.New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = guard.Close() })
	c := newClient(time.Now(), func(t *poptest.Token) { t.Claims = map[string]any{"sid": "session", "jti": "token"} })
	return func(b *testing.B, clients int) {
		list := make([]*http.Request, b.N)
		for i := range list {
			r, _ := http.NewRequest(http.MethodGet, poptest.URL, nil)
			r.RequestURI, r.Host = "/accounts", "api.example.com"
			r.Header = http.Header{"Authorization": {"DPoP " + c.token}, "Dpop": {c.proof(time.Now())}}
			list[i] = r
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		b.ReportAllocs()
		b.ResetTimer()
		for range clients {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
					if _, err := guard.Check(list[i]); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
}
