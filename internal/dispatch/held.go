package dispatch

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
)

// held tells tasks whose lead a rule keeps from routing. Such a decision is none that later ones build on: once somebody releases the lead,
// it is decided anew, without the rules that hold.
func (t *task) held() bool { return t.to != nil && t.to.stage == lead.StageHeld }

const holdSQL = `
INSERT INTO hold (lead_id, form, score, reasons) SELECT id, form, 0, ARRAY['` + lead.HeldByRule + `'] FROM unnest($1::uuid[], $2::text[]) AS t(id, form)
ON CONFLICT (lead_id) DO UPDATE SET reasons = excluded.reasons, state = 'open', at = clock_timestamp(), settled_at = NULL, settled_by = NULL`

// queueHeld puts leads into the queue of what is to be reviewed. Nobody outside hears of them before they are released.
func queueHeld(send *pgx.Batch, batch []*task) {
	var ids []uuid.UUID
	var forms []string
	for _, t := range batch {
		if t.held() {
			ids, forms = append(ids, t.id), append(forms, t.facts.Form)
		}
	}
	if len(ids) > 0 {
		send.Queue(holdSQL, ids, forms)
	}
}
