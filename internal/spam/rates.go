package spam

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"leadline/internal/lead"
)

// Memory is bounded: shards × shardMost counters of some 40 bytes, about 5 MB for each of limits and habits when full.
const (
	shards    = 64
	shardMost = 2048
)

// rates keeps senders to a pace by the generic cell rate algorithm: one moment per key says when its allowance is whole again. Keys are
// hashes under a seed of this process, so nothing in memory tells who it was.
type rates struct {
	seed  maphash.Seed
	shard [shards]rateShard
}

type rateShard struct {
	mu  sync.Mutex
	tat map[uint64]int64 // theoretical arrival time in Unix nanoseconds: in the past, it says nothing
}

func newRates() *rates {
	r := &rates{seed: maphash.MakeSeed()}
	for i := range r.shard {
		r.shard[i].tat = map[uint64]int64{}
	}
	return r
}

// kind tells counters of one key apart.
type kind byte

const (
	perAddress kind = iota
	perNetwork
	perForm
	perClient
	person
	retry
	turning
)

// whom is what a counter is about; what does not apply stays empty.
type whom struct {
	kind   kind
	form   string
	prefix netip.Prefix
	person string // or a client's name
}

func (r *rates) key(w whom) uint64 { return maphash.Comparable(r.seed, w) }

// take counts one event; false when that would be more than burst at once, or than the rate over time. What is refused is not counted.
func (r *rates) take(key uint64, rate lead.Rate, burst int, now time.Time) bool {
	return r.wait(key, rate, burst, now) == 0
}

// wait is take with the time after which the next event fits; 0: it was counted.
func (r *rates) wait(key uint64, rate lead.Rate, burst int, now time.Time) time.Duration {
	each := rate.Per / time.Duration(rate.Events)
	s := &r.shard[key%shards]
	at := now.UnixNano()

	s.mu.Lock()
	defer s.mu.Unlock()
	tat := max(s.tat[key], at)
	if over := time.Duration(tat-at) + each - each*time.Duration(burst); over > 0 {
		return over
	}
	s.forget(at)
	s.tat[key] = tat + int64(each)
	return 0
}

// forget makes room: moments in the past say nothing, and if that is not enough any others go (map order is random).
func (s *rateShard) forget(now int64) {
	if len(s.tat) < shardMost {
		return
	}
	for key, tat := range s.tat {
		if tat < now {
			delete(s.tat, key)
		}
	}
	for key := range s.tat {
		if len(s.tat) <= shardMost*3/4 {
			return
		}
		delete(s.tat, key)
	}
}
