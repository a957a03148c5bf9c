package playbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/postgres"
)

const (
	guardEvery = 10 * time.Second
	guardLimit = 30 * time.Second
	// guardLock is the advisory lock of the process that judges for all.
	guardLock int64 = 0x4C4C_4341
)

// CanaryGuard judges the canary that runs, if one does, in one process of all: it rolls it back when its leads fare worse than the others, and
// promotes it at its end. What it does is recorded with the figures, and a canary that did not come through opens an alarm.
type CanaryGuard struct {
	db    *postgres.DB
	log   *slog.Logger
	every time.Duration
	lead  *postgres.Leader
}

// NewCanaryGuard makes a guard that judges that often, every ten seconds if 0; Run starts it.
func NewCanaryGuard(db *postgres.DB, log *slog.Logger, every time.Duration) *CanaryGuard {
	if every == 0 {
		every = guardEvery
	}
	return &CanaryGuard{db: db, log: log, every: every, lead: postgres.NewLeader(db, "canary", guardLock)}
}

// Run judges until the context ends.
func (g *CanaryGuard) Run(ctx context.Context) error {
	tick := time.NewTicker(g.every)
	defer tick.Stop()
	defer g.lead.Leave(ctx)
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		leads, err := g.lead.Leads(ctx)
		if err == nil && leads {
			err = g.judge(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			g.log.WarnContext(ctx, "the canary cannot be judged; it goes on", "error", err)
		}
		failing = err != nil
	}
}

// The newest leads are enough to judge by, and bound what is read. A lead that waits counts with the time so far: it takes at least that long.
const figuresSQL = `
SELECT f.version = $2, count(*), count(*) FILTER (WHERE f.unrouted),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY f.waited), percentile_cont(0.95) WITHIN GROUP (ORDER BY f.waited)
FROM (
    SELECT d.version, extract(epoch FROM coalesce(l.claimed_at, l.closed_at, clock_timestamp()) - l.accepted_at)::double precision AS waited,
        NOT EXISTS (SELECT FROM offer o WHERE o.lead_id = l.id) OR EXISTS (SELECT FROM alarm a WHERE a.lead_id = l.id AND a.kind = 'unrouted') AS unrouted
    FROM (SELECT lead_id, version FROM decision ORDER BY lead_id DESC LIMIT 100000) d JOIN lead l ON l.id = d.lead_id
    WHERE d.version IN ($2, $3) AND l.accepted_at >= $1 AND l.erased_at IS NULL
) f GROUP BY 1`

func (c *Canary) measure(ctx context.Context, db *postgres.DB) (f CanaryFigures, err error) {
	rows, err := db.Jobs.Query(ctx, figuresSQL, c.StartedAt, c.Number, c.Base)
	if err != nil {
		return f, fmt.Errorf("measure a canary: %w", err)
	}
	var its bool
	var g CanaryGroup
	_, err = pgx.ForEachRow(rows, []any{&its, &g.Leads, &g.Unrouted, &g.Median, &g.P95}, func() error {
		if its {
			f.Canary = g
		} else {
			f.Control = g
		}
		return nil
	})
	if err != nil {
		return f, fmt.Errorf("measure a canary: %w", err)
	}
	return f, nil
}

// judge measures the canary and does what follows.
func (g *CanaryGuard) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, guardLimit)
	defer cancel()
	c, err := runningCanary(g.db.Gorm.WithContext(ctx))
	if err != nil || c == nil {
		return err
	}
	figures, err := c.measure(ctx, g.db)
	if err != nil {
		return err
	}
	err = g.settle(ctx, c.ID, figures, func(tx *gorm.DB, c *Canary, over bool) error {
		switch against := c.against(figures); {
		case against != "":
			return g.rollBack(ctx, tx, c, against)
		case !over:
			return nil
		case !c.enough(figures):
			return g.rollBack(ctx, tx, c, fmt.Sprintf("Its time is over and too few leads came to judge by: %d, and %d others.", figures.Canary.Leads, figures.Control.Leads))
		}
		version, err := c.promote(ctx, tx, "Its time is over and nothing speaks against it.")
		if err == nil {
			g.log.InfoContext(ctx, "the canary is live for all leads", "version", version)
		}
		return err
	})
	var refused *fault.Error
	if !errors.As(err, &refused) {
		return err
	}
	// It cannot be published at its end: somebody who is named in it is gone, say.
	return g.settle(ctx, c.ID, figures, func(tx *gorm.DB, c *Canary, _ bool) error { return g.rollBack(ctx, tx, c, refused.Message) })
}

// settle keeps the figures of a canary, if it still runs, and lets f act upon them. over says that its time has come.
func (g *CanaryGuard) settle(ctx context.Context, id uuid.UUID, figures CanaryFigures, f func(tx *gorm.DB, c *Canary, over bool) error) error {
	return changeCanary(ctx, g.db, func(tx *gorm.DB, c *Canary) error {
		if c == nil || c.ID != id {
			return nil
		}
		live, err := latestNumber(tx)
		if err != nil {
			return err
		}
		if live != c.Base { // published by a release that knows no canaries, or removed with the demo
			return c.end(ctx, tx, CanarySuperseded, "Another version went live.")
		}
		c.Figures = figures
		if err := tx.Raw(`SELECT clock_timestamp()`).Scan(&c.JudgedAt).Error; err != nil {
			return fmt.Errorf("ask the database for its time: %w", err)
		}
		if err := tx.Model(c).Select("figures", "judged_at").Updates(c).Error; err != nil {
			return fmt.Errorf("keep the figures of a canary: %w", err)
		}
		return f(tx, c, !c.JudgedAt.Before(c.Until))
	})
}

func (g *CanaryGuard) rollBack(ctx context.Context, tx *gorm.DB, c *Canary, why string) error {
	g.log.ErrorContext(ctx, "the canary was rolled back", "version", c.Number, "reason", why)
	if err := tx.Exec(`INSERT INTO alarm (kind) VALUES (?) ON CONFLICT DO NOTHING`, canaryAlarm).Error; err != nil {
		return fmt.Errorf("open an alarm about a canary: %w", err)
	}
	return c.end(ctx, tx, CanaryRolledBack, why)
}
