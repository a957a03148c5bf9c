package dispatch

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// noteAsks queues what leads ask for, and count, that ask for anything, once they are decided on.
func noteAsks(send *pgx.Batch, batch []*task) {
	for _, t := range batch {
		d := t.decision
		if !t.routed() || d.Points < 2 && len(d.Needs) == 0 {
			continue
		}
		needs := append([]string{}, d.Needs...) // not null
		send.Queue(`INSERT INTO lead_asks (lead_id, points, needs) VALUES ($1, $2, $3) ON CONFLICT (lead_id) DO NOTHING`, t.id, max(d.Points, 1), needs)
	}
}

// readNeeds queues the reading of what a lead asks of whoever gets it, and of what a rep can do.
func (c *claim) readNeeds(send *pgx.Batch, leadID, repID uuid.UUID) {
	send.Queue(`SELECT coalesce((SELECT needs FROM lead_asks WHERE lead_id = $1), '{}'), coalesce((SELECT tags FROM rep_terms WHERE rep_id = $2), '')`,
		leadID, repID).QueryRow(func(row pgx.Row) error { return row.Scan(&c.needs, &c.tags) })
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

// skills are the tags of everybody who is there at all, each set of them once, with spaces between. A waiting lead that asks for more than
// any of them need not be looked at: many such leads must not be in the way of others.
func skills(w *routing.World) []string {
	sets := []string{}
	for _, p := range w.People {
		tags := strings.Join(strings.Fields(p.Tags), " ")
		if p.Active && p.TakesFromPool() && p.Reachable(w.Now) && !p.Status.Absent() && !slices.Contains(sets, tags) {
			sets = append(sets, tags)
		}
	}
	return sets
}
