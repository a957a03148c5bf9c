package spam

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// mostUses is how many different forms one page may send before that is odd: people press back and send again, a page may be shown in
// two tabs.
const mostUses = 3

// pages remembers, in the same bounded memory as rates, how often each page was used and which address of a network came last.
type pages struct {
	seed  maphash.Seed
	shard [shards]pageShard
}

type pageShard struct {
	mu   sync.Mutex
	uses map[uint64]use
	last map[uint64]uint64
}

// use is what one page sent.
type use struct {
	last  uint64 // the newest key, hashed: a retry is no further use
	count int32
	until int64 // Unix seconds
}

func newPages() *pages {
	p := &pages{seed: maphash.MakeSeed()}
	for i := range p.shard {
		p.shard[i].uses, p.shard[i].last = map[uint64]use{}, map[uint64]uint64{}
	}
	return p
}

// used counts a use of a page and tells how many there were. Sending the same key again is the same use.
func (p *pages) used(nonce uint64, key string, now time.Time) int {
	s := &p.shard[nonce%shards]
	hash := maphash.String(p.seed, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.uses[nonce]
	if known.count > 0 && known.last == hash && key != "" {
		return int(known.count)
	}
	if len(s.uses) >= shardMost {
		p.forget(s, now)
	}
	known = use{last: hash, count: known.count + 1, until: now.Add(mostDwell).Unix()}
	s.uses[nonce] = known
	return int(known.count)
}

func (p *pages) forget(s *pageShard, now time.Time) {
	for nonce, u := range s.uses {
		if u.until < now.Unix() {
			delete(s.uses, nonce)
		}
	}
	for nonce := range s.uses {
		if len(s.uses) <= shardMost*3/4 {
			return
		}
		delete(s.uses, nonce)
	}
}

// turned tells whether another address of a network came before this one.
func (p *pages) turned(network uint64, near netip.Prefix) bool {
	s := &p.shard[network%shards]
	hash := maphash.Comparable(p.seed, near)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.last[network]
	if len(s.last) >= shardMost && !known {
		clear(s.last)
	}
	s.last[network] = hash
	return known && before != hash
}
