package intake

import (
	"context"

	"github.com/google/uuid"

	"leadline/internal/lead"
)

// releaseStatement lets held leads go on as new ones of this process, but for those that a rule keeps from routing. Events last, as everywhere.
const releaseStatement = `
WITH u AS (
    UPDATE lead l SET stage = 'new', node = $2, dispatch_lease = clock_timestamp() + interval '5 seconds'
    FROM hold h WHERE l.id = ANY($1::uuid[]) AND l.stage = 'held' AND h.lead_id = l.id AND h.state = 'open'
        AND NOT '` + lead.HeldByRule + `' = ANY(h.reasons)
    RETURNING l.id, l.pool, l.attempt
), s AS (
    UPDATE hold SET state = 'released', settled_at = clock_timestamp() FROM u WHERE hold.lead_id = u.id RETURNING hold.lead_id
)
SELECT count(*), append_events(array_agg(id), array_agg('released'::text), array_agg(pool), array_agg(NULL::uuid), array_agg(attempt), array_agg('{}'::jsonb))
FROM u WHERE (SELECT count(*) FROM s) >= 0`

// release lets leads go on that were held, because the same person has now sent the form without anything odd. A failure leaves them where
// people look through them; what was sent is stored in any case.
func (w *writer) release(ctx context.Context, leads []uuid.UUID) {
	if len(leads) == 0 {
		return
	}
	ids := make([][16]byte, len(leads))
	for i, id := range leads {
		ids[i] = id
	}
	var released int
	var last *int64
	if err := w.conn.QueryRow(ctx, releaseStatement, ids, w.s.Node).Scan(&released, &last); err != nil {
		w.s.Log.WarnContext(ctx, "held leads of people who wrote again stay held", "leads", len(leads), "error", err)
		if w.broken(err) {
			w.disconnect(ctx)
		}
		return
	}
	if released > 0 {
		w.s.Committed(released)
		w.s.EventsWritten()
	}
}
