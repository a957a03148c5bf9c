package playbook

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"leadline/internal/routing"
)

// refreshCanary takes up the canary that runs beside the version that is held, or lets go of the one that does no more. Table and canary are
// swapped together: no lead sees one of them without the other.
func (l *Live) refreshCanary(ctx context.Context) error {
	current := l.Current()
	var ids []uuid.UUID
	db := l.db.Gorm.WithContext(ctx)
	if err := db.Raw(`SELECT id FROM canary WHERE state = ? AND base = ?`, CanaryRunning, current.Version).Scan(&ids).Error; err != nil {
		return fmt.Errorf("look for a canary: %w", err)
	}
	held := uuid.Nil
	if current.Canary != nil {
		held = current.Canary.ID
	}
	next := *current
	switch {
	case len(ids) == 0 && held == uuid.Nil, len(ids) > 0 && (ids[0] == held || ids[0] == l.refusedCanary):
		return nil
	case len(ids) == 0:
		next.Canary = nil
		l.log.Info("the canary has ended", "version", current.Canary.Table.Version())
	default:
		var c Canary
		if err := db.Where("id = ?", ids[0]).Take(&c).Error; err != nil {
			return fmt.Errorf("read a canary: %w", err)
		}
		if next.Canary = l.hatch(c); next.Canary == nil {
			return nil
		}
		l.log.Info("a canary decides for a share of the leads", "version", c.Number, "share", c.Share)
	}
	l.current.Store(&next)
	if l.peopleChanged != nil {
		l.peopleChanged() // leads that wait may have somewhere else to go
	}
	return nil
}

// hatch compiles a canary's table. One that this binary cannot read decides about nothing here; that is logged once.
func (l *Live) hatch(c Canary) *routing.Canary {
	cfg, problems := Parse("canary", []byte(c.Body))
	if !Failed(problems) {
		if table, _ := cfg.Table(c.Number); table != nil {
			return &routing.Canary{ID: c.ID, Table: table, Hash: c.Hash, Share: c.Share, Since: c.StartedAt}
		}
	}
	l.refusedCanary = c.ID
	l.log.Error("the rules of the canary cannot be used here; the live version decides alone", "version", c.Number)
	return nil
}

// Pool finds a pool of the live version, or else of the canary; nil: there is none.
func (s *Snapshot) Pool(slug string) *routing.Pool {
	if p := s.Table.Pool(slug); p != nil || s.Canary == nil {
		return p
	}
	return s.Canary.Table.Pool(slug)
}

// AsksWho tells whether the live version, or the canary, wants to know what else there is of who sent a lead.
func (s *Snapshot) AsksWho() bool {
	return s.Table.AsksWho() || s.Canary != nil && s.Canary.Table.AsksWho()
}

// PoolsOf gives the slugs of the pools that a rep belongs to, in the live version and in the canary.
func (s *Snapshot) PoolsOf(repEmail string) []string {
	return routing.PoolsOf(repEmail, s.Table, s.Canary)
}
