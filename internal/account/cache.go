package account

import (
	"maps"
	"sync"
	"time"
)

// lookupKept bounds how long a signed-out session or a revoked token still works in this process. It is less than the second
// after which an open console asks again, so that each ask is answered by the database, and the console ends within two seconds.
const lookupKept = 900 * time.Millisecond

// cache keeps answers of the database for a moment, so that a busy console or program does not ask for each request.
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

// drop forgets the answers that a change has made wrong.
func (c *cache[V]) drop(wrong func(V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.kept, func(_ string, entry cached[V]) bool { return wrong(entry.value) })
}
