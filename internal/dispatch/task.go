package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/credit"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

// Causes: why a lead needs a place. They stand on the offer and in its events.
const (
	causeFirst        = "first"
	causeTimeout      = "timeout"
	causeDecline      = "decline"
	causePresenceLost = "presence_lost"
	causeDeactivated  = "deactivated"
	causeOverflow     = "overflow" // from one pool to the next, whatever led to it
	causeDrain        = "drain"
	causeUnseen       = "unseen"        // no screen showed the offer in time
	causeKept         = "kept"          // for its owner, who cannot take it now: their absence does not end the offer
	causeTaken        = "taken"         // somebody took it from its holder
	causeHandedOver   = "handed_over"   // its holder gave it to others
	causeExpired      = "sla_expired"   // a clock of the lead is over
	causeEscalated    = "sla_escalated" // far over
)

// States in which an offer ends here. Accepted is written by Claim.
const (
	stateDeclined  = "declined"
	stateTimedOut  = "timed_out"
	stateWithdrawn = "withdrawn"
)

// task is one lead, its row locked, that needs a place.
type task struct {
	id       uuid.UUID
	facts    routing.Facts
	beside   beside // completes the facts
	stage    lead.Stage
	pool     string
	attempt  int
	mine     bool // counted by this process's Waiting
	cause    string
	endState string          // how its open offer ends; empty: it has none
	reason   string          // why, in words
	declined routing.Decline // why it was passed; empty: it was not
	late     *lateStep       // what a clock of the lead has come to; nil: no clock is the cause
	paused   *pause          // of a lead that was in somebody's hands; nil: it is not paused
	kept     bool            // the offer that ended was kept for an owner who was not there
	known    *routing.Known  // what else we have of who sent it; nil: nothing, or nobody asks

	// From loadHistory, for leads that had a decision before.
	decided   bool
	overruled bool           // by a canary that was taken back: it is decided again
	history   []routing.Past // oldest first

	decision routing.Decision
	under    rules           // what places it
	first    *routing.Pool   // where it belongs; nil: no configured pool
	record   *routing.Record // what is stored of where it goes, and why
	company  []string        // e-mail addresses of reps who have open leads of the same company
	ended    routing.Past    // the offer that ended now, when endState is set
	missed   int             // the rep's misses in a row after this one
	away     bool            // the rep was set away for it
	handed   *credit.Entry   // why its holder no longer has it, apart from what it does to turns; nil: it had none, or an absence took it
	ledger   *credit.Entry   // what that did to turns; nil: nothing
	alarm    string          // to open; empty: none
	to       *placement      // nil: its place does not change
	standing *standing       // the open lead of the same person, locked; nil: none
	passed   *passedOwner    // its owner, who did not get it; nil: none, or did
}

// inHands tells leads that were in somebody's hands.
func (t *task) inHands() bool { return t.stage == lead.StageClaimed || t.stage == lead.StageContacted }

func (t *task) hot() bool { return t.facts.Intent == lead.IntentHigh }

// placement is where a task goes: an offer, or the waiting queue of a pool.
type placement struct {
	stage    lead.Stage
	pool     string
	rung     routing.Rung // only when offered
	repID    *uuid.UUID   // only for an exclusive offer
	terms    time.Duration
	deadline *time.Time    // on the database's clock; nil: it does not end by itself
	screen   time.Duration // within which a console must show it; 0: nobody asks
	screenBy *time.Time
	joins    uuid.UUID // the lead that it is attached to; zero: none
}

func (p *placement) offered() bool { return p.stage == lead.StageOffered }

const taskColumns = `l.id, l.form, l.intent, l.product, l.country, l.region, l.postal_code, l.email_domain, l.domain_class, l.source,
	l.language, l.accepted_at, l.stage, l.pool, l.attempt, l.node = $1, ` + besideColumns

func scanTask(row pgx.CollectableRow, more ...any) (*task, error) {
	t := &task{}
	f := &t.facts
	err := row.Scan(append([]any{
		&t.id, &f.Form, &f.Intent, &f.Product, &f.Country, &f.Region, &f.PostalCode, &f.EmailDomain, &f.DomainClass,
		&f.Source, &f.Language, &f.AcceptedAt, &t.stage, &t.pool, &t.attempt, &t.mine,
		&f.Timezone, &t.beside.held, &f.CountryFrom, &t.beside.contact,
	}, more...)...)
	return t, err
}

// overruledSQL tells of a decision d that a canary made which was taken back.
const overruledSQL = `EXISTS (SELECT FROM canary c WHERE c.number = d.version AND c.hash = d.trace->>'under_hash' AND c.state NOT IN ('running', 'promoted'))`

const historySQL = `
SELECT d.lead_id, d.version, d.rule, coalesce(d.trace->>'band', ''), d.pool, coalesce(d.trace->>'rep', ''),
    coalesce((d.trace->>'points')::integer, 0), ARRAY(SELECT jsonb_array_elements_text(d.trace->'needs')), ` + overruledSQL + `,
    o.attempt, o.rung, o.pool, o.rep_id, o.state
FROM unnest($1::uuid[]) AS t(id)
JOIN decision d ON d.lead_id = t.id
LEFT JOIN offer o ON o.lead_id = t.id
ORDER BY d.lead_id, o.attempt`

// loadHistory reads what was decided and offered before. It must run after the leads' rows are locked: only then nobody else
// can add to it.
func loadHistory(ctx context.Context, db session, batch []*task) error {
	byID := make(map[uuid.UUID]*task, len(batch))
	var ids []uuid.UUID
	for _, t := range batch {
		if t.stage != lead.StageNew {
			byID[t.id] = t
			ids = append(ids, t.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := db.Query(ctx, historySQL, ids)
	if err != nil {
		return fmt.Errorf("read the history of %d leads: %w", len(ids), err)
	}
	var (
		id      uuid.UUID
		d       routing.Decision
		again   bool
		attempt *int
		step    *routing.Rung
		pool    *string
		repID   *uuid.UUID
		state   *string
	)
	into := []any{&id, &d.Version, &d.Rule, &d.Band, &d.Pool, &d.Rep, &d.Points, &d.Needs, &again, &attempt, &step, &pool, &repID, &state}
	_, err = pgx.ForEachRow(rows, into, func() error {
		t := byID[id]
		t.decided, t.overruled, t.decision = true, again, d
		t.decision.Needs = slices.Clone(d.Needs) // the next row is read into the same place
		if attempt != nil {
			p := routing.Past{Attempt: *attempt, Rung: *step, Pool: *pool, State: *state}
			if repID != nil {
				p.Rep = *repID
			}
			t.history = append(t.history, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the history of %d leads: %w", len(ids), err)
	}
	return nil
}

// last gives the newest offer; ok is false when there was none.
func (t *task) last() (routing.Past, bool) {
	if len(t.history) == 0 {
		return routing.Past{}, false
	}
	return t.history[len(t.history)-1], true
}

// number is that of the newest offer once the task has its place.
func (t *task) number() int {
	if t.to != nil && t.to.offered() {
		return t.attempt + 1
	}
	return t.attempt
}
