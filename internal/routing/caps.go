package routing

import (
	"fmt"

	"leadline/internal/rep"
)

// Caps are limits on what somebody has in hand and takes. Zero: none. What a live offer is to become counts in every window.
type Caps struct {
	Open        int // live offers plus leads claimed and not yet contacted
	Offers      int // live offers
	Uncontacted int // leads claimed and not yet contacted
	PerHour     int // claimed within the last hour, plus live offers
	PerDay      int // since midnight in the zone
	PerWeek     int // since Monday in the zone
	ReserveHot  int // so many of Open are kept for hot leads
}

// Limits are caps on numbers of leads and on their points. They belong to a member, a pool or a group of pools.
type Limits struct {
	Cap       Caps // each lead counts one
	CapPoints Caps // each lead counts as many points as its rule gives it
}

// Quota is what a pool, or a group of pools, takes all together; days and weeks begin in its zone.
type Quota struct {
	Limits
	Timezone string
}

// Limited tells whether there is any limit.
func (l Limits) Limited() bool { return l != Limits{} }

// ByPoints tells whether any limit looks at points.
func (l Limits) ByPoints() bool { return l.CapPoints != Caps{} }

// Counted tells how far back leads must be counted for these limits, in hours; -1: they are not looked at.
func (l Limits) Counted() int { return max(l.Cap.counted(), l.CapPoints.counted()) }

func (c Caps) counted() int {
	switch {
	case c.PerWeek > 0:
		return 8 * 24 // a week, and the hour that a change of clocks may add
	case c.PerDay > 0:
		return 26
	case c.PerHour > 0:
		return 1
	case c.Open > 0 || c.Offers > 0 || c.Uncontacted > 0:
		return 0
	}
	return -1
}

// Windowed is the largest limit on what is taken within some time; 0: there is none. Nobody needs to count further.
func (l Limits) Windowed() int {
	return max(l.Cap.PerHour, l.Cap.PerDay, l.Cap.PerWeek, l.CapPoints.PerHour, l.CapPoints.PerDay, l.CapPoints.PerWeek)
}

// holder is whose limits are looked at: what their codes begin with and how they are called.
type holder struct{ prefix, words string }

var (
	ofMember = holder{"cap_", "at limit"}
	ofPool   = holder{"pool_cap_", "the pool is at its limit"}
	ofGroup  = holder{"group_cap_", "the group of pools is at its limit"}
)

// byPoints ends the codes of limits on points.
const byPoints = "_points"

// reached finds the first limit that does not let a lead come on top of a load.
func (l Limits) reached(h holder, load Load, a ask) obstacle {
	if o := l.Cap.reached(h, load.Tally, 1, a.hot, ""); o.code != rep.Able {
		return o
	}
	return l.CapPoints.reached(h, load.Points, a.weight(), a.hot, byPoints)
}

// reached looks at one tally; more is what the lead adds to it.
func (c Caps) reached(h holder, t Tally, more int, hot bool, suffix string) obstacle {
	points := ""
	if suffix == byPoints {
		points = "points "
	}
	for _, limit := range []struct {
		key         string
		have, limit int
		what        string
	}{
		{"open", t.Open(), c.Open, "open"},
		{"offers", t.Offers, c.Offers, "offered"},
		{"uncontacted", t.Uncontacted, c.Uncontacted, "not contacted"},
		{"per_hour", t.Offers + t.Hour, c.PerHour, "in an hour"},
		{"per_day", t.Offers + t.Day, c.PerDay, "today"},
		{"per_week", t.Offers + t.Week, c.PerWeek, "this week"},
	} {
		if limit.limit > 0 && limit.have+more > limit.limit {
			words := fmt.Sprintf("%s: %d %s%s, limit %d", h.words, limit.have, points, limit.what, limit.limit)
			if more > 1 {
				words += fmt.Sprintf(", and this lead has %d", more)
			}
			return obstacle{code: rep.Code(h.prefix + limit.key + suffix), words: words, have: limit.have, limit: limit.limit, over: limit.have + more - limit.limit}
		}
	}
	if left := c.Open - c.ReserveHot; !hot && c.ReserveHot > 0 && t.Open()+more > left {
		words := fmt.Sprintf("%s: %d %sopen, limit %d, the rest is kept for hot leads", h.words, t.Open(), points, left)
		return obstacle{code: rep.Code(h.prefix + "reserved_hot" + suffix), words: words, have: t.Open(), limit: left, over: t.Open() + more - left}
	}
	return obstacle{}
}

// full tells whether a pool, or the group that it belongs to, has reached a limit of its own.
func (w *World) full(p *Pool, a ask) obstacle {
	if p == nil {
		return obstacle{}
	}
	if o := p.Quota.reached(ofPool, w.Pools[p.Slug], a); o.code != rep.Able {
		return o
	}
	return p.GroupQuota.reached(ofGroup, w.Pools[groupKey(p.Group)], a)
}

// offered counts a live offer of a pool's towards what the pool and its group take.
func (w *World) offered(p *Pool, points int) {
	for _, key := range p.Quotas() {
		if w.Pools == nil {
			w.Pools = map[string]Load{}
		}
		load := w.Pools[key]
		load.offer(points)
		w.Pools[key] = load
	}
}

// Quotas are the keys of World.Pools that a pool's own limits and those of its group look at.
func (p *Pool) Quotas() (keys []string) {
	if p.Quota.Limited() {
		keys = append(keys, p.Slug)
	}
	if p.GroupQuota.Limited() {
		keys = append(keys, groupKey(p.Group))
	}
	return keys
}

func groupKey(group string) string { return "group:" + group }
