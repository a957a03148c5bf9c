package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"leadline/internal/audit"
	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// keptLeads bounds how many leads a shadow lists; the newest stay, and all are counted.
const keptLeads = 1000

// Shadow is a configuration that is decided beside the live one for every lead, without effect.
type Shadow struct {
	ID        uuid.UUID  `json:"id" gorm:"primaryKey"`
	Version   *int64     `json:"version"`  // that it was; null: a draft
	DraftID   *uuid.UUID `json:"draft"`    // null: a version
	Revision  *int       `json:"revision"` // of the draft: later ones are not looked at
	Hash      string     `json:"hash"`
	Body      string     `json:"-"`
	Author    string     `json:"author"`
	StartedAt time.Time  `json:"started_at" gorm:"->"`
	EndedAt   *time.Time `json:"ended_at"`
	Seen      int64      `json:"-"` // number of the newest event that was looked at
	SeenAt    *time.Time `json:"seen_at"`
	Sums      Comparison `json:"sums" gorm:"serializer:json"`
	Turns     turns      `json:"-" gorm:"serializer:json"`
	Problem   string     `json:"problem,omitempty"` // why it ended by itself
}

type turns map[string]map[string]routing.Turn

// TableName tells GORM where rows live.
func (Shadow) TableName() string { return "shadow" }

// ShadowLead is a lead that a shadow would have treated otherwise.
type ShadowLead struct {
	ShadowID uuid.UUID `json:"-"`
	LeadID   uuid.UUID `json:"lead_id"`
	Number   int64     `json:"-"`
	At       time.Time `json:"at"`
	Kinds    []string  `json:"kinds" gorm:"-"`
	WasRule  string    `json:"was_rule"`
	Was      string    `json:"was"`    // pool or person that the rules named
	WasTo    string    `json:"was_to"` // e-mail address of who was offered it; empty: nobody by name
	Rule     string    `json:"rule"`
	Target   string    `json:"target"`
	Offered  string    `json:"offered"`
}

// TableName tells GORM where rows live.
func (ShadowLead) TableName() string { return "shadow_lead" }

// ShadowReport is what a shadow has found so far.
type ShadowReport struct {
	Shadow
	Behind int64        `json:"behind"` // events that it has still to look at
	Leads  []ShadowLead `json:"leads"`  // that it would have treated otherwise, the newest first
}

// StartShadow begins a shadow with the next lead. One runs at a time: a second is a Conflict fault.
func StartShadow(ctx context.Context, db *postgres.DB, of playbook.Candidate, author string) (Shadow, error) {
	table, err := Compiled(of.Config, 0)
	if err != nil {
		return Shadow{}, err
	}
	world, err := dispatch.Look(ctx, db, table, nil, table.Pools())
	if err != nil {
		return Shadow{}, err
	}
	s := Shadow{
		ID: uuid.Must(uuid.NewV7()), Version: of.Version, DraftID: of.Draft, Revision: of.Revision, Hash: of.Hash, Body: string(of.Config.Canonical()),
		Author: author, Sums: Comparison{Moves: map[string]int{}}, Turns: world.Turns,
	}
	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Raw(`SELECT seq FROM event_stream WHERE name = 'console'`).Scan(&s.Seen).Error; err != nil {
			return fmt.Errorf("ask for the newest event: %w", err)
		}
		if err := tx.Exec(`DELETE FROM shadow_lead WHERE shadow_id IN (SELECT id FROM shadow WHERE ended_at IS NOT NULL)`).Error; err != nil {
			return fmt.Errorf("forget the leads of earlier shadows: %w", err)
		}
		done := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&s)
		if done.Error != nil {
			return fmt.Errorf("start a shadow: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return &fault.Error{Kind: fault.Conflict, Code: "running", Message: "A shadow is running already. Stop it first."}
		}
		return s.note(ctx, tx, audit.ShadowBegan)
	})
	if err != nil {
		return Shadow{}, err
	}
	return newestShadow(ctx, db)
}

// StopShadow ends the shadow that runs; stopped is false when none does. Its report stays until another one begins.
func StopShadow(ctx context.Context, db *postgres.DB) (stopped bool, err error) {
	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		s, err := openShadow(tx.Clauses(clause.Locking{Strength: "UPDATE"}))
		if err != nil || s == nil {
			return err
		}
		stopped = true
		return s.end(ctx, tx, "")
	})
	return stopped && err == nil, err
}

// ReportShadow tells what the newest shadow has found, whether it still runs or not. That there was none is a NotFound fault.
func ReportShadow(ctx context.Context, db *postgres.DB, most int) (ShadowReport, error) {
	s, err := newestShadow(ctx, db)
	if err != nil {
		return ShadowReport{}, err
	}
	r := ShadowReport{Shadow: s, Leads: []ShadowLead{}}
	tx := db.Gorm.WithContext(ctx)
	if s.EndedAt == nil {
		if err := tx.Raw(`SELECT greatest(seq - ?, 0) FROM event_stream WHERE name = 'console'`, s.Seen).Scan(&r.Behind).Error; err != nil {
			return r, fmt.Errorf("ask for the newest event: %w", err)
		}
	}
	var rows []struct {
		ShadowLead
		Said string
	}
	err = tx.Raw(`SELECT *, array_to_string(kinds, ' ') AS said FROM shadow_lead WHERE shadow_id = ? ORDER BY number DESC LIMIT ?`, s.ID, most).Scan(&rows).Error
	if err != nil {
		return r, fmt.Errorf("list leads of a shadow: %w", err)
	}
	for _, row := range rows {
		row.Kinds = words(row.Said)
		r.Leads = append(r.Leads, row.ShadowLead)
	}
	return r, nil
}

func newestShadow(ctx context.Context, db *postgres.DB) (s Shadow, err error) {
	err = db.Gorm.WithContext(ctx).Order("ended_at IS NULL DESC, started_at DESC").Take(&s).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return s, fault.New(fault.NotFound, "There was no shadow yet.")
	}
	if err != nil {
		return s, fmt.Errorf("find the newest shadow: %w", err)
	}
	return s, nil
}

// openShadow finds the one that runs; nil: none does.
func openShadow(tx *gorm.DB) (*Shadow, error) {
	var found []Shadow
	if err := tx.Where("ended_at IS NULL").Find(&found).Error; err != nil {
		return nil, fmt.Errorf("look for a shadow: %w", err)
	}
	var one *Shadow
	if len(found) > 0 {
		one = &found[0]
	}
	return one, nil
}

// end stops a shadow whose row is locked. problem says why, if it ends by itself.
func (s *Shadow) end(ctx context.Context, tx *gorm.DB, problem string) error {
	if err := tx.Exec(`UPDATE shadow SET ended_at = clock_timestamp(), problem = ? WHERE id = ?`, problem, s.ID).Error; err != nil {
		return fmt.Errorf("stop a shadow: %w", err)
	}
	return s.note(ctx, tx, audit.ShadowEnded)
}

func (s *Shadow) giveUp(ctx context.Context, db *postgres.DB, problem string) error {
	return db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return s.end(ctx, tx, problem) })
}

func (s *Shadow) note(ctx context.Context, tx *gorm.DB, action audit.Action) error {
	_, err := audit.Append(ctx, tx, audit.Entry{
		Action: action, ObjectKind: "shadow", Object: s.ID.String(), Detail: map[string]any{"hash": s.Hash, "version": s.Version, "draft": s.DraftID},
	})
	return err
}

// keep stores what a shadow has found, unless it was stopped or somebody else has looked at the same events; then kept is false.
func (s *Shadow) keep(ctx context.Context, db *postgres.DB, before int64, found []ShadowLead) (kept bool, err error) {
	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Raw(`SELECT clock_timestamp()`).Scan(&s.SeenAt).Error; err != nil {
			return err
		}
		done := tx.Model(s).Where("ended_at IS NULL AND seen = ?", before).Select("seen", "seen_at", "sums", "turns").Updates(s)
		if kept = done.RowsAffected == 1; done.Error != nil || !kept {
			return done.Error
		}
		for _, l := range found { // a person who was erased meanwhile is not listed
			err := tx.Exec(`INSERT INTO shadow_lead (shadow_id, lead_id, number, at, kinds, was_rule, was, was_to, rule, target, offered)
				SELECT ?, id, ?, ?, string_to_array(?, ' '), ?, ?, ?, ?, ?, ? FROM lead WHERE id = ? AND erased_at IS NULL FOR KEY SHARE ON CONFLICT DO NOTHING`,
				s.ID, l.Number, l.At, sentence(l.Kinds), l.WasRule, l.Was, l.WasTo, l.Rule, l.Target, l.Offered, l.LeadID).Error
			if err != nil {
				return err
			}
		}
		return tx.Exec(`DELETE FROM shadow_lead WHERE shadow_id = ? AND number <= (SELECT max(number) FROM shadow_lead WHERE shadow_id = ?) - ?`,
			s.ID, s.ID, keptLeads).Error
	})
	if err != nil {
		return false, fmt.Errorf("keep what a shadow has found: %w", err)
	}
	return kept, nil
}
