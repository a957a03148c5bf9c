package rep

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
)

// Channel is where processes hear that something about people has changed, with the word below.
const (
	Channel       = "leadline"
	PeopleChanged = "people"
)

// absenceRow is the absence table.
type absenceRow struct {
	ID       uuid.UUID `gorm:"primaryKey"`
	RepID    uuid.UUID
	Kind     string
	StartsAt time.Time
	EndsAt   *time.Time
}

// TableName tells GORM where rows live.
func (absenceRow) TableName() string { return "absence" }

func (r absenceRow) absence() Absence {
	a := Absence{ID: r.ID, RepID: r.RepID, Kind: r.Kind, From: r.StartsAt}
	if r.EndsAt != nil {
		a.Until = *r.EndsAt
	}
	return a
}

// Absences lists the absences of everybody that have not ended before a moment, by person and time.
func (s *Store) Absences(ctx context.Context, since time.Time) ([]Absence, error) {
	return s.absences(s.db.WithContext(ctx).Where("ends_at IS NULL OR ends_at > ?", since))
}

// AbsencesOf lists all absences of a person, newest last.
func (s *Store) AbsencesOf(ctx context.Context, id uuid.UUID) ([]Absence, error) {
	return s.absences(s.db.WithContext(ctx).Where("rep_id = ?", id))
}

func (s *Store) absences(found *gorm.DB) ([]Absence, error) {
	var rows []absenceRow
	if err := found.Order("rep_id, starts_at, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list absences: %w", err)
	}
	all := make([]Absence, len(rows))
	for i, r := range rows {
		all[i] = r.absence()
	}
	return all, nil
}

// AddAbsence notes that somebody takes no leads for a time, and tells all processes. It is audited. Exactly the same absence again is the
// one that is there: isNew is false. Faults: Invalid.
func (s *Store) AddAbsence(ctx context.Context, a Absence) (added Absence, isNew bool, err error) {
	if err := a.check(); err != nil {
		return Absence{}, false, err
	}
	a.From, a.Until = a.From.UTC().Truncate(time.Microsecond), a.Until.UTC().Truncate(time.Microsecond) // as the database keeps them
	a.ID = uuid.Must(uuid.NewV7())
	row := absenceRow{ID: a.ID, RepID: a.RepID, Kind: a.Kind, StartsAt: a.From}
	if !a.Until.IsZero() {
		row.EndsAt = &a.Until
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var same []absenceRow
		err := tx.Raw(`SELECT id, rep_id, kind, starts_at, ends_at FROM absence WHERE rep_id = ? AND kind = ? AND starts_at = ? AND ends_at IS NOT DISTINCT FROM ?::timestamptz`,
			row.RepID, row.Kind, row.StartsAt, row.EndsAt).Scan(&same).Error
		if err != nil {
			return fmt.Errorf("look for an absence: %w", err)
		}
		if len(same) > 0 {
			a.ID = same[0].ID
			return nil
		}
		isNew = true
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("store an absence: %w", err)
		}
		return recordAbsence(ctx, tx, audit.AbsenceAdded, row)
	})
	return a, isNew, err
}

// RemoveAbsence takes an absence of a person back, and tells all processes. It is audited. One that is not theirs is a NotFound fault.
func (s *Store) RemoveAbsence(ctx context.Context, repID, id uuid.UUID) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var rows []absenceRow
		err := tx.Raw(`DELETE FROM absence WHERE id = ? AND rep_id = ? RETURNING id, rep_id, kind, starts_at, ends_at`, id, repID).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("remove an absence: %w", err)
		}
		if len(rows) == 0 {
			return fault.New(fault.NotFound, "This person has no such absence.")
		}
		return recordAbsence(ctx, tx, audit.AbsenceRemoved, rows[0])
	})
}

// check says what is wrong with an absence that somebody wants to add.
func (a Absence) check() error {
	wrong := func(field, code, message string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "That is not an absence.", Fields: []fault.Field{{Field: field, Code: code, Message: message}}}
	}
	switch {
	case a.Kind != Leave && a.Kind != Pause:
		return wrong("kind", "unknown", "Use leave or pause.")
	case a.From.IsZero():
		return wrong("from", "missing", "Say when it begins, like 2026-12-01T14:00:00+01:00.")
	case !a.Until.IsZero() && !a.Until.After(a.From):
		return wrong("until", "order", "It must end after it begins. Leave it out for an absence without a known end.")
	}
	return nil
}

// recordAbsence writes an absence into the audit chain, and announces it; others hear of it once this has committed.
func recordAbsence(ctx context.Context, tx *gorm.DB, action audit.Action, row absenceRow) error {
	detail := map[string]any{"absence": row.ID, "kind": row.Kind, "from": row.StartsAt.UTC().Format(time.RFC3339)}
	if row.EndsAt != nil {
		detail["until"] = row.EndsAt.UTC().Format(time.RFC3339)
	}
	if _, err := audit.Append(ctx, tx, audit.Entry{Action: action, ObjectKind: "rep", Object: row.RepID.String(), Detail: detail}); err != nil {
		return err
	}
	return announce(tx)
}

// announce tells all processes that something about people has changed, once the transaction has committed.
func announce(tx *gorm.DB) error {
	if err := tx.Exec("SELECT pg_notify(?, ?)", Channel, PeopleChanged).Error; err != nil {
		return fmt.Errorf("announce a change of people: %w", err)
	}
	return nil
}
