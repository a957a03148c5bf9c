package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// mostShown bounds what waits to be written. What is dropped costs an offer its second of patience, never a lead.
const mostShown = 4096

// OfferRef names one offer.
type OfferRef struct {
	Lead    uuid.UUID
	Attempt int
}

// screens collects what consoles confirm, so that all that comes while one statement runs is written by the next.
type screens struct {
	mu      *sync.Mutex
	shown   map[shown]bool
	painted map[uuid.UUID]bool // leads that are open to a pool and whose clock stops with a screen
	some    chan struct{}
}

type shown struct {
	OfferRef
	rep uuid.UUID
}

func newScreens() screens {
	return screens{mu: &sync.Mutex{}, shown: map[shown]bool{}, painted: map[uuid.UUID]bool{}, some: make(chan struct{}, 1)}
}

// Shown notes that a screen of a rep shows these offers: they stay until their deadline. It never blocks. What is not the rep's, or not
// open any more, is ignored.
func (s *Service) Shown(repID uuid.UUID, offers []OfferRef) {
	s.screens.mu.Lock()
	for _, o := range offers {
		if len(s.screens.shown) < mostShown {
			s.screens.shown[shown{o, repID}] = true
		}
	}
	s.screens.mu.Unlock()
	poke(s.screens.some)
}

// PoolLead names a lead that is open to a pool.
type PoolLead struct {
	Lead uuid.UUID
	Pool string
}

// Painted notes that a screen shows leads which are open to a pool. It never blocks, and does nothing for pools that do not measure it.
func (s *Service) Painted(leads []PoolLead) {
	table := s.Snapshot().Table
	s.screens.mu.Lock()
	some := false
	for _, l := range leads {
		if p := table.Pool(l.Pool); p != nil && p.SLA.System > 0 && len(s.screens.painted) < mostShown {
			s.screens.painted[l.Lead], some = true, true
		}
	}
	s.screens.mu.Unlock()
	if some {
		poke(s.screens.some)
	}
}

// confirmScreens writes what was confirmed until ctx ends.
func (s *Service) confirmScreens(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.screens.some:
		}
		err := s.writeShown(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "offers on screens could not be confirmed, so they move on", "error", err)
		}
		failing = err != nil
	}
}

const shownSQL = `UPDATE offer o SET shown_at = clock_timestamp(), screen_by = NULL
FROM unnest($1::uuid[], $2::integer[], $3::uuid[]) AS s(lead_id, attempt, rep_id)
WHERE o.lead_id = s.lead_id AND o.attempt = s.attempt AND o.rep_id = s.rep_id AND o.state = 'open' AND o.shown_at IS NULL`

// paintedSQL stops the clock of leads that a screen has shown for the first time: to whom they were offered ($1), or to somebody of the
// pool that they are open to ($2).
const paintedSQL = `UPDATE lead_clock c SET stopped_at = clock_timestamp(), stopped_by = 'painted'
WHERE c.kind = 'system' AND c.stopped_at IS NULL AND (c.lead_id = ANY($2::uuid[])
    OR c.lead_id = ANY($1::uuid[]) AND EXISTS (SELECT FROM offer o WHERE o.lead_id = c.lead_id AND o.shown_at IS NOT NULL))`

func (s *Service) writeShown(ctx context.Context) error {
	s.screens.mu.Lock()
	var leads, reps []uuid.UUID
	var attempts []int
	for o := range s.screens.shown {
		leads, attempts, reps = append(leads, o.Lead), append(attempts, o.Attempt), append(reps, o.rep)
	}
	painted := slices.Collect(maps.Keys(s.screens.painted))
	clear(s.screens.shown)
	clear(s.screens.painted)
	s.screens.mu.Unlock()
	if len(leads)+len(painted) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, livenessLimit)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(shownSQL, leads, attempts, reps)
	batch.Queue(paintedSQL, leads, painted)
	if err := s.DB.Console.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("confirm %d offers on screens: %w", len(leads)+len(painted), err)
	}
	return nil
}

// Polled notes reps whose consoles ask every few seconds instead of being told, so that no screen is waited for.
func (s *Service) Polled(ctx context.Context, reps []uuid.UUID) error {
	if _, err := s.DB.Console.Exec(ctx, `INSERT INTO console_poll (rep_id, at) SELECT id, clock_timestamp() FROM unnest($1::uuid[]) AS t(id) ORDER BY id
		ON CONFLICT (rep_id) DO UPDATE SET at = excluded.at`, reps); err != nil {
		return fmt.Errorf("note reps whose consoles poll: %w", err)
	}
	return nil
}
