package cache_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/internal/cache"
)

func open(t *testing.T, entries int64) *cache.Cache[string] {
	t.Helper()
	c, err := cache.New[string](entries)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestCacheReturnsWhatWasAdded(t *testing.T) {
	c := open(t, 100)
	c.Add("a", "1")
	c.Wait()
	if got, ok := c.Get("a"); !ok || got != "1" {
		t.Errorf("got %q, %t", got, ok)
	}
	if got, ok := c.Get("b"); ok || got != "" {
		t.Errorf("a key that was never added: %q", got)
	}
	c.Close()
	c.Close()
	c.Add("b", "2")
	if got, ok := c.Get("a"); ok || got != "" {
		t.Errorf("after Close: %q", got)
	}
}

// It may forget, but never confuse two keys, and it does not grow.
func TestCacheIsBoundedAndNeverConfusesKeys(t *testing.T) {
	const size, keys = 100, 10_000
	c := open(t, size)
	var wait sync.WaitGroup
	for part := range 4 {
		wait.Go(func() {
			for i := part; i < keys; i += 4 {
				key := strconv.Itoa(i)
				c.Add(key, key)
				if got, ok := c.Get(key); ok && got != key {
					t.Errorf("%s under %s", got, key)
				}
			}
		})
	}
	wait.Wait()
	c.Wait()
	found := 0
	for i := range keys {
		key := strconv.Itoa(i)
		if got, ok := c.Get(key); ok {
			found++
			if got != key {
				t.Errorf("%s under %s", got, key)
			}
		}
	}
	if found == 0 || found > size {
		t.Errorf("%d entries in a cache of %d", found, size)
	}
}

func TestCloseBesideUse(t *testing.T) {
	c := open(t, 100)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 1000 {
				c.Add(strconv.Itoa(i), "")
				c.Get(strconv.Itoa(i))
			}
		})
	}
	c.Close()
	wait.Wait()
}

func TestNoEntriesIsAnError(t *testing.T) {
	if _, err := cache.New[int](0); err == nil {
		t.Error("a cache of no entries was made")
	}
}
