package rep

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
)

// Store answers questions about reps from the database. Safe for use by many goroutines.
type Store struct {
	db *gorm.DB
}

// NewStore makes a store on a database or, to take part in it, on a transaction.
func NewStore(db *gorm.DB) *Store { return &Store{db: db} }

// columns are those of a rep, each by its name: a statement that asked for whatever there is would break on servers that run on while a
// later release adds to the tables.
const columns = `r.id, r.email, r.name, r.team, r.phone, r.timezone, r.hours, coalesce(t.starts_on, '') AS starts_on, coalesce(t.ends_on, '') AS ends_on,
	coalesce(t.calendars, '') AS calendars, coalesce(t.tags, '') AS tags, r.active, r.presence, r.presence_by, r.presence_reason, r.presence_at,
	r.reachable_at, r.missed, r.demo`

const selectReps = `SELECT ` + columns + ` FROM rep r LEFT JOIN rep_terms t ON t.rep_id = r.id`

// row is what columns give.
type row struct {
	ID             uuid.UUID `gorm:"primaryKey"`
	Email          string
	Name           string
	Team           string
	Phone          string
	Timezone       string
	Hours          string
	StartsOn       string
	EndsOn         string
	Calendars      string
	Tags           string
	Active         bool
	Presence       Presence
	PresenceBy     string
	PresenceReason string
	PresenceAt     time.Time
	ReachableAt    *time.Time
	Missed         int
	Demo           bool
}

// ByEmail finds a rep by e-mail address, in any case. A missing rep is a NotFound fault.
func (s *Store) ByEmail(ctx context.Context, email string) (Rep, error) {
	return s.one(ctx, "r.email = ?", strings.ToLower(strings.TrimSpace(email)))
}

// ByID finds a rep. A missing rep is a NotFound fault.
func (s *Store) ByID(ctx context.Context, id uuid.UUID) (Rep, error) {
	return s.one(ctx, "r.id = ?", id)
}

func (s *Store) one(ctx context.Context, where string, arg any) (Rep, error) {
	var found []row
	if err := s.db.WithContext(ctx).Raw(selectReps+" WHERE "+where, arg).Scan(&found).Error; err != nil {
		return Rep{}, fmt.Errorf("find rep: %w", err)
	}
	if len(found) == 0 {
		return Rep{}, missing()
	}
	return Rep(found[0]), nil
}

func missing() error { return fault.New(fault.NotFound, "There is no such rep.") }

// All gives every rep, deactivated ones included, by e-mail address.
func (s *Store) All(ctx context.Context) ([]Rep, error) {
	var rows []row
	if err := s.db.WithContext(ctx).Raw(selectReps + ` ORDER BY r.email COLLATE "C"`).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("list reps: %w", err)
	}
	reps := make([]Rep, len(rows))
	for i, r := range rows {
		reps[i] = Rep(r)
	}
	return reps, nil
}

// Upsert adds reps, or updates what the configuration says of those who are there already, and tells how many rows changed.
// Presence, reachability and history are never touched; a new rep starts off. ID is used only for new reps and made when zero.
// Whose account was disabled stays deactivated, whatever the configuration says, until the account is added again. Run it in a
// transaction: who is activated or deactivated is audited.
func (s *Store) Upsert(ctx context.Context, reps []Rep) (int, error) {
	changed := 0
	if err := s.lock(ctx, reps); err != nil {
		return changed, err
	}
	for _, r := range reps {
		if r.ID == uuid.Nil {
			r.ID = uuid.Must(uuid.NewV7())
		}
		var done []struct {
			ID          uuid.UUID
			Was, Active *bool
		}
		err := s.db.WithContext(ctx).Raw(`
			INSERT INTO rep AS old (id, email, name, team, phone, timezone, hours, active, demo)
			SELECT v.*, ? AND NOT EXISTS (SELECT FROM account a WHERE a.email = v.email AND a.disabled_at IS NOT NULL), ?
			FROM (VALUES (?::uuid, ?, ?, ?, ?, ?, ?)) AS v(id, email, name, team, phone, timezone, hours)
			ON CONFLICT (email) DO UPDATE SET name = excluded.name, team = excluded.team, phone = excluded.phone,
				timezone = excluded.timezone, hours = excluded.hours, active = excluded.active,
				demo = old.demo AND excluded.demo, updated_at = clock_timestamp()
			WHERE (old.name, old.team, old.phone, old.timezone, old.hours, old.active, old.demo)
				IS DISTINCT FROM (excluded.name, excluded.team, excluded.phone, excluded.timezone, excluded.hours, excluded.active, old.demo AND excluded.demo)
			RETURNING old.id, (SELECT before.active FROM rep before WHERE before.id = old.id) AS was, old.active`, // as the statement found it
			r.Active, r.Demo, r.ID, strings.ToLower(r.Email), r.Name, r.Team, r.Phone, r.Timezone, r.Hours).Scan(&done).Error
		if err != nil {
			return changed, fmt.Errorf("store rep: %w", err)
		}
		terms, err := s.upsertTerms(ctx, r)
		if err != nil {
			return changed, err
		}
		if len(done) > 0 || terms {
			changed++
		}
		for _, d := range done {
			if d.Was == nil || *d.Was == *d.Active {
				continue
			}
			if err := recordActive(ctx, s.db, d.ID, *d.Active); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// lock takes the rows of reps who are there already, in the order of their ids, like everywhere: the configuration names them in another.
func (s *Store) lock(ctx context.Context, reps []Rep) error {
	emails := make([]string, len(reps))
	for i, r := range reps {
		emails[i] = strings.ToLower(r.Email)
	}
	if len(emails) == 0 {
		return nil
	}
	if err := s.db.WithContext(ctx).Exec(`SELECT FROM rep WHERE email IN ? ORDER BY id FOR NO KEY UPDATE`, emails).Error; err != nil {
		return fmt.Errorf("lock reps: %w", err)
	}
	return nil
}

// upsertTerms stores dates, calendars and tags, and tells whether anything changed. Most people have none, and no row.
func (s *Store) upsertTerms(ctx context.Context, r Rep) (changed bool, err error) {
	done := s.db.WithContext(ctx).Exec(`
		INSERT INTO rep_terms AS old (rep_id, starts_on, ends_on, calendars, tags)
		SELECT r.id, v.* FROM (VALUES (?, ?, ?, ?)) AS v(starts_on, ends_on, calendars, tags) JOIN rep r ON r.email = ?
		WHERE concat(v.starts_on, v.ends_on, v.calendars, v.tags) <> '' OR EXISTS (SELECT FROM rep_terms t WHERE t.rep_id = r.id)
		ON CONFLICT (rep_id) DO UPDATE SET starts_on = excluded.starts_on, ends_on = excluded.ends_on, calendars = excluded.calendars, tags = excluded.tags
		WHERE (old.starts_on, old.ends_on, old.calendars, old.tags) IS DISTINCT FROM (excluded.starts_on, excluded.ends_on, excluded.calendars, excluded.tags)`,
		r.StartsOn, r.EndsOn, r.Calendars, r.Tags, strings.ToLower(r.Email))
	if done.Error != nil {
		return false, fmt.Errorf("store the terms of a rep: %w", done.Error)
	}
	return done.RowsAffected > 0, nil
}

// SetPresence changes whether offers may come to a rep, says why in words for the rep, and forgets missed offers when a person
// or a program asked for it. Setting it from a console is a sign of that console, too.
func (s *Store) SetPresence(ctx context.Context, email string, presence Presence, by, reason string) (Rep, error) {
	switch presence {
	case Available, Focus, Away, Off:
	default:
		return Rep{}, &fault.Error{
			Kind: fault.Invalid, Message: "That is not a presence.",
			Fields: []fault.Field{{Field: "presence", Code: "unknown", Message: "Use available, focus, away or off."}},
		}
	}
	var rows []row
	err := s.db.WithContext(ctx).Raw(`
		WITH r AS (
			UPDATE rep SET presence = ?, presence_by = ?, presence_reason = ?, presence_at = clock_timestamp(), updated_at = clock_timestamp(),
				missed = CASE WHEN ? THEN missed ELSE 0 END,
				reachable_at = CASE WHEN ? THEN clock_timestamp() ELSE reachable_at END
			WHERE email = ?
			RETURNING id, email, name, team, phone, timezone, hours, active, presence, presence_by, presence_reason, presence_at, reachable_at, missed, demo
		)
		SELECT `+columns+` FROM r LEFT JOIN rep_terms t ON t.rep_id = r.id`,
		presence, by, reason, by == BySystem, by == ByConsole, strings.ToLower(strings.TrimSpace(email))).Scan(&rows).Error
	if err != nil {
		return Rep{}, fmt.Errorf("set presence: %w", err)
	}
	if len(rows) == 0 {
		return Rep{}, missing()
	}
	return Rep(rows[0]), nil
}

// Seen notes that consoles of these reps answered just now, by the database clock. Unknown ids are ignored.
func (s *Store) Seen(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	// Locked in the order of their ids, like everywhere: dispatch may be counting missed offers of the same reps.
	err := s.db.WithContext(ctx).Exec(`WITH seen AS (SELECT id FROM rep WHERE id IN ? ORDER BY id FOR NO KEY UPDATE)
		UPDATE rep SET reachable_at = clock_timestamp() FROM seen WHERE rep.id = seen.id`, ids).Error
	if err != nil {
		return fmt.Errorf("note reachable reps: %w", err)
	}
	return nil
}
