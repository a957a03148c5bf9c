package routing

import (
	"fmt"

	"leadline/internal/rep"
)

// overCap finds the first limit that somebody has reached. Live offers count in every window: they may become claims.
func overCap(m Member, l Load, hot bool) obstacle {
	for _, limit := range []struct {
		code        rep.Code
		have, limit int
		what        string
	}{
		{CodeOpen, l.Open(), m.CapOpen, "open"},
		{CodeOffers, l.Offers, m.CapOffers, "offered"},
		{CodeUncontacted, l.Uncontacted, m.CapUncontacted, "not contacted"},
		{CodePerHour, l.Offers + l.Hour, m.CapPerHour, "in an hour"},
		{CodePerDay, l.Offers + l.Day, m.CapPerDay, "today"},
		{CodePerWeek, l.Offers + l.Week, m.CapPerWeek, "this week"},
	} {
		if limit.limit > 0 && limit.have >= limit.limit {
			return obstacle{limit.code, fmt.Sprintf("at limit: %d %s, limit %d", limit.have, limit.what, limit.limit), limit.have, limit.limit}
		}
	}
	if left := m.CapOpen - m.ReserveHot; !hot && m.ReserveHot > 0 && l.Open() >= left {
		return obstacle{CodeReserved, fmt.Sprintf("at limit: %d open, limit %d, the rest is kept for hot leads", l.Open(), left), l.Open(), left}
	}
	return obstacle{}
}

// Counted tells how far back a member's leads must be counted for their limits, in hours; -1: they are not looked at.
func (m Member) Counted() int {
	switch {
	case m.CapPerWeek > 0:
		return 8 * 24 // a week, and the hour that a change of clocks may add
	case m.CapPerDay > 0:
		return 26
	case m.CapPerHour > 0:
		return 1
	case m.CapOpen > 0 || m.CapOffers > 0 || m.CapUncontacted > 0:
		return 0
	}
	return -1
}
