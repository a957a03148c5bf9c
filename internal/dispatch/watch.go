package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/postgres"
)

const (
	watchEvery = time.Minute
	watchLimit = 30 * time.Second
	// watchLock is the advisory lock of the process that watches for all.
	watchLock int64 = 0x4C4C_5741
	// conservedFor is how far back each minute's count of leads goes.
	conservedFor = time.Hour
	// mostAlarms bounds what one check opens; the next goes on.
	mostAlarms = 1000
)

// Kinds of alarms. They are permanent: rows, metrics and the API carry them.
const (
	AlarmUnrouted      = "unrouted"       // the ladder ended, or its time is over, and nobody has the lead
	AlarmUndispatched  = "undispatched"   // new, and nobody's turn to dispatch it
	AlarmNoOffer       = "no_offer"       // offered by its stage, but no live offer says so
	AlarmNoQueue       = "no_queue"       // waits where nobody looks: in no pool, or one that is not configured
	AlarmNoOwner       = "no_owner"       // claimed by nobody who exists
	AlarmOwnerInactive = "owner_inactive" // claimed and not contacted by somebody who has left
	AlarmNoReview      = "no_review"      // held, but not in the queue of what is to be reviewed
	AlarmLate          = "sla_missed"     // a clock of the lead is over by half as much again, or has nobody to act for it
	AlarmCanary        = "canary"         // a configuration on trial was taken back; not about one lead
	AlarmConservation  = "conservation"   // leads that were accepted are in none of the places where one can be
)

// AlarmKinds lists every kind.
var AlarmKinds = []string{
	AlarmUnrouted, AlarmUndispatched, AlarmNoOffer, AlarmNoQueue, AlarmNoOwner, AlarmOwnerInactive, AlarmNoReview, AlarmLate, AlarmCanary, AlarmConservation,
}

// brokenSQL lists leads that break the promise: every accepted lead has, at every moment, an owner, a live offer, or a place in a queue that
// people see. A few seconds of grace let a sweep do its work first. $1 are the pools of the live configuration, null when nobody knows one;
// $2 and $3 those with a limit of time, and the limits in seconds.
const brokenSQL = `
SELECT b.id AS lead_id, b.pool, b.kind FROM (
    SELECT l.id, l.pool, CASE l.stage
        WHEN 'new' THEN CASE WHEN l.dispatch_lease < clock_timestamp() - interval '5 seconds' THEN 'undispatched' END
        WHEN 'offered' THEN CASE WHEN o.lead_id IS NULL OR o.attempt <> l.attempt
            OR least(o.deadline, o.screen_by) < clock_timestamp() - interval '5 seconds' THEN 'no_offer' END
        WHEN 'waiting' THEN CASE WHEN l.pool = '' OR l.pool <> ALL($1::text[])
                AND NOT EXISTS (SELECT FROM config_version v WHERE v.created_at > clock_timestamp() - interval '30 seconds') THEN 'no_queue'
            WHEN t.seconds IS NOT NULL AND l.accepted_at < clock_timestamp() - make_interval(secs => t.seconds) THEN 'unrouted' END
        WHEN 'claimed' THEN CASE WHEN r.id IS NULL THEN 'no_owner' WHEN NOT r.active THEN 'owner_inactive' END
        END AS kind
    FROM lead l
    LEFT JOIN offer o ON o.lead_id = l.id AND o.state = 'open'
    LEFT JOIN rep r ON r.id = l.rep_id
    LEFT JOIN unnest($2::text[], $3::double precision[]) AS t(slug, seconds) ON t.slug = l.pool
    WHERE l.stage IN ('new', 'offered', 'waiting', 'claimed')
    UNION ALL
    SELECT l.id, l.pool, 'no_review' FROM lead l WHERE l.stage = 'held' AND l.erased_at IS NULL
        AND NOT EXISTS (SELECT FROM hold h WHERE h.lead_id = l.id AND h.state = 'open')
) b WHERE b.kind IS NOT NULL`

// unownedSQL counts those among them that nobody was told of.
const unownedSQL = `SELECT count(*) FROM (` + brokenSQL + `) b WHERE b.kind <> 'unrouted'
    AND NOT EXISTS (SELECT FROM alarm a WHERE a.lead_id = b.lead_id AND a.closed_at IS NULL)`

// Alarms close when what they are about is over; those about a ladder that ended, when somebody has the lead, and those about a clock when it
// has stopped, which it has not for good while the lead is only out of somebody's hands.
const settleSQL = `
WITH broken AS MATERIALIZED (` + brokenSQL + ` LIMIT $4),
closed AS (
    UPDATE alarm a SET closed_at = clock_timestamp()
    WHERE a.closed_at IS NULL AND a.lead_id IS NOT NULL AND (SELECT count(*) FROM broken) < $4
      AND NOT EXISTS (SELECT FROM broken b WHERE b.lead_id = a.lead_id AND b.kind = a.kind AND b.pool = a.pool)
      AND NOT (a.kind = 'unrouted' AND EXISTS (SELECT FROM lead l WHERE l.id = a.lead_id AND l.stage IN ('new', 'offered', 'waiting')))
      AND NOT (a.kind = 'sla_missed' AND EXISTS (SELECT FROM lead_clock c WHERE c.lead_id = a.lead_id AND coalesce(c.escalated_at, c.acted_at) IS NOT NULL
          AND (c.stopped_at IS NULL OR c.stopped_by = 'taken_back')))
    RETURNING a.kind, a.lead_id, a.pool, 'closed' AS state
), opened AS (
    INSERT INTO alarm (kind, lead_id, pool) SELECT b.kind, b.lead_id, b.pool FROM broken b
    WHERE NOT (b.kind = 'unrouted' AND EXISTS (SELECT FROM alarm a WHERE a.lead_id = b.lead_id AND a.kind = b.kind AND a.closed_at IS NULL))
    ORDER BY b.lead_id ON CONFLICT DO NOTHING
    RETURNING kind, lead_id, pool, 'opened' AS state
)
SELECT kind, lead_id, pool, state FROM closed UNION ALL SELECT kind, lead_id, pool, state FROM opened`

// Unowned counts leads that nobody is responsible for and no alarm is open about. It must be 0.
func (s *Service) Unowned(ctx context.Context) (int, error) {
	var n int
	known, slugs, limits := s.poolsWatched()
	if err := s.DB.Jobs.QueryRow(ctx, unownedSQL, known, slugs, limits).Scan(&n); err != nil {
		return 0, fmt.Errorf("count unowned leads: %w", err)
	}
	return n, nil
}

// poolsWatched are the pools of the live configuration, and those with a limit of time, in seconds.
func (s *Service) poolsWatched() (known, slugs []string, limits []float64) {
	slugs, limits = []string{}, []float64{}
	of := map[string]float64{} // a pool of the canary's too: the longer time counts
	for _, table := range s.Snapshot().tables() {
		for _, p := range table.Pools() {
			known = append(known, p.Slug)
			if p.Offer.Total > 0 {
				of[p.Slug] = max(of[p.Slug], p.Offer.Total.Seconds())
			}
		}
	}
	for slug, limit := range of {
		slugs, limits = append(slugs, slug), append(limits, limit)
	}
	return known, slugs, limits
}

// Watch checks the promise once: what breaks it becomes an alarm, what no longer does closes one, and every lead of the last hour is
// counted. Any process may call it; Run does each minute, in one process of all.
func (s *Service) Watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	known, slugs, limits := s.poolsWatched()
	opened := map[string]int{}
	err := postgres.InTx(ctx, s.DB.Jobs, func(tx pgx.Tx) error {
		clear(opened)
		rows, err := tx.Query(ctx, settleSQL, known, slugs, limits, mostAlarms)
		if err != nil {
			return fmt.Errorf("look for leads without an owner: %w", err)
		}
		events := &eventRows{}
		var kind, pool, state string
		var id uuid.UUID
		_, err = pgx.ForEachRow(rows, []any{&kind, &id, &pool, &state}, func() error {
			if state == "opened" {
				opened[kind]++
			}
			return events.add(id, lead.EventAlarm, pool, nil, 0, map[string]any{"kind": kind, "state": state})
		})
		if err != nil {
			return fmt.Errorf("look for leads without an owner: %w", err)
		}
		return events.append(ctx, tx)
	})
	if err != nil {
		return err
	}
	for kind, n := range opened {
		s.Log.ErrorContext(ctx, "leads that somebody must look at", "alarm", kind, "leads", n)
		for range n {
			if kind != AlarmUnrouted {
				s.Metrics.InvariantViolation("unowned_lead")
			}
		}
	}
	if len(opened) > 0 {
		s.OnCommit()
	}
	if err := s.conserve(ctx); err != nil {
		return err
	}
	return s.publishAlarms(ctx)
}

// conserve counts leads and opens or closes the alarm about them.
func (s *Service) conserve(ctx context.Context) error {
	c, err := s.Conservation(ctx, conservedFor)
	if err != nil {
		return err
	}
	for state, n := range c.byState() {
		s.Metrics.Conserved(state, n)
	}
	change := `UPDATE alarm SET closed_at = clock_timestamp() WHERE kind = $1 AND closed_at IS NULL`
	if c.Lost() != 0 {
		s.Log.ErrorContext(ctx, "leads that were accepted are nowhere", "leads", c.Lost())
		s.Metrics.InvariantViolation("conservation")
		change = `INSERT INTO alarm (kind) VALUES ($1) ON CONFLICT DO NOTHING`
	}
	if _, err := s.DB.Jobs.Exec(ctx, change, AlarmConservation); err != nil {
		return fmt.Errorf("settle the alarm about the count of leads: %w", err)
	}
	return nil
}

func (s *Service) publishAlarms(ctx context.Context) error {
	rows, err := s.DB.Jobs.Query(ctx, `SELECT kind, count(*) FROM alarm WHERE closed_at IS NULL GROUP BY kind`)
	if err != nil {
		return fmt.Errorf("count open alarms: %w", err)
	}
	open := map[string]int{}
	var kind string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&kind, &n}, func() error { open[kind] = n; return nil }); err != nil {
		return fmt.Errorf("count open alarms: %w", err)
	}
	for _, kind := range AlarmKinds {
		s.Metrics.AlarmsOpen(kind, open[kind])
	}
	return nil
}

// watch checks each minute while this process is the one that does.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(s.WatchEvery)
	defer tick.Stop()
	leader := postgres.NewLeader(s.DB, "watch", watchLock)
	leave := func() {
		leader.Leave(ctx)
		s.Metrics.NoAlarms()
	}
	defer leave()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		leads, err := leader.Leads(ctx)
		if err == nil && leads {
			err = s.Watch(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "ownership of leads could not be checked", "error", err)
			leave()
		}
	}
}

// Conserved says where the leads of some time are. Each is in one place.
type Conserved struct {
	Accepted    int `json:"accepted"`
	Delivered   int `json:"delivered"` // to every destination
	Held        int `json:"held"`      // for review, or discarded there
	Quarantined int `json:"quarantined"`
	InFlight    int `json:"in_flight"`
	Erased      int `json:"erased"`
}

// Lost is how many leads are in none of these places. It must be 0.
func (c Conserved) Lost() int {
	return c.Accepted - c.Delivered - c.Held - c.Quarantined - c.InFlight - c.Erased
}

func (c Conserved) byState() map[string]int {
	return map[string]int{
		"accepted": c.Accepted, "delivered": c.Delivered, "held": c.Held, "quarantined": c.Quarantined, "in_flight": c.InFlight,
		"erased": c.Erased, "lost": c.Lost(),
	}
}

// Each place is told by what is there, not by what is left over. A lead that was dispatched without a delivery is fine only if there was no
// destination, which is so until the live version has one. Ids carry the time, so that a while's leads are one stretch of the key.
const conservedSQL = `
SELECT count(*),
    count(*) FILTER (WHERE NOT gone AND stage <> 'held' AND NOT discarded AND NOT bad AND stage <> 'new' AND NOT open AND (sent OR NOT wanted)),
    count(*) FILTER (WHERE NOT gone AND (stage = 'held' OR discarded)),
    count(*) FILTER (WHERE NOT gone AND stage <> 'held' AND NOT discarded AND bad),
    count(*) FILTER (WHERE NOT gone AND stage <> 'held' AND NOT discarded AND NOT bad AND (stage = 'new' OR open)),
    count(*) FILTER (WHERE gone)
FROM (
    SELECT l.stage, l.erased_at IS NOT NULL AS gone,
        EXISTS (SELECT FROM hold h WHERE h.lead_id = l.id AND h.state = 'discarded') AS discarded,
        l.stage = 'quarantined' OR coalesce(d.bad, false) AS bad, coalesce(d.open, false) AS open, d.n > 0 AS sent,
        $2 AND l.accepted_at > coalesce((SELECT v.created_at + interval '10 seconds' FROM config_version v ORDER BY v.number DESC LIMIT 1), 'infinity') AS wanted
    FROM lead l CROSS JOIN LATERAL (
        SELECT count(*) AS n, bool_or(d.state IN ('quarantined', 'conflict')) AS bad,
            bool_or(d.state IN ('pending', 'saving') OR d.state = 'delivered' AND d.wanted > d.written) AS open
        FROM delivery d WHERE d.lead_id = l.id) d
    WHERE l.id >= $1
) l`

// Conservation says where the leads are that were accepted within a time up to now.
func (s *Service) Conservation(ctx context.Context, within time.Duration) (c Conserved, err error) {
	row := s.DB.Jobs.QueryRow(ctx, conservedSQL, firstID(s.Now().Add(-within)), len(s.Snapshot().Targets) > 0)
	if err := row.Scan(&c.Accepted, &c.Delivered, &c.Held, &c.Quarantined, &c.InFlight, &c.Erased); err != nil {
		return c, fmt.Errorf("count where leads are: %w", err)
	}
	return c, nil
}

// firstID is the smallest id that a moment's leads can have.
func firstID(at time.Time) (id uuid.UUID) {
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i))) //nolint:gosec // one byte of it is meant
	}
	return id
}
