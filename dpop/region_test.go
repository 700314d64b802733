package dpop_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// regional is a verifier of a region, with a memory of its own and the secrets of all.
func regional(t *testing.T, clock *poptest.Clock, region string) *dpop.Verifier {
	t.Helper()
	v, err := dpop.New(dpop.Config{
		Origins: []string{"https://api.example.com"}, InsecureForgetAtStart: true, Now: clock.Now,
		Nonces: dpop.Nonces{Secrets: [][]byte{[]byte("a nonce secret of all regions, 32 octets or more")}, Region: region},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// A proof counts in the region that its nonce names, once, and is answered with a nonce in every other: also by an
// instance that has no region yet, or no longer.
func TestRegions(t *testing.T) {
	clock := poptest.NewClock()
	west, east, none := regional(t, clock, "west"), regional(t, clock, "east"), regional(t, clock, "")
	proof := func(nonce string) string {
		return poptest.Proof{Nonce: nonce, URL: "https://api.example.com/accounts", IssuedAt: clock.Now()}.String()
	}
	for name, c := range map[string]struct {
		at    *dpop.Verifier
		nonce string
		want  error
	}{
		"a nonce of the region":               {west, west.Nonce(), nil},
		"no nonce":                            {west, "", dpop.ErrNonceMissing},
		"a nonce of another region":           {west, east.Nonce(), dpop.ErrNonceRegion},
		"the other way round":                 {east, west.Nonce(), dpop.ErrNonceRegion},
		"a nonce of before there was one":     {west, none.Nonce(), dpop.ErrNonceRegion},
		"a nonce of a region, where is none":  {none, west.Nonce(), dpop.ErrNonceRegion},
		"no nonce, where there is no region":  {none, "", nil},
		"no nonce of ours, and of its length": {west, strings.Repeat("A", len(west.Nonce())), dpop.ErrNonceForeign},
		"longer than any":                     {west, strings.Repeat("A", 128), dpop.ErrNonceForeign},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
			r.Host, r.RequestURI = "api.example.com", "/accounts"
			r.Header.Set("DPoP", proof(c.nonce))
			if _, err := c.at.Verify(r, ""); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				if !dpop.NeedsNonce(c.want) {
					t.Error("it is not answered with a nonce")
				}
				return
			}
			if _, err := c.at.Verify(r, ""); !errors.Is(err, dpop.ErrReplayed) {
				t.Errorf("again: %v, want ErrReplayed", err)
			}
		})
	}
}

func TestRegionNames(t *testing.T) {
	for _, good := range []string{"", "azAZ09-", strings.Repeat("x", 32)} {
		clock := poptest.NewClock()
		v := regional(t, clock, good)
		r, _ := http.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
		r.Host, r.RequestURI = "api.example.com", "/accounts"
		r.Header.Set("DPoP", poptest.Proof{Nonce: v.Nonce(), URL: "https://api.example.com/accounts"}.String())
		if _, err := v.Verify(r, ""); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"eu west", "eu\x00", "ä", strings.Repeat("x", 33), "a/b", "a:b", "a@b", "a[b", "a`b", "a{b"} {
		_, err := dpop.New(dpop.Config{Origins: []string{"https://api.example.com"}, Nonces: dpop.Nonces{Region: bad}})
		if err == nil || !strings.Contains(err.Error(), "Nonces.Region is") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// ofRegion is a memory of a region.
type ofRegion struct {
	dpop.ReplayStore
	name string
}

func (o ofRegion) Region() string { return o.name }

// A store of one region with nonces of another, or of none, would let a proof count in several.
func TestRegionOfTheStore(t *testing.T) {
	memory, err := dpop.NewMemory(dpop.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	for _, c := range []struct {
		store, nonces string
		want          string
	}{
		{"west", "west", ""},
		{"", "", ""},
		{"west", "", `Nonces.Region is "", and Replay is the memory of region "west"`},
		{"", "west", `Nonces.Region is "west", and Replay is the memory of region ""`},
		{"west", "east", "give both the same name"},
	} {
		v, err := dpop.New(dpop.Config{
			Origins: []string{"https://api.example.com"}, Replay: ofRegion{memory, c.store}, Nonces: dpop.Nonces{Region: c.nonces},
		})
		if err == nil {
			_ = v.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("store of %q, nonces of %q: %v", c.store, c.nonces, err)
		}
	}
}
