package redisstore_test

import (
	"bufio"
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
	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// redisBenchmark returns how long redis-benchmark takes for n of the same claims at the same server, with some
// connections (-c) and as many claims in flight on each (-P).
func redisBenchmark(b *testing.B, server *redistest.Server, s *redisstore.Store, n, connections, pipelined int) time.Duration {
	_, port, _ := net.SplitHostPort(server.Addr)
	args := []string{"-p", port, "-c", fmt.Sprint(connections), "-P", fmt.Sprint(pipelined), "-n", fmt.Sprint(n),
		"-r", "1000000000000", "--csv"}
	key := "senderlock:p:benchmark-as-long-as-ours-is__rand_int__"
	out, err := exec.Command(redistest.Benchmark, append(args, redisstore.ClaimCommand(s, key, redisstore.DefaultWindow)...)...).Output()
	if err != nil {
		fetched.Missing(b, redistest.Benchmark+" does not run: "+err.Error())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	field := strings.Split(lines[len(lines)-1], `","`)[1]
	rate, err := strconv.ParseFloat(field, 64)
	if err != nil {
		b.Fatal(err, string(out))
	}
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// bare returns how long the same claims take one after another over a connection of package net, with nothing between:
// what a Go program with one call in flight reaches whose network poller parks it until the answer comes.
func bare(b *testing.B, server *redistest.Server, s *redisstore.Store, number *atomic.Int64, n int) time.Duration {
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	began := time.Now()
	for range n {
		key := fmt.Sprintf("senderlock:p:benchmark-as-long-as-ours-is%012d", number.Add(1))
		if _, err := conn.Write(redistest.Command(redisstore.ClaimCommand(s, key, redisstore.DefaultWindow)...)); err != nil {
			b.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || answer[0] != ':' {
			b.Fatal(answer, err)
		}
	}
	return time.Since(began)
}

// claims makes n claims by some clients at once.
func claims(b *testing.B, s *redisstore.Store, number *atomic.Int64, n, clients int) (latencies []time.Duration) {
	all := make([][]time.Duration, clients)
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				began := time.Now()
				var key dpop.ReplayKey
				copy(key[:], fmt.Sprint(number.Add(1)))
				if ok, err := s.Claim(context.Background(), key, began.Add(70*time.Second)); !ok || err != nil {
					b.Errorf("Claim = %t, %v", ok, err)
				}
				all[i] = append(all[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	return slices.Concat(all...)
}

// BenchmarkClaim is claims alone, at some numbers of clients, beside redis-benchmark with the same command at the same
// server in the same run, by turns, because no machine is equally busy all the time: of-P1 is with as many connections
// as clients and one claim in flight on each (-c clients -P 1), of-deep with four connections that are always full
// (-c 4 -P clients/4). With one client, bare-of-P1 is the same over a bare connection of package net.
func BenchmarkClaim(b *testing.B) {
	server := redistest.Start(b)
	s := openOn(b, server)
	var number atomic.Int64
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			const turns = 10
			n := max(b.N/turns, 1)
			var ours, single, deep, alone time.Duration
			var latencies []time.Duration
			b.ReportAllocs()
			for range turns {
				began := time.Now()
				latencies = append(latencies, claims(b, s, &number, n, clients)...)
				ours += time.Since(began)
				b.StopTimer()
				if b.N > 1 {
					single += redisBenchmark(b, server, s, n, clients, 1)
					deep += redisBenchmark(b, server, s, n, min(4, clients), max(1, clients/4))
				}
				if clients == 1 {
					alone += bare(b, server, s, &number, n)
				}
				b.StartTimer()
			}
			slices.Sort(latencies)
			b.ReportMetric(float64(n*turns)/ours.Seconds(), "claims/s")
			b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(single.Seconds()/ours.Seconds(), "of-P1")
			b.ReportMetric(deep.Seconds()/ours.Seconds(), "of-deep")
			if clients == 1 {
				b.ReportMetric(single.Seconds()/alone.Seconds(), "bare-of-P1")
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
