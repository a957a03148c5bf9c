package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/routing"
)

// settleLimit bounds settling a window, whether or not those who bid still listen.
const settleLimit = 5 * time.Second

// windowed gives the pool in whose window a claim falls; nil: the first claim wins.
func (s *Service) windowed(c *claim) *routing.Pool {
	p := s.Snapshot().rulesFor(c.lead, c.accepted).table.Pool(c.pool)
	if p == nil || p.Offer.Window <= 0 || c.stage != lead.StageOffered || c.offeredTo != nil {
		return nil
	}
	return p
}

// bid notes a claim and tells how long its window is still open. The window opens with the first bid; the offer outlasts it.
func bid(ctx context.Context, tx pgx.Tx, c *claim, r ClaimRequest, window time.Duration) (wait time.Duration, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO bid (lead_id, attempt, rep_id, by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, r.LeadID, c.attempt, r.RepID, r.By)
	batch.Queue(`UPDATE offer SET deadline = greatest(deadline, clock_timestamp() + $3::interval) WHERE lead_id = $1 AND attempt = $2 AND deadline IS NOT NULL`,
		r.LeadID, c.attempt, window+settleLimit)
	var seconds float64
	batch.Queue(`SELECT extract(epoch FROM min(at) + $3::interval - clock_timestamp())::double precision FROM bid WHERE lead_id = $1 AND attempt = $2`,
		r.LeadID, c.attempt, window).QueryRow(func(row pgx.Row) error { return row.Scan(&seconds) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, fmt.Errorf("bid for lead %s: %w", r.LeadID, err)
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Nanosecond), nil
}

// settleBids waits until the window has closed, gives the lead to whose turn it is among those who bid, and tells this one what became of it.
// All who bid do this; the first to get the lead's lock settles for all.
func (s *Service) settleBids(ctx context.Context, r ClaimRequest, wait time.Duration) (Won, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit) // somebody else's claim may hang on this
	defer cancel()
	rest(ctx, wait)
	var won Won
	var lost error
	err := s.act(ctx, func(tx pgx.Tx) (e effects, err error) {
		won, lost = Won{}, nil
		c, err := readClaim(ctx, tx, r)
		if err != nil {
			return effects{}, err
		}
		if c.holder != nil && *c.holder == r.RepID {
			won = Won{LeadID: r.LeadID, Attempt: c.attempt, At: c.claimedAt}
			return effects{}, nil
		}
		if c.holder != nil {
			return effects{}, outbid(c.winner, c.winnerIs)
		}
		if err := s.judge(c, r); err != nil {
			return effects{}, err
		}
		winner, name, e, err := s.award(ctx, tx, c, r.LeadID, &won.At)
		if err != nil {
			return effects{}, err
		}
		won.LeadID, won.Attempt = r.LeadID, c.attempt
		if winner.RepID != r.RepID {
			lost = outbid(name[0], name[1])
		}
		return e, nil
	})
	switch {
	case err != nil:
		return Won{}, err
	case lost != nil:
		return Won{}, lost
	}
	return won, nil
}

// outbid names the winner to those who claimed at the same time.
func outbid(email, name string) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: CodeLostRace, Message: name + " has this lead. You claimed it at the same time, and it was their turn.",
		Extra: map[string]any{"winner": map[string]string{"email": email, "name": name}, "by_ms": int64(0), "at_once": true},
	}
}

// award gives a lead to the one of those who bid in time whose turn it is. Name is the winner's e-mail address and name.
func (s *Service) award(ctx context.Context, tx pgx.Tx, c *claim, leadID uuid.UUID, at *time.Time) (won ClaimRequest, name [2]string, e effects, err error) {
	snap := s.Snapshot()
	pool := snap.rulesFor(leadID, c.accepted).table.Pool(c.pool)
	bids, err := bidsFor(ctx, tx, leadID, c.attempt, pool.Offer.Window)
	if err != nil {
		return won, name, e, err
	}
	w, v := &world{roster: snap.Roster}, newInvolved()
	v.pools[pool] = true
	for _, m := range pool.Members {
		v.person(m.Rep, uncounted)
	}
	look := &pgx.Batch{}
	w.lockPools(look, v)
	w.readReps(look, v)
	if err := tx.SendBatch(ctx, look).Close(); err != nil {
		return won, name, e, fmt.Errorf("read whose turn it is in %s: %w", pool.Slug, err)
	}
	if err := w.addPools(ctx, tx, v); err != nil {
		return won, name, e, err
	}
	w.seat()
	var emails []string
	for email := range bids {
		emails = append(emails, email)
	}
	best := bids[routing.SettleBids(pool, &w.World, emails)]
	turns := &pgx.Batch{}
	w.rows[pool.TurnsKey()].store(turns, w.Turns[pool.TurnsKey()], w)
	if err := tx.SendBatch(ctx, turns).Close(); err != nil {
		return won, name, e, fmt.Errorf("store turns of %s: %w", pool.Slug, err)
	}
	won = ClaimRequest{LeadID: leadID, RepID: best.rep, Attempt: c.attempt, By: best.by}
	c.who = w.People[best.email].Rep
	e, err = s.give(ctx, tx, c, won, at)
	return won, [2]string{best.email, best.name}, e, err
}

// bidder is one who claimed within the window.
type bidder struct {
	rep             uuid.UUID
	email, name, by string
}

// bidsFor are those who bid within the window and still may take leads, by e-mail address.
func bidsFor(ctx context.Context, tx pgx.Tx, leadID uuid.UUID, attempt int, window time.Duration) (map[string]bidder, error) {
	rows, err := tx.Query(ctx, `SELECT b.rep_id, r.email, r.name, b.by FROM bid b JOIN rep r ON r.id = b.rep_id
		WHERE b.lead_id = $1 AND b.attempt = $2 AND r.active
		  AND b.at <= (SELECT min(at) FROM bid WHERE lead_id = $1 AND attempt = $2) + $3::interval`, leadID, attempt, window)
	if err != nil {
		return nil, fmt.Errorf("read bids for lead %s: %w", leadID, err)
	}
	bids := map[string]bidder{}
	var b bidder
	if _, err := pgx.ForEachRow(rows, []any{&b.rep, &b.email, &b.name, &b.by}, func() error { bids[b.email] = b; return nil }); err != nil {
		return nil, fmt.Errorf("read bids for lead %s: %w", leadID, err)
	}
	if len(bids) == 0 {
		return nil, conflict(CodeNotEligible, "Your rep account is switched off, so you cannot take leads.")
	}
	return bids, nil
}
