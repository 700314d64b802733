package cache_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	c.Add("a", "1", time.Hour)
	c.Wait()
	if got, ok := c.Get("a"); !ok || got != "1" {
		t.Errorf("got %q, %t", got, ok)
	}
	if got, ok := c.Get("b"); ok || got != "" {
		t.Errorf("a key that was never added: %q", got)
	}
	c.Close()
	c.Close()
	c.Add("b", "2", time.Hour)
	if got, ok := c.Get("a"); ok || got != "" {
		t.Errorf("after Close: %q", got)
	}
}

// The longer the keys are, the fewer there are.
func TestCacheOfLongKeys(t *testing.T) {
	const size, tried = 1000, 2000
	for _, test := range []struct{ length, most int }{{511, size}, {512, size / 2}, {2047, size / 4}} {
		c := open(t, size)
		key := func(i int) string { return fmt.Sprintf("%0*d", test.length, i) }
		for i := range tried {
			c.Add(key(i), "", time.Hour)
			c.Wait()
		}
		found := 0
		for i := range tried {
			if _, ok := c.Get(key(i)); ok {
				found++
			}
		}
		if found == 0 || found > test.most {
			t.Errorf("%d keys of %d octets were found, want %d at most", found, test.length, test.most)
		}
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
				c.Add(key, key, time.Hour)
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

// What is over makes room for what is new, however often it was asked for.
func TestWhatIsOverMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, life = 100, time.Minute
		c := open(t, size)
		generation := func(name string) (found int) {
			for i := range size {
				c.Add(name+strconv.Itoa(i), name, life)
			}
			c.Wait()
			for range 20 {
				found = 0
				for i := range size {
					if _, ok := c.Get(name + strconv.Itoa(i)); ok {
						found++
					}
				}
			}
			return found
		}
		if got := generation("old "); got != size {
			t.Errorf("%d of %d entries are found", got, size)
		}
		time.Sleep(life + 1)
		if _, ok := c.Get("old 1"); ok {
			t.Error("an entry is found after its life")
		}
		time.Sleep(time.Minute)
		if got := generation("new "); got != size {
			t.Errorf("%d of %d new entries are found", got, size)
		}
		c.Add("stillborn", "", 0)
		c.Wait()
		if _, ok := c.Get("stillborn"); ok {
			t.Error("an entry without a life is found")
		}
	})
}

func TestCloseBesideUse(t *testing.T) {
	c := open(t, 100)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 1000 {
				c.Add(strconv.Itoa(i), "", time.Hour)
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
