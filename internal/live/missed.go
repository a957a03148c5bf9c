package live

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// missedWithin bounds how far back a summary looks, in events.
const missedWithin = 50_000

// Missed counts what happened to one rep while the console was away.
type Missed struct {
	OffersGone int // offers to the rep that ended without a claim
	NewInPool  int // leads that came to the rep's pools
}

// MissedSince counts from the events after a position.
func (h *Hub) MissedSince(ctx context.Context, since int64, repID uuid.UUID, pools []string) (Missed, error) {
	var m Missed
	since = max(since, h.board.Seq()-missedWithin)
	err := h.db.Console.QueryRow(ctx, `
		SELECT count(DISTINCT lead_id) FILTER (WHERE kind = 'offer_ended' AND rep_id = $2 AND data->>'state' <> 'accepted'),
		       count(DISTINCT lead_id) FILTER (WHERE kind IN ('pooled', 'waiting') AND pool = ANY($3))
		FROM event WHERE seq > $1`, since, repID, pools).Scan(&m.OffersGone, &m.NewInPool)
	if err != nil {
		return Missed{}, fmt.Errorf("count what a console missed: %w", err)
	}
	return m, nil
}
