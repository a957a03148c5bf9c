package dispatch

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
)

// readNeeds queues the reading of what the rule that decided on a lead asks of whoever gets it, and of what a rep can do.
func (c *claim) readNeeds(send *pgx.Batch, leadID, repID uuid.UUID) {
	send.Queue(`SELECT ARRAY(SELECT jsonb_array_elements_text(d.trace->'needs') FROM decision d WHERE d.lead_id = $1),
		coalesce((SELECT t.tags FROM rep_terms t WHERE t.rep_id = $2), '')`, leadID, repID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.needs, &c.tags)
	})
}

// lacks is the first tag that the lead asks for and the rep does not have; empty: there is none. It is asked of claims from a pool or a
// queue; who was offered a lead by name has what it takes.
func (c *claim) lacks() string {
	for _, tag := range c.needs {
		if !(rep.Rep{Tags: c.tags}).HasTag(tag) {
			return tag
		}
	}
	return ""
}
