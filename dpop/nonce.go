package dpop

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/internal/anynonce"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/setting"
)

// The sizes of nonces and of the secrets behind them, in octets.
const (
	// MinNonceSecret is the least length of a nonce secret.
	MinNonceSecret = 32

	nonceTime = 8
	nonceLife = 8
	nonceKind = 3 // of those of nonceLife
	nonceMAC  = 16
	nonceSize = nonceTime + nonceLife + nonceMAC
)

// The settings of a zero [Nonces] and its bound: a proof with a nonce lives for up to two periods, and [Memory] has
// slices for lives of up to 85 minutes.
const (
	defaultNoncePeriod = time.Minute
	maxNoncePeriod     = 30 * time.Minute
)

// Nonces are the settings of the nonces that a [Verifier] hands out (RFC 9449 §8 and §9). A nonce is the time of
// its issue, a mark of the process that issued it and a MAC, so nothing is stored, and every instance that shares
// the secrets and the period accepts it; only while the replay store is out of reach are there nonces that count for
// the instance alone that issued them (see [Fallback]). The zero Nonces is good for a single instance.
//
// Where no nonce is demanded and there is no Fallback, a proof with the nonce of another server, which many clients send
// because they know no other, is judged by its iat as one without. Every nonce of a Namespace shows that it is one,
// whoever issued it and by whichever secret: a proof with such a nonce is never judged by its iat, so none is accepted
// once by its nonce and, when that use is forgotten, once more by its iat. That holds for an old one as well. While it was
// fresh, a proof with it was good whatever its iat, that of a day to come included; when that day comes, its octets are
// those of a client with a right clock and an old nonce. Only a memory of all such proofs until their iat could tell the
// two apart, and how far ahead an iat may be has no bound.
type Nonces struct {
	// Secrets are at least 32 random octets each. The first signs, all verify: to rotate, put a new one second,
	// then first, then drop the old one, each two periods apart. Empty means a random secret for this process:
	// then no other instance accepts its nonces, nor does this one after a restart.
	Secrets [][]byte
	// Period divides time: nonces of the current period and of the one before it are accepted. Zero means one
	// minute; thirty are the most. A proof with a nonce is accepted, and remembered, for up to two periods, so a
	// longer period needs a larger replay store.
	Period time.Duration
	// EveryAnswer sends a nonce with every accepted answer to a proof that has one, not only once the client's is no
	// longer of the current period. Some clients, and test suites, expect that. No such answer may be stored then.
	EveryAnswer bool
	// Region is set where there are several regions, each with a replay store of its own: letters, digits and "-", 32 at
	// most, other than every other region's. Every proof then needs a nonce, which names its region and counts nowhere
	// else: instances of another region answer it with a nonce of theirs. So no proof is accepted in two. Empty means that
	// all instances that share Secrets share the replay store.
	Region string
}

const longestRegion = 32

// A nonceSource issues and recognises nonces. It is safe for concurrent use.
type nonceSource struct {
	secrets [][]byte
	period  time.Duration
	life    atomic.Pointer[life]
	context string
	kind    [nonceKind]byte // tells nonces of the namespace from those of other servers
	region  string
	any     bool // takes every nonce for a fresh one of ours
}

// A life is a time in which the replay store of this process forgot nothing. Its mark tells the nonces issued in
// it from all earlier ones and from those of other instances. It begins with the kind of the nonces.
type life struct {
	mark  [nonceLife]byte
	since time.Time
}

func (s *nonceSource) newLife(since time.Time) *life {
	l := &life{since: since}
	_, _ = rand.Read(l.mark[copy(l.mark[:], s.kind[:]):]) // never fails
	return l
}

func newNonceSource(settings Nonces, namespace string) (s *nonceSource, err error) {
	s = &nonceSource{period: settings.Period, region: settings.Region, any: anynonce.Is(settings.Secrets)}
	if err := setting.Between("Nonces.Period", &s.period, defaultNoncePeriod, time.Second, maxNoncePeriod); err != nil {
		return nil, err
	}
	if len(s.region) > longestRegion || strings.ContainsFunc(s.region, notOfARegion) {
		return nil, fmt.Errorf("Nonces.Region is %q: give up to %d letters, digits and -", s.region, longestRegion)
	}
	if s.any {
		settings.Secrets = nil // what it hands out itself is under a secret of this process
	}
	for i, secret := range settings.Secrets {
		if len(secret) < MinNonceSecret {
			return nil, fmt.Errorf("Nonces.Secrets[%d] has %d octets: give at least %d random ones", i, len(secret), MinNonceSecret)
		}
		if len(bytes.Trim(secret, "\x00")) == 0 {
			return nil, fmt.Errorf("Nonces.Secrets[%d] is all zeros: give at least %d random octets", i, MinNonceSecret)
		}
		s.secrets = append(s.secrets, bytes.Clone(secret))
	}
	if len(s.secrets) == 0 {
		secret := make([]byte, MinNonceSecret)
		_, _ = rand.Read(secret) // never fails
		s.secrets = [][]byte{secret}
	}
	// The namespace keeps APIs apart that share a secret. The period is there because it decides how long a proof
	// is remembered: after a change, older nonces must not come back to life.
	s.context = fmt.Sprintf("senderlock dpop nonce\x00%v\x00%s\x00", s.period, namespace)
	kind := sha256.Sum256([]byte("senderlock dpop nonce of a namespace\x00" + namespace))
	s.kind = [nonceKind]byte(kind[:])
	s.life.Store(s.newLife(time.Time{}))
	return s, nil
}

func notOfARegion(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

// renew begins a new life if the replay store's memory begins at another instant than it did.
func (s *nonceSource) renew(since time.Time) {
	if old := s.life.Load(); !old.since.Equal(since) {
		s.life.CompareAndSwap(old, s.newLife(since))
	}
}

// issue returns a nonce that says now. A local one is accepted by this process alone.
func (s *nonceSource) issue(now time.Time, local bool) string {
	b := make([]byte, 0, nonceSize+len(s.region))
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = append(b, s.life.Load().mark[:]...)
	b = append(b, s.region...)
	b = append(b, s.mac(s.secrets[0], b, local)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// A stamp is what a nonce of ours says.
type stamp struct {
	issued  time.Time
	mark    [nonceLife]byte
	local   bool      // accepted by the process alone that issued it
	until   time.Time // the nonce is accepted before this instant
	current bool      // of the current period: there is no need for another
}

// read checks a nonce. It returns [ErrNonceForeign], [ErrNonceRegion] or [ErrNonceOld].
func (s *nonceSource) read(nonce string, now time.Time, skew time.Duration) (stamp, error) {
	if s.any {
		return stamp{issued: now, until: now.Add(2 * s.period)}, nil
	}
	b, err := jose.Decode(nonce)
	if err != nil || len(b) < nonceSize || len(b) > nonceSize+longestRegion {
		return stamp{}, ErrNonceForeign.With("a nonce of this server", nonce)
	}
	message, mac := b[:len(b)-nonceMAC], b[len(b)-nonceMAC:]
	local := false
	if !s.ours(message, mac, local) {
		if local = s.ours(message, mac, true); !local {
			return stamp{}, ErrNonceForeign.With("a nonce of this server", nonce)
		}
	}
	if region := string(message[nonceTime+nonceLife:]); region != s.region {
		return stamp{}, ErrNonceRegion.With(fmt.Sprintf("a nonce of region %q", s.region), fmt.Sprintf("one of %q", region))
	}
	issued := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	begin := issued.Truncate(s.period)
	until := begin.Add(2 * s.period)
	if !now.Before(until) {
		return stamp{}, ErrNonceOld.With("a nonce of the last two periods", nonce).Off(now.Sub(until))
	}
	// Another instance's clock may be a little ahead; ours may have been set back by far more.
	if ahead := issued.Sub(now); ahead > skew {
		return stamp{}, ErrNonceOld.With("a nonce of the past", nonce).Off(ahead - skew)
	}
	return stamp{
		issued: issued, mark: [nonceLife]byte(message[nonceTime : nonceTime+nonceLife]), local: local,
		until: until, current: now.Before(begin.Add(s.period)),
	}, nil
}

// shows reports whether a nonce shows that it was issued for the namespace, by whomever. One that does not was never
// accepted by anybody.
func (s *nonceSource) shows(nonce string) bool {
	b, err := jose.Decode(nonce)
	return err == nil && len(b) >= nonceSize && bytes.HasPrefix(b[nonceTime:], s.kind[:])
}

// own reports whether this process has issued the nonce, since its replay store last forgot.
func (s *nonceSource) own(t stamp) bool { return t.mark == s.life.Load().mark }

func (s *nonceSource) ours(message, mac []byte, local bool) bool {
	for _, secret := range s.secrets {
		if hmac.Equal(mac, s.mac(secret, message, local)) {
			return true
		}
	}
	return false
}

// mac tells nonces that are local, and those of a region, from others by what it covers, so none can be made into another.
func (s *nonceSource) mac(secret, message []byte, local bool) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(s.context))
	if local {
		h.Write([]byte("local\x00"))
	}
	if len(message) > nonceTime+nonceLife {
		h.Write([]byte("region\x00"))
	}
	h.Write(message)
	return h.Sum(nil)[:nonceMAC]
}
