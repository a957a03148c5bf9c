package dispatch

import (
	"context"
	"fmt"
	"time"
)

const unownedEvery = time.Minute

// unownedSQL counts leads that break the promise that every accepted lead has, at every moment, an owner, a live offer, a place in
// a queue that people see, or is new within its lease. Some seconds of grace let a sweep do its work first. Leads that wait
// without a pool, because no configuration had one for them, count: nobody sees them.
const unownedSQL = `
SELECT count(*) FROM lead l
LEFT JOIN offer o ON o.lead_id = l.id AND o.state = 'open'
WHERE l.stage IN ('new', 'offered', 'waiting', 'claimed') AND CASE l.stage
    WHEN 'new' THEN l.dispatch_lease < clock_timestamp() - interval '5 seconds'
    WHEN 'offered' THEN o.lead_id IS NULL OR o.deadline < clock_timestamp() - interval '5 seconds'
    WHEN 'waiting' THEN l.pool = ''
    ELSE l.rep_id IS NULL END`

// Unowned counts leads that nobody is responsible for. It must be 0.
func (s *Service) Unowned(ctx context.Context) (int, error) {
	var n int
	if err := s.DB.Jobs.QueryRow(ctx, unownedSQL).Scan(&n); err != nil {
		return 0, fmt.Errorf("count unowned leads: %w", err)
	}
	return n, nil
}

// watch checks the promise each minute.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(unownedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := s.Unowned(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.WarnContext(ctx, "ownership of leads could not be checked", "error", err)
		case n > 0:
			s.Log.ErrorContext(ctx, "leads that nobody is responsible for", "leads", n)
			for range min(n, 1000) {
				s.Metrics.InvariantViolation("unowned_lead")
			}
		}
	}
}
