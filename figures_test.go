package senderlock_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

var measure = flag.Bool("measure", false, "measure docs/figures.json anew, which takes minutes and wants a calm machine")

const figuresFile = "docs/figures.json"

// figures are what the pages about sizes compute with.
type figures struct {
	Made     string             `json:"made"` // by which command
	Machine  string             `json:"machine"`
	Go       string             `json:"go"`
	Measured map[string]float64 `json:"measured"`
}

// benchmarks are the figures that a benchmark has, the median of several runs. Times are multiples of a bare
// ecdsa.VerifyASN1 in the same run, since they are nearly the same on a busy machine.
var benchmarks = map[string]struct{ folder, name, times, runs, unit string }{
	"proof":              {"dpop", "BenchmarkVerify/known_key,_PrecomputedKeys=0", "2000x", "5", "x-bare-verify"},
	"request":            {"access", "BenchmarkRequest/token_known,_precomputed=0", "2000x", "5", "x-bare-verify"},
	"request, tables":    {"access", "BenchmarkRequest/token_known,_precomputed=4", "2000x", "5", "x-bare-verify"},
	"request, new token": {"access", "BenchmarkRequest/token_new,_precomputed=0", "2000x", "5", "x-bare-verify"},
	"claim":              {"dpop", "BenchmarkReplayClaim/live=1000000", "200000x", "1", "x-bare-verify"},
	"claim octets":       {"dpop", "BenchmarkReplayMemory", "1x", "1", "B/entry"},
	"revocation":         {"revocation", "BenchmarkRevoked/entries=1000000", "100000x", "3", "of-a-verify"},
	"revocation octets":  {"revocation", "BenchmarkRevoked/entries=1000000", "100000x", "3", "B/entry"},
}

// The figures of the book are those of figures.json, which -measure makes; -update writes the tables that follow from it.
func TestFigures(t *testing.T) {
	if *measure {
		measureAll(t)
	}
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		t.Fatal(err)
	}
	var f figures
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	for name, table := range tables(f) {
		page, of, _ := strings.Cut(name, " ")
		kept, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := []byte("<!-- figures: "+of+" -->\n"), []byte("<!-- end -->\n")
		before, rest, found := bytes.Cut(kept, begin)
		old, after, closed := bytes.Cut(rest, end)
		if !found || !closed {
			t.Errorf("%s has no place for %q: write %s%s", page, of, begin, end)
			continue
		}
		if *update {
			kept = slices.Concat(before, begin, []byte(table), end, after)
			if err := os.WriteFile(page, kept, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(old) != table {
			t.Errorf("%s: %q is not what %s says: go test . -run TestFigures -update\n%s", page, of, figuresFile, table)
		}
	}
}

func measureAll(t *testing.T) {
	f := figures{
		Made: "go test . -run TestFigures -measure -update -timeout 1h", Machine: machine(), Go: runtime.Version(),
		Measured: map[string]float64{},
	}
	ran := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(benchmarks)) {
		b := benchmarks[name]
		if ran[b.name] == nil {
			pattern := "^" + strings.ReplaceAll(b.name, "/", "$/^") + "$"
			out, err := exec.CommandContext(t.Context(), "go", "test", "./"+b.folder, "-run", "^$", "-bench", pattern,
				"-benchtime", b.times, "-count", b.runs).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", b.name, err, out)
			}
			ran[b.name] = out
		}
		line := regexp.MustCompile(regexp.QuoteMeta(b.name) + `-\d+\s.*?([0-9.]+) ` + regexp.QuoteMeta(b.unit))
		var values []float64
		for _, found := range line.FindAllSubmatch(ran[b.name], -1) {
			value, err := strconv.ParseFloat(string(found[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		if len(values) == 0 {
			t.Fatalf("%s: no %s in\n%s", b.name, b.unit, ran[b.name])
		}
		slices.Sort(values)
		f.Measured[name] = values[len(values)/2]
	}
	f.Measured["bare verify ns"] = bareVerify(t)
	f.Measured["redis claim ns"], f.Measured["redis claim octets"] = redisClaim(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f.Measured["proof, ES256 octets"] = proofOctets(t, key, "")
	f.Measured["proof, PS256 octets"] = proofOctets(t, large, "PS256")
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(figuresFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine names the processor.
func machine() string {
	name := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); model != nil {
			name = string(model[1])
		}
	}
	return fmt.Sprintf("%s, %d cores", name, runtime.NumCPU())
}

// proofOctets is the length of a proof with everything that one can have.
func proofOctets(t *testing.T, key crypto.Signer, algorithm string) float64 {
	signer, err := dpop.NewSigner(key, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := signer.Sign(dpop.ProofOptions{
		Method: "GET", URL: "https://api.example.com/accounts/42", AccessToken: "token", Nonce: strings.Repeat("n", 40),
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(len(proof))
}

// redisClaim is what a claim takes at a Redis server: nanoseconds of its processor, whatever else is busy, and memory.
func redisClaim(t *testing.T) (nanoseconds, octets float64) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store, err := redisstore.Open(t.Context(), redisstore.Config{Addresses: []string{server.Addr}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const claims, clients = 1 << 18, 64 // a power of two, as the tables of Redis are, doubles what they take at worst
	memory, processor := told(t, server, "memory", "used_memory"), used(t, server)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range claims / clients {
				var key dpop.ReplayKey
				copy(key[:], fmt.Sprint(c, " ", i))
				if _, err := store.Claim(context.Background(), key, time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return math.Round((used(t, server) - processor) * 1e9 / claims),
		math.Ceil((told(t, server, "memory", "used_memory") - memory) / claims)
}

// bareVerify is the least that one ecdsa.VerifyASN1 takes: what nothing else has disturbed.
func bareVerify(t *testing.T) float64 {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("message"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	least := time.Hour
	for range 20_000 {
		began := time.Now()
		ecdsa.VerifyASN1(&key.PublicKey, hash[:], signature)
		least = min(least, time.Since(began))
	}
	return float64(least.Nanoseconds())
}

// used is how many seconds of a processor a server has used.
func used(t *testing.T, server *redistest.Server) float64 {
	return told(t, server, "cpu", "used_cpu_sys") + told(t, server, "cpu", "used_cpu_user")
}

func told(t *testing.T, server *redistest.Server, section, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(name + `:([0-9.]+)`).FindStringSubmatch(server.Do("INFO", section))
	if found == nil {
		t.Fatalf("the server tells no %s", name)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// What follows from the defaults, in seconds: for how long a memory in the process keeps a claim at most (two periods of
// nonces and the skew, rounded up to a slice of 30 s), and for how long Redis does (its window, two of MaxSkew, Timeout).
const (
	keptInProcess = 130 + 30
	keptInRedis   = 130 + 2*5 + 0.5
)

// tables are the generated parts of pages, by page and name.
func tables(f figures) map[string]string {
	return map[string]string{
		"docs/running.md measured":     measuredTable(f),
		"docs/running.md sizes":        sizesTable(f),
		"docs/a-million.md needs":      needsTable(f),
		"docs/a-million.md shards":     shardsTable(f, 1_000_000, []int{8, 16, 24, 32, 64}),
		"docs/a-million.md ten groups": shardsTable(f, 100_000, []int{1, 2, 4, 8}),
	}
}

func measuredTable(f figures) string {
	m := f.Measured
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, %s, by\n`%s`. A bare `ecdsa.VerifyASN1` took %.0f µs there at best;\n"+
		"the other times are multiples of it in the same run.\n\n| what | bare verifications | is |\n| --- | --- | --- |\n",
		f.Machine, f.Go, f.Made, m["bare verify ns"]/1000)
	for _, row := range []struct{ what, name string }{
		{"a proof with ES256, its key known", "proof"},
		{"a whole request without a socket, token and key known", "request"},
		{"the same with `Config.PrecomputedKeys` and `PrecomputedIssuerKeys`", "request, tables"},
		{"the same with a token that is new", "request, new token"},
		{"a claim in the process, a million live", "claim"},
		{"a look-up among a million revocations", "revocation"},
	} {
		fmt.Fprintf(&b, "| %s | %.2f | %.1f µs |\n", row.what, m[row.name], m[row.name]*m["bare verify ns"]/1000)
	}
	fmt.Fprintf(&b, "| a claim at Redis, of its one thread, 64 clients at once | | %.1f µs |\n", m["redis claim ns"]/1000)
	b.WriteString("\n| what | octets |\n| --- | --- |\n")
	for _, row := range []struct{ what, name string }{
		{"a claim in the process", "claim octets"},
		{"a claim at Redis", "redis claim octets"},
		{"a revocation in the process", "revocation octets"},
		{"a proof with ES256", "proof, ES256 octets"},
		{"a proof with PS256, RSA of 2048 bits", "proof, PS256 octets"},
	} {
		fmt.Fprintf(&b, "| %s | %.0f |\n", row.what, m[row.name])
	}
	return b.String()
}

// cores is how many cores judge so many requests a second.
func (f figures) cores(rate float64, kind string) float64 {
	return rate * f.Measured[kind] * f.Measured["bare verify ns"] / 1e9
}

// sizesTable is what each rate of requests needs.
func sizesTable(f figures) string {
	m := f.Measured
	var b strings.Builder
	b.WriteString("| requests a second | cores | claims in the process | memory for them | claims at Redis | memory for them |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- |\n")
	for _, rate := range []float64{100, 1000, 6000, 20_000, 100_000} {
		inProcess, atRedis := rate*keptInProcess, rate*keptInRedis
		fmt.Fprintf(&b, "| %s | %.2f | %s | %s | %s | %s |\n", count(rate), f.cores(rate, "request"),
			count(inProcess), octets(inProcess*m["claim octets"]), count(atRedis), octets(atRedis*m["redis claim octets"]))
	}
	return b.String()
}

// needsTable is a million requests a second over a hundred instances.
func needsTable(f figures) string {
	m := f.Measured
	const rate, instances = 1e6, 100
	const token, rest = 900, 600 // octets of an access token, and of what else a request has; assumed
	cores := f.cores(rate, "request")
	tabled := f.cores(rate, "request, tables")
	live := rate * keptInRedis
	wire := rate * (m["proof, ES256 octets"] + token + rest)
	var b strings.Builder
	b.WriteString("| what | in all | for each of a hundred instances |\n| --- | --- | --- |\n")
	fmt.Fprintf(&b, "| signatures and all other judging | %.0f cores | %.2f cores |\n", cores, cores/instances)
	fmt.Fprintf(&b, "| the same with precomputed keys | %.0f cores | %.2f cores |\n", tabled, tabled/instances)
	fmt.Fprintf(&b, "| claims alive | %s | none: they are at Redis |\n", count(live))
	fmt.Fprintf(&b, "| memory for them | %s | |\n", octets(live*m["redis claim octets"]))
	fmt.Fprintf(&b, "| requests coming in, with proof and token | %.1f Gbit/s | %.0f Mbit/s |\n", wire*8/1e9, wire*8/1e6/instances)
	fmt.Fprintf(&b, "| claims to Redis, some 200 octets each way | %.1f Gbit/s | %.0f Mbit/s |\n", rate*400*8/1e9, rate*400*8/1e6/instances)
	return b.String()
}

// shardsTable simulates claims at the shards of a Cluster.
func shardsTable(f figures, rate float64, shards []int) string {
	service := f.Measured["redis claim ns"] / 1e9
	var b strings.Builder
	b.WriteString("| shards | busiest has of 64 | claims a second there | busy | 99 of 100 wait less than |\n")
	b.WriteString("| --- | --- | --- | --- | --- |\n")
	for _, n := range shards {
		buckets := slices.Max(bucketsOfShards(n))
		arrivals := rate * float64(buckets) / 64
		wait := "without end"
		if arrivals*service < 1 {
			wait = fmt.Sprintf("%.2f ms", 1000*waiting(arrivals, service))
		}
		fmt.Fprintf(&b, "| %d | %d | %s | %.0f %% | %s |\n", n, buckets, count(arrivals), 100*arrivals*service, wait)
	}
	return b.String()
}

// bucketsOfShards is how many of the 64 buckets of redisstore, by the hash tags {0} to {63}, lie at each of n shards that
// share the 16,384 slots evenly.
func bucketsOfShards(n int) []int {
	shards := make([]int, n)
	for i := range 64 {
		shards[int(crc16(strconv.Itoa(i))%16384)*n/16384]++
	}
	return shards
}

// crc16 is that of a Redis Cluster (XMODEM).
func crc16(s string) (sum uint16) {
	for _, c := range []byte(s) {
		sum ^= uint16(c) << 8
		for range 8 {
			high := sum&0x8000 != 0
			sum <<= 1
			if high {
				sum ^= 0x1021
			}
		}
	}
	return sum
}

func TestCRC16(t *testing.T) {
	if got := crc16("123456789"); got != 0x31C3 { // of the specification of Redis Cluster
		t.Errorf("crc16 = %#x", got)
	}
}

// waiting simulates a server with one thread that takes service seconds for each claim, which arrive at random, and
// returns the wait that 99 of 100 stay below.
func waiting(arrivals, service float64) float64 {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	const claims = 200_000
	waits := make([]float64, claims)
	var now, free float64 // when a claim arrives, and when the server is free
	for i := range waits {
		now += random.ExpFloat64() / arrivals
		waits[i] = max(0, free-now)
		free = max(free, now) + service
	}
	slices.Sort(waits)
	return waits[claims*99/100]
}

// The simulation waits as queues do: not at all when idle, some services at half of what it can, and long near all of it.
func TestWaiting(t *testing.T) {
	idle, half, full := waiting(0.01, 1), waiting(0.5, 1), waiting(0.95, 1)
	if idle > 1 || half < 1 || half > 5 || full < 10 {
		t.Errorf("waits of %.2f, %.2f and %.2f services", idle, half, full)
	}
}

func count(n float64) string {
	switch {
	case n >= 1e6:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", n/1e6), ".0") + " million"
	case n >= 1000:
		return fmt.Sprintf("%d,%03d", int(n)/1000, int(n)%1000)
	}
	return fmt.Sprintf("%.0f", n)
}

func octets(n float64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", n/1e9)
	}
	return fmt.Sprintf("%.0f MB", math.Ceil(n/1e6))
}

// The formula of docs/running.md: a memory for rate × (window + 30 s) takes that rate for ever, and not much more.
func TestMemoryTakesTheRate(t *testing.T) {
	const rate = 10
	for each, fits := range map[int]bool{rate: true, rate * 5 / 4: false} {
		now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		m, err := dpop.NewMemory(dpop.MemoryConfig{MaxEntries: rate * keptInProcess, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		full := false
		for second := range 600 {
			for i := range each {
				var key dpop.ReplayKey
				copy(key[:], fmt.Sprint(second, " ", i))
				_, err := m.Claim(t.Context(), key, now.Add(70*time.Second))
				if full = full || errors.Is(err, dpop.ErrStoreFull); err != nil && !full {
					t.Fatal(err)
				}
			}
			now = now.Add(time.Second)
		}
		if full == fits {
			t.Errorf("%d a second: full is %t", each, full)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
