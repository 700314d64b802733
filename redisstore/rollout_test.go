package redisstore_test

import (
	"log/slog"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

var _ rollout.Store = (*redisstore.Rollout)(nil)

// What two instances count comes together, and outlives both.
func TestRolloutIsShared(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	start := func() *rollout.Clients {
		c, err := rollout.New(t.Context(), rollout.Config{Store: openOn(t, server).Rollout(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := start(), start()
	for _, c := range []*rollout.Clients{first, second, first} {
		c.Observe(access.Observer{}).Decided(t.Context(), access.Decision{Issuer: "i", ClientID: "a"})
	}
	for _, c := range []*rollout.Clients{first, second} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	third := start()
	defer third.Close()
	if all := third.List(); len(all) != 1 || all[0].Client != "a" || all[0].Requests != 3 {
		t.Errorf("listed %+v", all)
	}
	if life := server.Do("PTTL", "senderlock:rollout"); life == "-1" {
		t.Error("the summary never expires")
	}
	store := openOn(t, server).Rollout()
	if swapped, err := store.Swap(t.Context(), nil, []byte("x")); swapped || err != nil {
		t.Errorf("swapped what is there for nothing: %v, %v", swapped, err)
	}
}
