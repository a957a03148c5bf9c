package dispatch

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// missesUntilAway is how many offers in a row a rep may let pass before the system sets them away.
const missesUntilAway = 2

const awayReason = "Two offers in a row were not answered, so leads go to others. Set yourself available when you are back."

const missedSQL = `
WITH late AS (
    SELECT r.id, r.presence, m.n FROM rep r JOIN unnest($1::uuid[], $2::integer[]) AS m(id, n) ON m.id = r.id ORDER BY r.id FOR NO KEY UPDATE OF r
), gone AS (
    SELECT id, n, presence IN ('available', 'focus') AS here FROM late
)
UPDATE rep r SET
    missed          = r.missed + g.n,
    presence        = CASE WHEN g.here AND r.missed + g.n >= $3 THEN 'away' ELSE r.presence END,
    presence_by     = CASE WHEN g.here AND r.missed + g.n >= $3 THEN 'system' ELSE r.presence_by END,
    presence_reason = CASE WHEN g.here AND r.missed + g.n >= $3 THEN $4 ELSE r.presence_reason END,
    presence_at     = CASE WHEN g.here AND r.missed + g.n >= $3 THEN clock_timestamp() ELSE r.presence_at END,
    updated_at      = clock_timestamp()
FROM gone g WHERE r.id = g.id
RETURNING r.id, r.missed, g.here AND r.missed >= $3`

// countMisses queues what notes offers that ran out, and sets those away who let too many pass.
func countMisses(send *pgx.Batch, batch []*task) {
	at := map[uuid.UUID]int{}
	var ids []uuid.UUID
	var counts []int32
	for _, t := range batch {
		if t.cause != causeTimeout || t.ended.Rep == uuid.Nil || t.kept {
			continue
		}
		i, seen := at[t.ended.Rep]
		if !seen {
			i = len(ids)
			at[t.ended.Rep] = i
			ids, counts = append(ids, t.ended.Rep), append(counts, 0)
		}
		counts[i]++
	}
	if len(ids) == 0 {
		return
	}
	send.Queue(missedSQL, ids, counts, missesUntilAway, awayReason).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var missed int
		var away bool
		_, err := pgx.ForEachRow(rows, []any{&id, &missed, &away}, func() error {
			for _, t := range batch {
				if t.cause == causeTimeout && t.ended.Rep == id && !t.kept {
					t.missed, t.away = missed, away
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("count missed offers: %w", err)
		}
		return nil
	})
}
