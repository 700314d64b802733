package dpop_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/anynonce"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// poptest.Now is five seconds into a minute, so a nonce of Now is accepted for 115 more seconds.

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, dpop.MinNonceSecret) }

func sharing(secrets ...[]byte) func(*dpop.Config) {
	return func(s *dpop.Config) { s.Nonces.Secrets = secrets }
}

func withNonce(nonce string) string { return mint(poptest.Proof{Nonce: nonce}) }

// A tool that has no secrets takes any nonce, and judges everything else.
func TestNonceTrustAny(t *testing.T) {
	v, clock := newServer(t, func(s *dpop.Config) { s.Nonces.Secrets = [][]byte{anynonce.Secret} })
	if p := accepts(t, v, requestWith(withNonce("another server's"))); !p.HasNonce() {
		t.Error("HasNonce() = false")
	}
	clock.Advance(24 * time.Hour)
	accepts(t, v, requestWith(withNonce("old")))
	refuses(t, v, requestWith(mint(poptest.Proof{Nonce: "n", Method: "PUT"})), dpop.ErrMethod)
	refuses(t, v, requestWith(mint(poptest.Proof{})), dpop.ErrStale)
}

// RS-020, RS-057, RS-058, RS-062, RS-070: how a nonce ages.
func TestNonceAges(t *testing.T) {
	for _, c := range []struct {
		name    string
		age     time.Duration
		want    *reason.Error
		off     time.Duration
		renewed bool
	}{
		{"new", 0, nil, 0, false},
		{"last instant of its period", 55*time.Second - 1, nil, 0, false},
		{"first instant of the next", 55 * time.Second, nil, 0, true},
		{"last instant of the next", 115*time.Second - 1, nil, 0, true},
		{"first instant after", 115 * time.Second, dpop.ErrNonceOld, 0, false},
		{"an hour after", 115*time.Second + time.Hour, dpop.ErrNonceOld, time.Hour, false},
		{"clock set back by the skew", -10 * time.Second, nil, 0, false},
		{"clock set back by a hair more", -10*time.Second - 1, dpop.ErrNonceOld, 1, false},
		{"clock set back by an hour", -time.Hour - 10*time.Second, dpop.ErrNonceOld, time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, clock := newServer(t, nil)
			nonce := v.Nonce()
			clock.Advance(c.age)
			if c.want != nil {
				cause := refuses(t, v, requestWith(withNonce(nonce)), c.want)
				if cause.Difference != c.off || !dpop.NeedsNonce(cause) {
					t.Errorf("off by %v, want %v; answered with a nonce: %v", cause.Difference, c.off, dpop.NeedsNonce(cause))
				}
				accepts(t, v, requestWith(withNonce(v.Nonce()))) // RS-058
				return
			}
			p := accepts(t, v, requestWith(withNonce(nonce)))
			if !p.HasNonce() {
				t.Error("HasNonce() = false")
			}
			// RS-063
			if next := v.NextNonce(p); (next != "") != c.renewed || c.renewed && next != v.Nonce() {
				t.Errorf("NextNonce() = %q", next)
			}
		})
	}
}

// RS-057, RS-059, RS-066: nonces that were changed, or that somebody else made. Where none is demanded, one that does not
// show that it is of the namespace, and so was never good, is as none.
func TestNonceForeign(t *testing.T) {
	v, clock := newServer(t, nil)
	demanding, _ := newServer(t, func(s *dpop.Config) { s.RequireNonce = true })
	withFallback, _ := newServer(t, func(s *dpop.Config) { s.Fallback = alone{local: newMemory(t, dpop.MemoryConfig{})} })
	stranger, _ := newServer(t, nil)
	other, _ := newServer(t, func(s *dpop.Config) { s.Namespace = "authorization server" })
	good := v.Nonce()
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	for name, c := range map[string]struct {
		nonce string
		shows bool // that it is of the namespace
	}{
		"of another secret":    {stranger.Nonce(), true},
		"longer":               {good + "AAAA", true},
		"MAC of zeros":         {b64(append(bytes.Clone(raw[:16]), make([]byte, 16)...)), true},
		"of another namespace": {other.Nonce(), false},
		"as RFC 9449 shows it": {poptest.Vectors().RFC9449.NonceExamples[0], false},
		"empty":                {"", false},
		"short":                {good[1:], false},
		"cut by four":          {good[:len(good)-4], false},
		"long":                 {good + "A", true},
		"very long":            {strings.Repeat(good+"A", 50), true},
		"padded":               {good + "=", false},
		"with a line break":    {good[:8] + "\n" + good[8:], false},
		"for a line break":     {good[:8] + "\n" + good[9:], false},
		"with a space":         {good + " ", false},
		"with stray bits":      {strayBits(good), false},
		"standard alphabet":    {base64.RawStdEncoding.EncodeToString(slices.Repeat([]byte{0xff}, 32)), false},
		"all zero":             {b64(make([]byte, 32)), false},
	} {
		t.Run(name, func(t *testing.T) {
			proof := func(iat time.Time) *http.Request {
				return requestWith(claims(members{"nonce": c.nonce, "iat": iat.Unix()}))
			}
			now := clock.Now().Truncate(time.Second)
			for _, strict := range []*dpop.Verifier{demanding, withFallback} {
				if cause := refuses(t, strict, proof(now), dpop.ErrNonceForeign); !dpop.NeedsNonce(cause) {
					t.Error("not answered with a nonce")
				}
			}
			for _, off := range []time.Duration{-61 * time.Second, 11 * time.Second} { // with ours, such a clock is no matter
				refuses(t, v, proof(now.Add(off)), dpop.ErrNonceForeign)
			}
			if c.shows {
				refuses(t, v, proof(now), dpop.ErrNonceForeign)
				return
			}
			r := proof(now)
			if p := accepts(t, v, r); p.HasNonce() || v.NextNonce(p) != "" {
				t.Errorf("taken for ours; NextNonce() = %q", v.NextNonce(p))
			}
			refuses(t, v, r, dpop.ErrReplayed)
		})
	}
	refuses(t, v, requestWith(claims(members{"nonce": null})), dpop.ErrJSON)

	// Every bit of it counts: the time, the mark of the process and the MAC.
	for bit := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := demanding.Read(requestWith(withNonce(b64(changed))), accessToken)
		isReason(t, err, dpop.ErrNonceForeign)
	}
	accepts(t, v, requestWith(withNonce(good)))
}

// Until the memory of a server is old enough, a nonce of another is no more than none: it is answered with one of ours.
func TestNonceForeignAfterStart(t *testing.T) {
	clock := poptest.NewClock()
	v := life(t, clock, nil)
	proof := func() string { return mint(poptest.Proof{Nonce: "not-ours", IssuedAt: clock.Now()}) }
	if cause := refuses(t, v, requestWith(proof()), dpop.ErrRestart); !dpop.NeedsNonce(cause) {
		t.Error("not answered with a nonce")
	}
	clock.Advance(dpop.DefaultSkew)
	accepts(t, v, requestWith(proof()))
}

// A proof that was accepted by its nonce, with an iat that was still to come, does not come back when its time has come:
// the nonce is old by then, or of a secret that is gone.
func TestNonceOfBeforeIsNoneOfAnother(t *testing.T) {
	for name, later := range map[string]func(*dpop.Config){
		"the same secret": sharing(secret(1)),
		"a new secret":    sharing(secret(2)),
		"another period":  func(s *dpop.Config) { s.Nonces = dpop.Nonces{Period: time.Second, Secrets: [][]byte{secret(1)}} },
	} {
		t.Run(name, func(t *testing.T) {
			first, clock := newServer(t, sharing(secret(1)))
			day := clock.Now().Add(24 * time.Hour)
			proof := mint(poptest.Proof{Nonce: first.Nonce(), IssuedAt: day})
			accepts(t, first, requestWith(proof))
			clock.Set(day)
			second, _ := newServer(t, func(s *dpop.Config) { later(s); s.Now = clock.Now })
			if err := errOf(second.Verify(requestWith(proof), accessToken)); !dpop.NeedsNonce(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func errOf(_ *dpop.Proof, err error) error { return err }

// RS-059, RS-061: nonces differ where time moved, have the required alphabet, and no common end.
func TestNonceText(t *testing.T) {
	v, clock := newServer(t, nil)
	seen, ends := map[string]bool{}, map[string]bool{}
	for range 1000 {
		nonce := v.Nonce()
		if nonce == "" || strings.ContainsFunc(nonce, func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' }) {
			t.Fatalf("%q is not 1*NQCHAR", nonce)
		}
		seen[nonce] = true
		ends[nonce[len(nonce)-8:]] = true
		clock.Advance(time.Second)
	}
	if len(seen) != 1000 || len(ends) != 1000 {
		t.Errorf("%d nonces and %d ends of 1000 are different", len(seen), len(ends))
	}
}

// RS-067: one nonce serves many proofs, each accepted once.
func TestNonceIsUsedManyTimes(t *testing.T) {
	v, _ := newServer(t, nil)
	nonce := v.Nonce()
	for range 3 {
		proof := withNonce(nonce)
		accepts(t, v, requestWith(proof))
		refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	}
}

// RS-056, RS-058, RS-068: where nonces are required, there is no way without.
func TestRequireNonce(t *testing.T) {
	v, _ := newServer(t, func(s *dpop.Config) { s.RequireNonce = true })
	for _, iat := range []time.Time{poptest.Now, poptest.Now.Add(-time.Hour), poptest.Now.Add(time.Hour)} {
		cause := refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: iat})), dpop.ErrNonceMissing)
		if !dpop.NeedsNonce(cause) {
			t.Error("not answered with a nonce")
		}
	}
	accepts(t, v, requestWith(withNonce(v.Nonce())))
	refuses(t, v, requestWith(mint(poptest.Proof{})), dpop.ErrNonceMissing)
	refuses(t, v, requestWith(claims(members{"nonce": ""})), dpop.ErrNonceForeign)
}

func TestNeedsNonce(t *testing.T) {
	for _, yes := range []error{dpop.ErrNonceMissing, dpop.ErrNonceForeign, dpop.ErrNonceOld, dpop.ErrRestart} {
		if !dpop.NeedsNonce(yes) {
			t.Errorf("%v is not answered with a nonce", yes)
		}
	}
	for _, no := range []error{nil, dpop.ErrStale, dpop.ErrFuture, dpop.ErrReplayed, dpop.ErrStore, dpop.ErrSignature, errors.New("x")} {
		if dpop.NeedsNonce(no) {
			t.Errorf("%v is answered with a nonce", no)
		}
	}
}

// RS-069: a fresh nonce stands for time, so a client with a wrong clock works. It stands for nothing else.
func TestNonceStandsForTime(t *testing.T) {
	const year = 365 * 24 * time.Hour
	v, clock := newServer(t, nil)
	nonce := v.Nonce()
	for _, c := range []struct {
		off  time.Duration
		want *reason.Error
	}{{-year, dpop.ErrStale}, {year, dpop.ErrFuture}, {-20 * year, dpop.ErrStale}} {
		iat := poptest.Now.Add(c.off)
		refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: iat})), c.want)
		proof := mint(poptest.Proof{IssuedAt: iat, Nonce: nonce})
		if p := accepts(t, v, requestWith(proof)); !p.IssuedAt().Equal(iat) {
			t.Errorf("IssuedAt() = %v, want %v", p.IssuedAt(), iat)
		}
		refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	}
	refuses(t, v, requestWith(claims(members{"nonce": nonce, "iat": "soon"})), dpop.ErrJSON)
	refuses(t, v, requestWith(claims(members{"nonce": nonce, "iat": nil})), dpop.ErrClaim)
	refuses(t, v, request("POST", poptest.URL, withNonce(nonce)), dpop.ErrMethod)
	clock.Advance(2 * time.Minute)
	// A proof is not rescued by a good iat when its nonce is old.
	refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: nonce})), dpop.ErrNonceOld)
}

// RS-066: who accepts whose nonces.
func TestNonceSharing(t *testing.T) {
	for _, c := range []struct {
		name           string
		issuer, reader func(*dpop.Config)
		want           *reason.Error
	}{
		{"shared secret", sharing(secret(1)), sharing(secret(1)), nil},
		{"different secrets", sharing(secret(1)), sharing(secret(2)), dpop.ErrNonceForeign},
		{"no secret given", nil, nil, dpop.ErrNonceForeign},
		{"rotation: reader knows the new one already", sharing(secret(1)), sharing(secret(1), secret(2)), nil},
		{"rotation: issuer signs with the new one", sharing(secret(2), secret(1)), sharing(secret(1), secret(2)), nil},
		{"rotation: reader signs with the new one", sharing(secret(1), secret(2)), sharing(secret(2), secret(1)), nil},
		{"rotation: issuer dropped the old one", sharing(secret(2)), sharing(secret(2), secret(1)), nil},
		{"rotation: the first signs", sharing(secret(1), secret(2)), sharing(secret(1)), nil},
		{"rotation: the second does not sign", sharing(secret(1), secret(2)), sharing(secret(2)), dpop.ErrNonceForeign},
		{"rotation: reader dropped the old one", sharing(secret(1)), sharing(secret(2)), dpop.ErrNonceForeign},
		{"another namespace", sharing(secret(1)), func(s *dpop.Config) {
			s.Namespace, s.Nonces.Secrets, s.RequireNonce = "b", [][]byte{secret(1)}, true
		}, dpop.ErrNonceForeign},
		// A longer period would bring a nonce back to life after its proofs have been forgotten.
		{"another period", sharing(secret(1)), func(s *dpop.Config) {
			s.Nonces = dpop.Nonces{Period: 5 * time.Minute, Secrets: [][]byte{secret(1)}}
		}, dpop.ErrNonceForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer, _ := newServer(t, c.issuer)
			reader, _ := newServer(t, c.reader)
			if c.want == nil {
				accepts(t, reader, requestWith(withNonce(issuer.Nonce())))
			} else {
				refuses(t, reader, requestWith(withNonce(issuer.Nonce())), c.want)
			}
		})
	}
}

// The clocks of two instances differ a little.
func TestNonceBetweenClocks(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration // issuer's clock
		want  *reason.Error
	}{
		{"behind by a second", -time.Second, nil},
		{"behind, in the period before", -65 * time.Second, nil},
		{"behind, two periods before", -65*time.Second - 1, dpop.ErrNonceOld},
		{"ahead by the skew", 10 * time.Second, nil},
		{"ahead by a hair more", 10*time.Second + 1, dpop.ErrNonceOld},
		{"ahead by an hour", time.Hour, dpop.ErrNonceOld},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer, clock := newServer(t, sharing(secret(1)))
			reader, _ := newServer(t, sharing(secret(1)))
			clock.Advance(c.ahead)
			proof := withNonce(issuer.Nonce())
			if c.want != nil {
				refuses(t, reader, requestWith(proof), c.want)
				return
			}
			accepts(t, reader, requestWith(proof))
		})
	}
	t.Run("ahead, in the next period", func(t *testing.T) {
		issuer, ahead := newServer(t, sharing(secret(1)))
		reader, clock := newServer(t, sharing(secret(1)))
		ahead.Advance(56 * time.Second)
		clock.Advance(54 * time.Second)
		p := accepts(t, reader, requestWith(withNonce(issuer.Nonce())))
		if next := reader.NextNonce(p); next != "" {
			t.Errorf("an older nonce is offered: %q", next)
		}
	})
}

// NextNonce has nothing for a client that uses none.
func TestNextNonceWithout(t *testing.T) {
	v, clock := newServer(t, nil)
	p := accepts(t, v, requestWith(mint(poptest.Proof{})))
	clock.Advance(time.Hour)
	if next := v.NextNonce(p); next != "" {
		t.Errorf("NextNonce() = %q", next)
	}
}

// A client that follows NextNonce is never refused, however it is timed within a period.
func TestNextNonceKeepsAClientGoing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	v, clock := newServer(t, func(s *dpop.Config) { s.RequireNonce, s.Nonces.Period = true, 10*time.Second })
	nonce, renewed := v.Nonce(), 0
	for range 200 {
		p := accepts(t, v, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: nonce})))
		if next := v.NextNonce(p); next != "" {
			nonce = next
			renewed++
		}
		clock.Advance(time.Duration(random.Int64N(int64(10 * time.Second))))
	}
	if renewed < 50 || renewed > 150 {
		t.Errorf("renewed %d times in about 100 periods", renewed)
	}
}

// The longest period fits the replay memory: claims whose expiries lie two periods and the greatest skew apart.
func TestLongestNoncePeriodFitsTheMemory(t *testing.T) {
	clock := poptest.NewClock()
	memory, err := dpop.NewMemory(dpop.MemoryConfig{Now: clock.Now, Window: 80 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if memory.Cap() != 1_000_000 {
		t.Errorf("Cap() = %d", memory.Cap())
	}
	v, _ := newServer(t, func(s *dpop.Config) {
		s.Nonces.Period, s.Replay, s.Now, s.InsecureForgetAtStart = 30*time.Minute, memory, clock.Now, true
	})
	nonce, proofs := v.Nonce(), 0
	for range 6 {
		accepts(t, v, requestWith(mint(poptest.Proof{IssuedAt: clock.Now()})))
		accepts(t, v, requestWith(withNonce(nonce)))
		accepts(t, v, requestWith(withNonce(v.Nonce())))
		proofs++
		clock.Advance(9 * time.Minute)
	}
	clock.Advance(6 * time.Minute) // two periods after the beginning of the first, to the second or a little more
	refuses(t, v, requestWith(withNonce(nonce)), dpop.ErrNonceOld)
	if proofs != 6 || memory.Len() == 0 {
		t.Errorf("%d rounds, %d entries", proofs, memory.Len())
	}
}

// With EveryAnswer a client with a current nonce gets another, and one without a nonce still gets none.
func TestNonceWithEveryAnswer(t *testing.T) {
	for _, every := range []bool{false, true} {
		v, _ := newServer(t, func(s *dpop.Config) { s.Nonces.EveryAnswer = every })
		p := accepts(t, v, requestWith(withNonce(v.Nonce())))
		if next := v.NextNonce(p); (next != "") != every {
			t.Errorf("EveryAnswer %t: NextNonce() = %q", every, next)
		}
		if next := v.NextNonce(accepts(t, v, requestWith(mint(poptest.Proof{})))); next != "" {
			t.Errorf("EveryAnswer %t, no nonce: NextNonce() = %q", every, next)
		}
	}
}
