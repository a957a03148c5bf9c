package live

import (
	"context"
	"fmt"
)

// missedWithin bounds how far back a summary looks, in events.
const missedWithin = 50_000

// Missed counts what happened to one rep while the console was away.
type Missed struct {
	OffersGone int // offers to the rep that ended without a claim
	NewInPool  int // leads that came to the rep's pools
}

// MissedSince counts from the events after a position. A person who is no rep missed nothing.
func (h *Hub) MissedSince(ctx context.Context, since int64, who Audience) (Missed, error) {
	var m Missed
	if who.RepID == nil {
		return m, nil
	}
	since = max(since, h.board.Seq()-missedWithin)
	err := h.db.Console.QueryRow(ctx, `
		SELECT count(DISTINCT lead_id) FILTER (WHERE kind = 'offer_ended' AND rep_id = $2 AND data->>'state' <> 'accepted'),
		       count(DISTINCT lead_id) FILTER (WHERE kind IN ('pooled', 'waiting') AND pool = ANY($3))
		FROM event WHERE seq > $1`, since, *who.RepID, h.pools(who.Email)).Scan(&m.OffersGone, &m.NewInPool)
	if err != nil {
		return Missed{}, fmt.Errorf("count what a console missed: %w", err)
	}
	return m, nil
}
