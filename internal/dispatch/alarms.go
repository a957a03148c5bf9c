package dispatch

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

// closeOwnedSQL closes alarms of a lead that somebody has taken.
const closeOwnedSQL = `UPDATE alarm SET closed_at = clock_timestamp() WHERE lead_id = $1 AND closed_at IS NULL`

const openSQL = `
WITH opened AS (
    INSERT INTO alarm (kind, lead_id, pool) SELECT kind, lead_id, pool FROM unnest($1::text[], $2::uuid[], $3::text[]) AS a(kind, lead_id, pool)
    ON CONFLICT DO NOTHING RETURNING kind, lead_id, pool
)
SELECT append_events(array_agg(lead_id), array_agg($4::text), array_agg(pool), array_agg(NULL::uuid), array_agg(0),
    array_agg(jsonb_build_object('kind', kind, 'state', 'opened'))) FROM opened HAVING count(*) > 0`

// openAlarms queues alarms about leads whose ladder has ended, with an event for each that was not open before. It comes before the other
// events: alarms are locked before the counter of events, everywhere.
func openAlarms(send *pgx.Batch, batch []*task) {
	var kinds, pools []string
	var leads []uuid.UUID
	for _, t := range batch {
		if t.alarm == routing.AlarmUnrouted && t.to != nil {
			kinds, leads, pools = append(kinds, t.alarm), append(leads, t.id), append(pools, t.to.pool)
		}
	}
	if len(leads) > 0 {
		send.Queue(openSQL, kinds, leads, pools, string(lead.EventAlarm))
	}
}
