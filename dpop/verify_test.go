package dpop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// newServer returns a Verifier under a clock that shows poptest.Now. It accepts proofs at once, as a server that
// has been up for long.
func newServer(t testing.TB, change func(*dpop.Config)) (*dpop.Verifier, *poptest.Clock) {
	t.Helper()
	clock := poptest.NewClock()
	config := dpop.Config{Now: clock.Now, InsecureForgetAtStart: true}
	if _, measured := t.(*testing.B); !measured { // tests make many Verifiers, and none uses many keys
		config.KnownKeys = 1000
	}
	if change != nil {
		change(&config)
	}
	config.InsecureTrustHost = len(config.Origins) == 0
	v, err := dpop.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v, clock
}

func request(method, target string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		r.Header.Add("DPoP", f)
	}
	return r
}

// requestWith is a GET of poptest.URL.
func requestWith(fields ...string) *http.Request { return request("GET", poptest.URL, fields...) }

func accepts(t testing.TB, v *dpop.Verifier, r *http.Request) *dpop.Proof {
	t.Helper()
	p, err := v.Verify(r, accessToken)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if p.TokenHash() != jose.Hash(accessToken) {
		t.Errorf("the hash of the token is %q", p.TokenHash())
	}
	return p
}

func refuses(t testing.TB, v *dpop.Verifier, r *http.Request, want *reason.Error) *reason.Error {
	t.Helper()
	p, err := v.Verify(r, accessToken)
	if p != nil {
		t.Error("a refusal came with a proof")
	}
	return isReason(t, err, want)
}

// isReason checks that an error is a refusal for the wanted cause, in chain and in name.
func isReason(t testing.TB, err error, want *reason.Error) *reason.Error {
	t.Helper()
	cause, ok := errors.AsType[*reason.Error](err)
	if !ok || !errors.Is(err, want) || reason.Of(err) != want.Name || want.Name == "" {
		t.Fatalf("got %v (%s), want %s", err, reason.Of(err), want.Name)
	}
	return cause
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// at gives an iat that is off the clock by so much, to the nanosecond.
func numericDate(instant time.Time) json.Number {
	return json.Number(fmt.Sprintf("%d.%09d", instant.Unix(), instant.Nanosecond()))
}

func TestMethod(t *testing.T) {
	v, _ := newServer(t, nil)
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PATCH", "REPORT", "get"} {
		accepts(t, v, request(method, poptest.URL, mint(poptest.Proof{Method: method})))
	}
	// RS-014
	refuses(t, v, request("HEAD", poptest.URL, mint(poptest.Proof{})), dpop.ErrMethod)
	cause := refuses(t, v, request("POST", poptest.URL, mint(poptest.Proof{})), dpop.ErrMethod)
	if cause.Expected != "POST" || cause.Received != "GET" {
		t.Errorf("expected %q, received %q", cause.Expected, cause.Received)
	}
}

// RS-015, RS-016 through a list of origins.
func TestTarget(t *testing.T) {
	v, _ := newServer(t, func(s *dpop.Config) { s.Origins = []string{poptest.Audience} })
	accepts(t, v, request("GET", "http://api.example.com/accounts?x=1", mint(poptest.Proof{})))
	refuses(t, v, request("GET", "http://evil.example/accounts", mint(poptest.Proof{URL: "http://evil.example/accounts"})), dpop.ErrHost)
	cause := refuses(t, v, request("GET", poptest.Audience+"/transfer", mint(poptest.Proof{})), dpop.ErrTarget)
	if cause.Expected != poptest.Audience+"/transfer" || cause.Received != poptest.URL {
		t.Errorf("expected %q, received %q", cause.Expected, cause.Received)
	}
}

// Without a token, as at a token endpoint, ath is not looked at; with one it must be there.
func TestWithoutToken(t *testing.T) {
	v, _ := newServer(t, nil)
	for proof, want := range map[string]*reason.Error{
		poptest.Proof{}.String(): dpop.ErrNoTokenHash, poptest.Proof{Token: "any"}.String(): dpop.ErrTokenHash,
	} {
		if _, err := v.Verify(requestWith(proof), ""); err != nil {
			t.Error(err)
		}
		_, err := v.Read(requestWith(again(proof)), accessToken)
		isReason(t, err, want)
	}
}

// A path may have as many commas as it likes.
func TestCommasInPath(t *testing.T) {
	v, _ := newServer(t, nil)
	for _, path := range []string{strings.Repeat("4711,", 500), strings.Repeat("[{,", 500)} {
		u := poptest.Audience + "/quotes/" + path
		accepts(t, v, request("GET", u, mint(poptest.Proof{URL: u})))
	}
}

// RFC 7519 §4.1.4 and §4.1.5: a proof may say for itself when it is to be accepted. That is judged with Skew, with a
// nonce too.
func TestOwnLifetime(t *testing.T) {
	at := func(offset time.Duration) json.Number {
		return json.Number(strconv.FormatFloat(float64(poptest.Now.Add(offset).UnixMilli())/1e3, 'f', 3, 64))
	}
	const skew, instant = dpop.DefaultSkew, time.Millisecond
	for _, c := range []struct {
		name  string
		claim string
		value any
		want  *reason.Error
		off   time.Duration
	}{
		{"exp to come", "exp", at(time.Minute), nil, 0},
		{"exp now", "exp", at(0), nil, 0},
		{"exp just within Skew", "exp", at(instant - skew), nil, 0},
		{"exp just beyond Skew", "exp", at(-skew), dpop.ErrExpired, 0},
		{"exp a minute ago", "exp", at(-time.Minute), dpop.ErrExpired, time.Minute - skew},
		{"exp in 1970", "exp", 0, dpop.ErrExpired, poptest.Now.Add(-skew).Sub(time.Unix(0, 0))},
		{"exp before the first year", "exp", json.Number("-62135596800"), dpop.ErrExpired, 1<<63 - 1},
		{"exp beyond all years", "exp", json.Number("1e999"), nil, 0},
		{"nbf past", "nbf", at(-time.Minute), nil, 0},
		{"nbf now", "nbf", at(0), nil, 0},
		{"nbf just within Skew", "nbf", at(skew), nil, 0},
		{"nbf just beyond Skew", "nbf", at(skew + instant), dpop.ErrNotYet, instant},
		{"nbf in a minute", "nbf", at(time.Minute), dpop.ErrNotYet, time.Minute - skew},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := newServer(t, nil)
			for _, nonce := range []string{"", v.Nonce()} {
				proof := mint(poptest.Proof{Nonce: nonce, Claims: members{c.claim: c.value}})
				if c.want == nil {
					accepts(t, v, requestWith(proof))
					continue
				}
				if cause := refuses(t, v, requestWith(proof), c.want); (cause.Difference - c.off).Abs() > time.Microsecond {
					t.Errorf("by %v, want %v", cause.Difference, c.off)
				}
			}
		})
	}
	v, _ := newServer(t, nil)
	cause := refuses(t, v, requestWith(claims(members{"nbf": poptest.Now.UnixMilli()})), dpop.ErrNotYet)
	if !strings.Contains(cause.Received, "milliseconds") {
		t.Errorf("received %q", cause.Received)
	}
	cause = refuses(t, v, requestWith(claims(members{"iat": poptest.Now.UnixMilli()})), dpop.ErrFuture)
	if !strings.Contains(cause.Received, "milliseconds") {
		t.Errorf("received %q", cause.Received)
	}
}

// For how long a proof is remembered does not depend on what it says of its own end.
func TestOwnLifetimeIsNotTheMemory(t *testing.T) {
	var until []time.Time
	v, _ := newServer(t, func(v *dpop.Config) {
		v.Replay = storeFunc(func(_ context.Context, _ dpop.ReplayKey, expiry time.Time) (bool, error) {
			until = append(until, expiry)
			return true, nil
		})
	})
	for _, c := range []members{nil, {"exp": poptest.Now.Unix() + 1}, {"exp": int64(4102444800)}, {"nbf": 0}, {"nbf": poptest.Now.Unix() + 9}} {
		accepts(t, v, requestWith(mint(poptest.Proof{Claims: c})))
	}
	for _, expiry := range until {
		if !expiry.Equal(until[0]) {
			t.Errorf("remembered until %v", until)
		}
	}
	if len(until) != 5 {
		t.Errorf("%d claims", len(until))
	}
}

// RS-023: whose key it is, is for the caller to compare.
func TestThumbprint(t *testing.T) {
	v, _ := newServer(t, nil)
	for _, alg := range dpop.Algorithms() {
		key := poptest.Keyed(alg, "proof")
		p, err := v.Read(requestWith(mint(poptest.Proof{Key: key})), accessToken)
		if err != nil {
			t.Fatal(err)
		}
		if p.Thumbprint() != key.Thumbprint() {
			t.Errorf("%s: thumbprint %s, want %s", alg, p.Thumbprint(), key.Thumbprint())
		}
	}
}

// RS-021, RS-027, RS-070 to RS-072: the window of iat and how far a proof missed it.
func TestTimeEdges(t *testing.T) {
	const maxAge, skew = 60 * time.Second, 10 * time.Second
	clock := func(d time.Duration) any { return numericDate(poptest.Now.Add(d)) }
	// A double holds such a time to about a quarter of a microsecond.
	const step = time.Microsecond
	for _, c := range []struct {
		name string
		iat  any
		want *reason.Error
		off  time.Duration
	}{
		{"now", clock(0), nil, 0},
		{"RS-072 4 s ahead", clock(4 * time.Second), nil, 0},
		{"RS-072 8 s ahead", clock(8 * time.Second), nil, 0},
		{"the oldest", clock(-maxAge), nil, 0},
		{"half a second younger than the oldest", clock(-maxAge + time.Second/2), nil, 0},
		{"a hair too old", clock(-maxAge - step), dpop.ErrStale, step},
		{"a second too old", clock(-maxAge - time.Second), dpop.ErrStale, time.Second},
		{"an hour too old", clock(-maxAge - time.Hour), dpop.ErrStale, time.Hour},
		{"the furthest ahead", clock(skew), nil, 0},
		{"a hair too far ahead", clock(skew + step), dpop.ErrFuture, step},
		{"a second too far ahead", clock(skew + time.Second), dpop.ErrFuture, time.Second},
		{"a year too far ahead", clock(skew + 8766*time.Hour), dpop.ErrFuture, 8766 * time.Hour},
		{"zero", 0, dpop.ErrStale, poptest.Now.Sub(unix(0)) - maxAge},
		{"minus one", -1, dpop.ErrStale, poptest.Now.Sub(unix(-1)) - maxAge},
		{"milliseconds", poptest.Now.UnixMilli(), dpop.ErrFuture, 1<<63 - 1},
		{"1e308", json.Number("1e308"), dpop.ErrFuture, 1<<63 - 1},
		{"-1e308", json.Number("-1e308"), dpop.ErrStale, 1<<63 - 1},
		{"1e999", json.Number("1e999"), dpop.ErrFuture, 1<<63 - 1},
		{"-1e999", json.Number("-1e999"), dpop.ErrStale, 1<<63 - 1},
		{"1e-999", json.Number("1e-999"), dpop.ErrStale, poptest.Now.Sub(unix(0)) - maxAge},
		{"largest integer", json.Number("9223372036854775807"), dpop.ErrFuture, 1<<63 - 1},
		{"one more", json.Number("9223372036854775808"), dpop.ErrFuture, 1<<63 - 1},
		{"smallest integer", json.Number("-9223372036854775808"), dpop.ErrStale, 1<<63 - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := newServer(t, nil)
			r := requestWith(claims(members{"iat": c.iat}))
			if c.want == nil {
				accepts(t, v, r)
				return
			}
			cause := refuses(t, v, r, c.want)
			if d := cause.Difference - c.off; d < -step/2 || d > step/2 {
				t.Errorf("off by %v, want %v", cause.Difference, c.off)
			}
			if dpop.NeedsNonce(cause) {
				t.Error("answered with a nonce")
			}
		})
	}
}

// The edges to the nanosecond: the clock moves, iat has whole seconds.
func TestTimeEdgesOfTheClock(t *testing.T) {
	for _, c := range []struct {
		name    string
		now     time.Duration // after iat
		want    *reason.Error
		missing time.Duration
	}{
		{"last instant", 3 * time.Second, nil, 0},
		{"one nanosecond after", 3*time.Second + 1, dpop.ErrStale, 1},
		{"first instant", -2 * time.Second, nil, 0},
		{"one nanosecond before", -2*time.Second - 1, dpop.ErrFuture, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, clock := newServer(t, func(s *dpop.Config) { s.MaxAge, s.Skew = 3*time.Second, 2*time.Second })
			clock.Advance(c.now)
			r := requestWith(mint(poptest.Proof{}))
			if c.want == nil {
				accepts(t, v, r)
			} else if cause := refuses(t, v, r, c.want); cause.Difference != c.missing {
				t.Errorf("off by %v, want %v", cause.Difference, c.missing)
			}
		})
	}
}

// RS-054, RS-073: a proof is accepted once, whatever became of the request.
func TestReplay(t *testing.T) {
	v, clock := newServer(t, nil)
	proof := mint(poptest.Proof{JTI: "once"})
	accepts(t, v, requestWith(proof))
	cause := refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	if cause.Received != "once" {
		t.Errorf("received %q", cause.Received)
	}
	if dpop.NeedsNonce(cause) {
		t.Error("answered with a nonce")
	}
	// The same jti once more in another proof, elsewhere, spelled otherwise.
	refuses(t, v, requestWith(rawPayload(text(1, `"text"`, `"\u006fnce"`))), dpop.ErrReplayed)
	refuses(t, v, request("POST", poptest.Audience+"/x", mint(poptest.Proof{JTI: "once", Method: "POST", URL: poptest.Audience + "/x"})), dpop.ErrReplayed)
	clock.Advance(dpop.DefaultMaxAge)
	refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	clock.Advance(1)
	refuses(t, v, requestWith(proof), dpop.ErrStale)
}

// RS-073: a proof dated ahead lives longer, and so does the memory of it.
func TestReplayOfFutureDated(t *testing.T) {
	v, clock := newServer(t, nil)
	proof := mint(poptest.Proof{IssuedAt: poptest.Now.Add(dpop.DefaultSkew)})
	accepts(t, v, requestWith(proof))
	for range 70 {
		clock.Advance(time.Second)
		refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	}
	clock.Advance(1)
	refuses(t, v, requestWith(proof), dpop.ErrStale)
}

// RS-075: one key cannot use up another key's jti, nor one namespace another's.
func TestReplayScope(t *testing.T) {
	store := newForgetful(poptest.NewClock().Now)
	a, _ := newServer(t, func(s *dpop.Config) { s.Replay, s.Namespace = store, "a" })
	b, _ := newServer(t, func(s *dpop.Config) { s.Replay, s.Namespace = store, "b" })
	a2, _ := newServer(t, func(s *dpop.Config) { s.Replay, s.Namespace = store, "a" })
	proof := mint(poptest.Proof{JTI: "shared"})
	accepts(t, a, requestWith(proof))
	accepts(t, a, requestWith(mint(poptest.Proof{JTI: "shared", Key: poptest.Keyed("ES256", "other")})))
	accepts(t, b, requestWith(proof))
	refuses(t, a2, requestWith(proof), dpop.ErrReplayed)
}

func TestReplayKey(t *testing.T) {
	seen := map[dpop.ReplayKey][3]string{}
	for _, parts := range [][3]string{
		{"", "", ""}, {"a", "b", "c"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "bc", ""}, {"abc", "", ""}, {"", "", "abc"},
		{"a\x00", "b", "c"}, {"a", "\x00b", "c"},
	} {
		key := dpop.NewReplayKey(parts[0], parts[1], parts[2])
		if twin, ok := seen[key]; ok {
			t.Errorf("%q and %q meet", parts, twin)
		}
		seen[key] = parts
	}
	if _, ok := seen[dpop.NewReplayKey("a", "b", "c")]; !ok {
		t.Error("not a function of its parts")
	}
}

// RS-076: only a proof that passed every other check is recorded.
func TestRefusedIsNotRecorded(t *testing.T) {
	store := newForgetful(poptest.NewClock().Now)
	v, _ := newServer(t, func(s *dpop.Config) { s.Replay = store })
	good := mint(poptest.Proof{JTI: "fragile"})
	for _, c := range []struct {
		name string
		r    *http.Request
		want *reason.Error
	}{
		{"signature", requestWith(poptest.Tampered(good)), dpop.ErrSignature},
		{"method", request("POST", poptest.URL, good), dpop.ErrMethod},
		{"target", request("GET", poptest.Audience+"/x", good), dpop.ErrTarget},
		{"another signer", requestWith(mint(poptest.Proof{JTI: "fragile", Signer: poptest.Keyed("ES256", "other")})), dpop.ErrSignature},
		{"token", requestWith(mint(poptest.Proof{JTI: "fragile", Token: "x"})), dpop.ErrTokenHash},
		{"time", requestWith(mint(poptest.Proof{JTI: "fragile", IssuedAt: poptest.Now.Add(time.Hour)})), dpop.ErrFuture},
	} {
		refuses(t, v, c.r, c.want)
	}
	if len(store.entries) != 0 {
		t.Errorf("%d refused proofs were recorded", len(store.entries))
	}
	accepts(t, v, requestWith(good))
	if len(store.entries) != 1 {
		t.Errorf("%d entries after one acceptance", len(store.entries))
	}
}

// RS-074: of 64 copies at one time exactly one is accepted.
func TestConcurrentCopies(t *testing.T) {
	v, _ := newServer(t, nil)
	for range 20 {
		proof := mint(poptest.Proof{})
		var accepted, replayed atomic.Int32
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			group.Go(func() {
				<-start
				switch _, err := v.Verify(requestWith(proof), accessToken); {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, dpop.ErrReplayed):
					replayed.Add(1)
				}
			})
		}
		close(start)
		group.Wait()
		if accepted.Load() != 1 || replayed.Load() != 63 {
			t.Fatalf("%d accepted, %d replayed", accepted.Load(), replayed.Load())
		}
	}
}

type storeFunc func(context.Context, dpop.ReplayKey, time.Time) (bool, error)

func (f storeFunc) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	return f(ctx, key, expiry)
}

func (storeFunc) Since() time.Time { return time.Time{} }

func (storeFunc) Window() time.Duration { return window }

// A store that cannot answer is the server's trouble (RS-180): refused, and not as the client's fault.
func TestStoreFails(t *testing.T) {
	down := errors.New("connection refused")
	for _, fresh := range []bool{false, true} {
		v, _ := newServer(t, func(s *dpop.Config) {
			s.Replay = storeFunc(func(context.Context, dpop.ReplayKey, time.Time) (bool, error) { return fresh, down })
		})
		proof := mint(poptest.Proof{})
		p, err := v.Verify(requestWith(proof), accessToken)
		if p != nil || !errors.Is(err, dpop.ErrStore) || !errors.Is(err, down) || reason.Of(err) != "replay_store_unreachable" {
			t.Errorf("fresh %v: got %v, %v (%s)", fresh, p, err, reason.Of(err))
		}
		if v.HeaderCached(strings.Split(proof, ".")[0]) {
			t.Error("the header was cached")
		}
	}
}

// The store gets the request's context, the key of the proof and the first instant at which it is too old.
func TestStoreArguments(t *testing.T) {
	type key struct{}
	var calls int
	v, _ := newServer(t, func(s *dpop.Config) {
		s.Namespace = "ns"
		s.Replay = storeFunc(func(ctx context.Context, k dpop.ReplayKey, expiry time.Time) (bool, error) {
			calls++
			if ctx.Value(key{}) != "mine" {
				t.Error("another context")
			}
			if k != dpop.NewReplayKey("ns", poptest.ClientKey().Thumbprint(), "id") {
				t.Error("another key")
			}
			if want := poptest.Now.Add(dpop.DefaultMaxAge + 1); !expiry.Equal(want) {
				t.Errorf("expiry %v, want %v", expiry, want)
			}
			return true, nil
		})
	})
	r := requestWith(mint(poptest.Proof{JTI: "id"}))
	accepts(t, v, r.WithContext(context.WithValue(r.Context(), key{}, "mine")))
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestRememberNeedsSignature(t *testing.T) {
	store := newForgetful(poptest.NewClock().Now)
	v, _ := newServer(t, func(s *dpop.Config) { s.Replay = store })
	p, err := v.Read(requestWith(mint(poptest.Proof{})), accessToken)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Remember(t.Context(), p); !errors.Is(err, dpop.ErrUnsigned) {
		t.Errorf("before VerifySignature: %v", err)
	}
	bad, err := v.Read(requestWith(poptest.Tampered(mint(poptest.Proof{}))), accessToken)
	if err != nil {
		t.Fatal(err)
	}
	isReason(t, bad.VerifySignature(), dpop.ErrSignature)
	if err := v.Remember(t.Context(), bad); !errors.Is(err, dpop.ErrUnsigned) {
		t.Errorf("after a failed VerifySignature: %v", err)
	}
	if len(store.entries) != 0 {
		t.Error("recorded without a signature")
	}
	if err := p.VerifySignature(); err != nil {
		t.Fatal(err)
	}
	if err := v.Remember(t.Context(), p); err != nil {
		t.Error(err)
	}
	isReason(t, v.Remember(t.Context(), p), dpop.ErrReplayed)
}

// A proof that was in time when it was read may no longer be when it is claimed.
func TestTimeRunsOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		nonce bool
		wait  time.Duration
		want  *reason.Error
		off   time.Duration
	}{
		{"last instant of iat", false, dpop.DefaultMaxAge, nil, 0},
		{"after the last", false, dpop.DefaultMaxAge + 1, dpop.ErrStale, 0},
		{"a second later", false, dpop.DefaultMaxAge + time.Second + 1, dpop.ErrStale, time.Second},
		{"last instant of the nonce", true, 115*time.Second - 1, nil, 0},
		{"after the nonce", true, 115 * time.Second, dpop.ErrNonceOld, 0},
		{"a second after the nonce", true, 116 * time.Second, dpop.ErrNonceOld, time.Second},
	} {
		for _, slow := range []string{"before the claim", "during the claim"} {
			t.Run(c.name+" "+slow, func(t *testing.T) {
				clock, claims := poptest.NewClock(), 0
				store := storeFunc(func(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
					claims++
					if slow == "during the claim" {
						clock.Advance(c.wait)
					}
					return true, nil
				})
				v, _ := newServer(t, func(s *dpop.Config) { s.Now, s.Replay = clock.Now, store })
				proof := poptest.Proof{}
				if c.nonce {
					proof.Nonce = v.Nonce()
				}
				p, err := v.Read(requestWith(mint(proof)), accessToken)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.VerifySignature(); err != nil {
					t.Fatal(err)
				}
				if slow == "before the claim" {
					clock.Advance(c.wait)
				}
				if err = v.Remember(t.Context(), p); c.want == nil {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if cause := isReason(t, err, c.want); cause.Difference != c.off {
					t.Errorf("off by %v, want %v", cause.Difference, c.off)
				}
				if slow == "before the claim" && claims != 0 {
					t.Error("an old proof reached the store")
				}
			})
		}
	}
}

// Wrong settings are refused by New, which names the field and says what to put there.
func TestSettings(t *testing.T) {
	long := secret(1)
	for _, c := range []struct {
		change func(*dpop.Config)
		field  string // empty: accepted
	}{
		{func(s *dpop.Config) {}, ""},
		{func(s *dpop.Config) { s.Origins = nil }, "Origins is empty"},
		{func(s *dpop.Config) { s.Origins = []string{} }, "Origins is empty"},
		{func(s *dpop.Config) { s.Origins, s.InsecureTrustHost = nil, true }, ""},
		{func(s *dpop.Config) { s.InsecureTrustHost = true }, "Origins and InsecureTrustHost"},
		{func(s *dpop.Config) { s.ForwardedBy.Addresses = []string{"0.0.0.0/0"} }, "ForwardedBy.Addresses[0]"},
		{func(s *dpop.Config) { s.Algorithms = []string{} }, "Algorithms"},
		{func(s *dpop.Config) { s.Algorithms = []string{"ES256", "HS256"} }, `Algorithms has "HS256"`},
		{func(s *dpop.Config) { s.Algorithms = []string{"none"} }, `Algorithms has "none"`},
		{func(s *dpop.Config) { s.Algorithms = []string{"es256"} }, `Algorithms has "es256"`},
		{func(s *dpop.Config) { s.Algorithms = []string{"ES256"} }, ""},
		{func(s *dpop.Config) { s.Replay = (*dpop.Memory)(nil) }, "Replay holds a nil *dpop.Memory"},
		{func(s *dpop.Config) { s.Fallback = (*link)(nil) }, "Fallback holds a nil *dpop_test.link"},
		{func(s *dpop.Config) { s.MaxAge = -1 }, "MaxAge"},
		{func(s *dpop.Config) { s.MaxAge = time.Second - 1 }, "MaxAge"},
		{func(s *dpop.Config) { s.MaxAge = time.Second }, ""},
		{func(s *dpop.Config) { s.MaxAge = 10 * time.Minute }, ""},
		{func(s *dpop.Config) { s.MaxAge = 10*time.Minute + 1 }, "MaxAge"},
		{func(s *dpop.Config) { s.Skew = -1 }, "Skew"},
		{func(s *dpop.Config) { s.Skew = 15 }, "Skew is 15ns"}, // meant as seconds
		{func(s *dpop.Config) { s.Skew = time.Millisecond }, ""},
		{func(s *dpop.Config) { s.Skew = 5 * time.Minute }, ""},
		{func(s *dpop.Config) { s.Skew = 5*time.Minute + 1 }, "Skew"},
		{func(s *dpop.Config) { s.MaxSize = -1 }, "MaxSize"},
		{func(s *dpop.Config) { s.MaxSize = 511 }, "MaxSize"},
		{func(s *dpop.Config) { s.MaxSize = 512 }, ""},
		{func(s *dpop.Config) { s.MaxSize = 1<<20 + 1 }, "MaxSize"},
		{func(s *dpop.Config) { s.MaxRSABits = -1 }, "MaxRSABits"},
		{func(s *dpop.Config) { s.MaxRSABits = 2047 }, "MaxRSABits"},
		{func(s *dpop.Config) { s.MaxRSABits = 2048 }, ""},
		{func(s *dpop.Config) { s.MaxRSABits = 16385 }, "MaxRSABits"},
		{func(s *dpop.Config) { s.KnownKeys = 999 }, "KnownKeys is 999"},
		{func(s *dpop.Config) { s.KnownKeys = 1000 }, ""},
		{func(s *dpop.Config) { s.KnownKeys = 100_000_001 }, "KnownKeys is 100000001"},
		{func(s *dpop.Config) { s.PrecomputedKeys = -1 }, "PrecomputedKeys is -1"},
		{func(s *dpop.Config) { s.PrecomputedKeys = 1 }, ""},
		{func(s *dpop.Config) { s.PrecomputedKeys = 1<<20 + 1 }, "PrecomputedKeys is 1048577"},
		{func(s *dpop.Config) { s.PrecomputedRecheck = -1 }, "PrecomputedRecheck is -1"},
		{func(s *dpop.Config) { s.PrecomputedKeys, s.PrecomputedRecheck = 1, 1 }, ""},
		{func(s *dpop.Config) { s.Nonces.Period = -1 }, "Nonces.Period"},
		{func(s *dpop.Config) { s.Nonces.Period = time.Second - 1 }, "Nonces.Period"},
		{func(s *dpop.Config) { s.Nonces.Period = time.Second }, ""},
		{func(s *dpop.Config) { s.Nonces.Period = 30 * time.Minute }, ""},
		{func(s *dpop.Config) { s.Nonces.Period = 30*time.Minute + 1 }, "Nonces.Period"}, // RS-071
		{func(s *dpop.Config) { s.Nonces.Period = 1<<63 - 1 }, "Nonces.Period"},
		{func(s *dpop.Config) { s.Nonces.Secrets = [][]byte{long, long[1:]} }, "Nonces.Secrets[1]"},
		{func(s *dpop.Config) { s.Nonces.Secrets = [][]byte{nil} }, "Nonces.Secrets[0]"},
		{func(s *dpop.Config) { s.Nonces.Secrets = [][]byte{long} }, ""},
		{func(s *dpop.Config) { s.Nonces.Secrets = [][]byte{long, secret(0)} }, "Nonces.Secrets[1] is all zeros"},
	} {
		config := dpop.Config{Origins: []string{poptest.Audience}}
		c.change(&config)
		v, err := dpop.New(config)
		switch {
		case c.field == "" && err != nil:
			t.Errorf("refused: %v", err)
		case c.field == "":
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), "dpop.Config: "+c.field):
			t.Errorf("%s: got %v", c.field, err)
		case v != nil || reason.Of(err) != "": // nothing accepts, and nothing looks like the client's fault
			t.Errorf("%s: got %v with %v", c.field, v, err)
		}
	}
}

// The settings are taken once: what the caller does with its slices later changes nothing.
func TestSettingsAreCopied(t *testing.T) {
	algorithms := []string{"ES256"}
	secret := secret(2)
	v, _ := newServer(t, func(s *dpop.Config) { s.Algorithms, s.Nonces.Secrets = algorithms, [][]byte{secret} })
	nonce := v.Nonce()
	algorithms[0], secret[0] = "none", 1
	accepts(t, v, requestWith(mint(poptest.Proof{Nonce: nonce})))
	if v.Nonce() != nonce {
		t.Error("the secret changed")
	}
}

// A Verifier that is given its origins alone works on the real clock, and asks for nonces after its start.
func TestOriginsAreEnough(t *testing.T) {
	v, err := dpop.New(dpop.Config{Origins: []string{poptest.Audience}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	proof := poptest.Proof{IssuedAt: time.Now()}
	refuses(t, v, requestWith(mint(proof)), dpop.ErrRestart)
	proof.Nonce = v.Nonce()
	accepts(t, v, requestWith(mint(proof)))
}

func TestClose(t *testing.T) {
	stores := map[string]func(*dpop.Config){
		"own memory":     nil,
		"caller's store": func(s *dpop.Config) { s.Replay = newForgetful(poptest.NewClock().Now) },
	}
	for name, change := range stores {
		t.Run("use after Close, "+name, func(t *testing.T) {
			v, _ := newServer(t, change)
			accepts(t, v, requestWith(mint(poptest.Proof{})))
			for range 2 {
				if err := v.Close(); err != nil {
					t.Error(err)
				}
			}
			p, err := v.Verify(requestWith(mint(poptest.Proof{})), accessToken)
			if p != nil || !errors.Is(err, dpop.ErrStore) || reason.Of(err) != "replay_store_unreachable" {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
	t.Run("Close before use", func(t *testing.T) {
		v, _ := newServer(t, nil)
		for range 2 {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
		p, err := v.Verify(requestWith(mint(poptest.Proof{})), accessToken)
		if p != nil || !errors.Is(err, dpop.ErrStore) || reason.Of(err) != "replay_store_unreachable" {
			t.Errorf("got %v, %v", p, err)
		}
	})
	t.Run("Close beside requests", func(t *testing.T) {
		v, _ := newServer(t, nil)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 20 {
					proof := mint(poptest.Proof{})
					if _, err := v.Verify(requestWith(proof), accessToken); err != nil && !errors.Is(err, dpop.ErrStore) {
						t.Error(err)
					}
				}
			})
		}
		group.Go(func() { _ = v.Close() })
		group.Wait()
	})
}

// The cache of headers: only what passed everything enters, and it stands for nothing but the header.
func TestHeaderCache(t *testing.T) {
	v, _ := newServer(t, nil)
	segment := func(proof string) string { return strings.Split(proof, ".")[0] }
	mine := poptest.Keyed("ES256", "cached")
	other := poptest.Keyed("ES256", "other")

	for _, c := range []struct {
		name  string
		proof poptest.Proof
		want  *reason.Error
	}{
		{"signature", poptest.Proof{Key: mine, Signer: other}, dpop.ErrSignature},
		{"token", poptest.Proof{Key: mine, Token: "x"}, dpop.ErrTokenHash},
		{"time", poptest.Proof{Key: mine, IssuedAt: poptest.Now.Add(time.Hour)}, dpop.ErrFuture},
		{"method", poptest.Proof{Key: mine, Method: "POST"}, dpop.ErrMethod},
	} {
		proof := mint(c.proof)
		refuses(t, v, requestWith(proof), c.want)
		if v.HeaderCached(segment(proof)) {
			t.Errorf("cached although the %s was wrong", c.name)
		}
	}

	first := mint(poptest.Proof{Key: mine})
	accepts(t, v, requestWith(first))
	if !v.HeaderCached(segment(first)) {
		t.Fatal("not cached after an acceptance")
	}
	second := mint(poptest.Proof{Key: mine})
	if segment(second) != segment(first) {
		t.Fatal("the test needs equal headers")
	}
	if p := accepts(t, v, requestWith(second)); p.Thumbprint() != mine.Thumbprint() || p.Algorithm() != "ES256" {
		t.Errorf("from the cache: %s %s", p.Algorithm(), p.Thumbprint())
	}

	// A known header vouches for nothing else.
	refuses(t, v, requestWith(poptest.Tampered(mint(poptest.Proof{Key: mine}))), dpop.ErrSignature)
	refuses(t, v, requestWith(mint(poptest.Proof{Key: mine, Signer: other})), dpop.ErrSignature)
	refuses(t, v, requestWith(first), dpop.ErrReplayed)

	// Two headers never share an entry, even where they say the same.
	k := mine.JWK()
	k["kid"] = "another"
	spelled := mint(poptest.Proof{Key: mine, Header: members{"jwk": k}})
	for key, proof := range map[*poptest.Key]string{other: mint(poptest.Proof{Key: other}), mine: spelled} {
		if v.HeaderCached(segment(proof)) {
			t.Error("cached before it was seen")
		}
		if p := accepts(t, v, requestWith(proof)); p.Thumbprint() != key.Thumbprint() {
			t.Errorf("thumbprint %s, want %s", p.Thumbprint(), key.Thumbprint())
		}
	}
	if !v.HeaderCached(segment(first)) || !v.HeaderCached(segment(spelled)) {
		t.Error("one pushed the other out")
	}

	// What is large stays out.
	k["kid"] = strings.Repeat("k", 1600)
	bulky := mint(poptest.Proof{Key: mine, Header: members{"jwk": k}})
	accepts(t, v, requestWith(bulky))
	if v.HeaderCached(segment(bulky)) {
		t.Error("a header of more than 2 kB was cached")
	}
}

// A cached header spares the work on the key.
func TestHeaderCacheIsUsed(t *testing.T) {
	v, _ := newServer(t, nil)
	proof := mint(poptest.Proof{})
	r := requestWith(proof)
	read := func() {
		if _, err := v.Read(r, accessToken); err != nil {
			t.Fatal(err)
		}
	}
	cold := testing.AllocsPerRun(50, read)
	accepts(t, v, requestWith(proof))
	if !v.HeaderCached(strings.Split(proof, ".")[0]) {
		t.Fatal("not cached")
	}
	if warm := testing.AllocsPerRun(50, read); warm > cold-5 {
		t.Errorf("%v allocations with a known key, %v with a new one", warm, cold)
	}
}

// Five minutes either way, to the second; and a proof is remembered from one end to the other.
func TestFiveMinutes(t *testing.T) {
	v, clock := newServer(t, func(s *dpop.Config) { s.MaxAge, s.Skew = dpop.FiveMinutes, dpop.FiveMinutes })
	at := func(off time.Duration) string { return mint(poptest.Proof{IssuedAt: clock.Now().Add(off)}) }
	accepts(t, v, requestWith(at(-5*time.Minute)))
	refuses(t, v, requestWith(at(-5*time.Minute-time.Second)), dpop.ErrStale)
	refuses(t, v, requestWith(at(5*time.Minute+time.Second)), dpop.ErrFuture)
	ahead := at(5 * time.Minute)
	accepts(t, v, requestWith(ahead))
	clock.Advance(10 * time.Minute)
	refuses(t, v, requestWith(ahead), dpop.ErrReplayed)
	clock.Advance(1)
	refuses(t, v, requestWith(ahead), dpop.ErrStale)
}
