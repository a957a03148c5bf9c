package account

import (
	"sync"
	"time"
)

// lookupKept bounds how long a signed-out session or a revoked token still works in this process.
const lookupKept = time.Second

// cache keeps answers of the database for a second, so that a busy console or program does not ask for each request.
type cache[V any] struct {
	now  func() time.Time
	mu   sync.Mutex
	kept map[string]cached[V]
}

type cached[V any] struct {
	value V
	until time.Time
}

func newCache[V any](now func() time.Time) *cache[V] {
	return &cache[V]{now: now, kept: map[string]cached[V]{}}
}

func (c *cache[V]) get(hash []byte) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.kept[string(hash)]
	if !ok || !c.now().Before(entry.until) {
		delete(c.kept, string(hash))
		var none V
		return none, false
	}
	return entry.value, true
}

func (c *cache[V]) put(hash []byte, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= 4096 {
		clear(c.kept)
	}
	c.kept[string(hash)] = cached[V]{value: value, until: c.now().Add(lookupKept)}
}

func (c *cache[V]) drop(hash []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, string(hash))
}
