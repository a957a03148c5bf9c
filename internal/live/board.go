package live

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
)

// How much a console shows; everything beyond is a count.
const (
	ShownOffers = 10
	ShownPool   = 20
	ShownMine   = 30
)

// keepFinished is how long a finished lead stays on its holder's board; views narrow it to the holder's own day.
const keepFinished = 24 * time.Hour

// arrivalsKept bounds the memory of arrivals per pool that views report for latency figures.
const arrivalsKept = 512

// Board is the open leads of all pools in memory, in order of urgency. It is a projection: the tables are the truth, and a
// board can be thrown away and read again at any time. One goroutine (the reader) changes it, any number look.
type Board struct {
	mu       sync.RWMutex
	seq      int64
	cards    map[uuid.UUID]*Card
	pools    map[string]*poolBoard
	offers   map[uuid.UUID][]*Card
	holdings map[uuid.UUID][]*Card
}

type poolBoard struct {
	order    []*Card // most urgent first
	arrivals []arrival
}

type arrival struct {
	seq        int64
	acceptedAt time.Time
}

func newBoard() *Board {
	return &Board{
		cards:    map[uuid.UUID]*Card{},
		pools:    map[string]*poolBoard{},
		offers:   map[uuid.UUID][]*Card{},
		holdings: map[uuid.UUID][]*Card{},
	}
}

// Viewer says whose console is composed.
type Viewer struct {
	RepID *uuid.UUID // nil: no offers and no leads of one's own
	All   bool       // every pool, for people who watch
	Pools []string   // the rep's pools
	Since int64      // the position of the viewer's last view, for Arrived
	Day   time.Time  // finished leads from this moment on are part of Mine
}

// View is one console's part of the board. Cards are shared: never change one.
type View struct {
	Seq       int64
	Offers    []*Card // offered to the viewer alone, most urgent deadline first
	Pool      []*Card // the most urgent of the viewer's pools
	PoolCount int     // all of them
	PoolLate  int     // of these, past their goal
	Mine      []*Card // claimed and untouched by urgency, then finished ones, newest first
	Arrived   []time.Time
}

// Seq is the number of the last event that the board reflects.
func (b *Board) Seq() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.seq
}

// Len is the number of cards held.
func (b *Board) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.cards)
}

// Card gives one card, or nil when the lead is not on the board.
func (b *Board) Card(id uuid.UUID) *Card {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.cards[id]
}

// View composes one console's part.
func (b *Board) View(v Viewer, now time.Time) View {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := View{Seq: b.seq}
	pools := v.Pools
	if v.All {
		pools = pools[:0:0]
		for slug := range b.pools {
			pools = append(pools, slug)
		}
	}
	for _, slug := range pools {
		if p := b.pools[slug]; p != nil {
			out.Pool = append(out.Pool, p.order[:min(len(p.order), ShownPool)]...)
			out.PoolCount += len(p.order)
			out.PoolLate += p.late(now)
			out.Arrived = p.since(v.Since, out.Arrived)
		}
	}
	slices.SortFunc(out.Pool, urgency)
	out.Pool = out.Pool[:min(len(out.Pool), ShownPool)]
	if v.RepID == nil {
		return out
	}
	out.Offers = slices.Clone(b.offers[*v.RepID])
	slices.SortFunc(out.Offers, byOfferDeadline)
	out.Offers = out.Offers[:min(len(out.Offers), ShownOffers)]
	out.Mine = mineOf(b.holdings[*v.RepID], v.Day)
	return out
}

func byOfferDeadline(a, b *Card) int {
	if a.OfferDeadline != nil && b.OfferDeadline != nil {
		if d := a.OfferDeadline.Compare(*b.OfferDeadline); d != 0 {
			return d
		}
	}
	return urgency(a, b)
}

func mineOf(held []*Card, day time.Time) []*Card {
	out := make([]*Card, 0, len(held))
	for _, c := range held {
		if at, done := c.Finished(); !done || !at.Before(day) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *Card) int {
		atA, doneA := a.Finished()
		atB, doneB := b.Finished()
		switch {
		case doneA != doneB && doneB, !doneA && !doneB && moreUrgent(a, b):
			return -1
		case doneA != doneB, !doneA && !doneB:
			return 1
		}
		return atB.Compare(atA)
	})
	return out[:min(len(out), ShownMine)]
}

// late counts cards past their goal: the order begins with them.
func (p *poolBoard) late(now time.Time) int {
	n, _ := slices.BinarySearchFunc(p.order, now, func(c *Card, now time.Time) int {
		if c.Goal != nil && c.Goal.Before(now) {
			return -1
		}
		return 1
	})
	return n
}

func (p *poolBoard) since(seq int64, to []time.Time) []time.Time {
	for i := len(p.arrivals) - 1; i >= 0 && p.arrivals[i].seq > seq; i-- {
		to = append(to, p.arrivals[i].acceptedAt)
	}
	return to
}

// touched names those whose consoles a change concerns.
type touched struct {
	reps  map[uuid.UUID]bool
	pools map[string]bool
}

// apply puts newly read cards in place and moves the board to seq. Leads in ids without a card left the board.
func (b *Board) apply(seq int64, ids []uuid.UUID, cards map[uuid.UUID]*Card) touched {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := touched{reps: map[uuid.UUID]bool{}, pools: map[string]bool{}}
	for _, id := range ids {
		old, next := b.cards[id], cards[id]
		t.note(old)
		t.note(next)
		b.remove(old)
		b.add(next)
		if next != nil && next.Claimable() && (old == nil || !old.Claimable() || old.Pool != next.Pool) {
			b.pools[next.Pool].arrive(arrival{seq: seq, acceptedAt: next.AcceptedAt})
		}
	}
	b.seq = max(b.seq, seq)
	return t
}

func (p *poolBoard) arrive(a arrival) {
	if len(p.arrivals) >= 2*arrivalsKept {
		p.arrivals = slices.Clone(p.arrivals[arrivalsKept:])
	}
	p.arrivals = append(p.arrivals, a)
}

func (t touched) note(c *Card) {
	if c == nil {
		return
	}
	if c.Claimable() {
		t.pools[c.Pool] = true
	}
	if rep, ok := c.OfferedTo(); ok {
		t.reps[rep] = true
	}
	if c.RepID != nil {
		t.reps[*c.RepID] = true
	}
}

func (b *Board) add(c *Card) {
	if c == nil {
		return
	}
	b.cards[c.ID] = c
	if c.Claimable() {
		p := b.pools[c.Pool]
		if p == nil {
			p = &poolBoard{}
			b.pools[c.Pool] = p
		}
		at, _ := slices.BinarySearchFunc(p.order, c, urgency)
		p.order = slices.Insert(p.order, at, c)
	}
	if rep, ok := c.OfferedTo(); ok {
		b.offers[rep] = append(b.offers[rep], c)
	}
	if c.RepID != nil {
		b.holdings[*c.RepID] = append(b.holdings[*c.RepID], c)
	}
}

func (b *Board) remove(c *Card) {
	if c == nil {
		return
	}
	delete(b.cards, c.ID)
	if c.Claimable() {
		p := b.pools[c.Pool]
		if at, found := slices.BinarySearchFunc(p.order, c, urgency); found {
			p.order = slices.Delete(p.order, at, at+1)
		}
	}
	if rep, ok := c.OfferedTo(); ok {
		b.offers[rep] = without(b.offers[rep], c.ID)
	}
	if c.RepID != nil {
		b.holdings[*c.RepID] = without(b.holdings[*c.RepID], c.ID)
	}
}

func without(cards []*Card, id uuid.UUID) []*Card {
	return slices.DeleteFunc(cards, func(c *Card) bool { return c.ID == id })
}

// forget drops finished leads that nobody's day shows any more.
func (b *Board) forget(before time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cards {
		if at, done := c.Finished(); done && at.Before(before) {
			b.remove(c)
		}
	}
}

// boarded tells whether a lead's stage belongs on the board at all.
func boarded(now time.Time) func(*Card) bool {
	return func(c *Card) bool {
		switch c.Stage {
		case lead.StageNew, lead.StageOffered, lead.StageWaiting, lead.StageClaimed:
			return true
		}
		at, done := c.Finished()
		return done && at.After(now.Add(-keepFinished))
	}
}
