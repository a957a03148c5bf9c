package lead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// Store answers questions about leads for people and programs. It writes nothing: intake and dispatch do.
type Store struct{ db *gorm.DB }

// NewStore makes a Store on a database.
func NewStore(db *gorm.DB) *Store { return &Store{db: db} }

// Event is something that happened to a lead, numbered in commit order. Data never holds contact details.
type Event struct {
	Seq     int64 // 0 for EventAccepted, which is made of the lead itself
	At      time.Time
	LeadID  uuid.UUID
	Kind    EventKind
	Pool    string
	RepID   *uuid.UUID
	Attempt int
	Data    json.RawMessage
}

// Decision is the first routing decision of a lead. Trace is as routing wrote it.
type Decision struct {
	Version int64
	Rule    string
	Pool    string
	RepID   *uuid.UUID
	At      time.Time
	Trace   json.RawMessage
}

// Touch is a later submission that joined a lead, or a correction of it.
type Touch struct {
	ID            uuid.UUID
	LeadID        uuid.UUID
	Kind          string // repeat or amend
	CorrelationID string
	At            time.Time
	Answers       Answers
}

// Filter narrows a list of leads. Zero fields do not narrow. Cursor is what the page before returned.
type Filter struct {
	Form     string
	Stage    Stage
	CRMState CRMState
	Pool     string
	RepID    uuid.UUID
	Since    time.Time // accepted at or after
	Cursor   string
	Limit    int // 1 to 200; 50 when zero
}

// Page sizes of List.
const (
	pageDefault = 50
	pageMost    = 200
)

const leadColumns = `id, correlation_id, form, intent, product, country, region, postal_code, timezone, language, source,
	email_domain, domain_class, accepted_at, stage, crm_state, pool, rep_id, attempt, claimed_at, first_touch_at, closed_at,
	disposition, revision, demo`

// leadRow is a Lead as its table holds it; the same fields, apart so that GORM sees no other type.
type leadRow Lead

// contactRow is a Contact as its table holds it, documents still as text.
type contactRow struct {
	Name, Email, Phone, Company, Notes string
	Fields, Consent, Context           string
}

// ByID gives a lead and its contact; an alias gives the one lead that its submission joined. NotFound when there is none.
func (s *Store) ByID(ctx context.Context, id uuid.UUID) (Lead, Contact, error) {
	id, err := s.Resolve(ctx, id)
	if err != nil {
		return Lead{}, Contact{}, err
	}
	var (
		row     leadRow
		contact contactRow
	)
	if err := s.one(ctx, &row, `SELECT `+leadColumns+` FROM lead WHERE id = ?`, id); err != nil {
		return Lead{}, Contact{}, fmt.Errorf("read lead: %w", err)
	}
	err = s.one(ctx, &contact, `SELECT name, email, phone, company, notes, fields::text AS fields, consent::text AS consent,
		context::text AS context FROM contact WHERE lead_id = ?`, id)
	if err != nil && !fault.Is(err, fault.NotFound) { // an erased person's lead has no contact
		return Lead{}, Contact{}, fmt.Errorf("read contact: %w", err)
	}
	c, err := contact.contact()
	return Lead(row), c, err
}

func (r contactRow) contact() (Contact, error) {
	c := Contact{
		Name: privacy.Text(r.Name), Email: privacy.Text(r.Email), Phone: privacy.Text(r.Phone), Company: privacy.Text(r.Company),
		Notes: privacy.Text(r.Notes),
	}
	var fields map[string]string
	for _, d := range []struct {
		text string
		into any
	}{{r.Fields, &fields}, {r.Consent, &c.Consent}, {r.Context, &c.Context}} {
		if d.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(d.text), d.into); err != nil {
			return c, fmt.Errorf("read contact documents: %w", err)
		}
	}
	c.Fields = HiddenFields(fields)
	return c, nil
}

// Resolve gives the id of the lead that a submission made or joined. NotFound when there is none.
func (s *Store) Resolve(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	var row struct{ ID uuid.UUID }
	err := s.one(ctx, &row, `SELECT id FROM lead WHERE id = coalesce((SELECT lead_id FROM touch WHERE id = ?), ?)`, id, id)
	if err != nil {
		return uuid.Nil, fmt.Errorf("resolve lead: %w", err)
	}
	return row.ID, nil
}

// List gives one page of leads, newest first, and the cursor of the next; an empty cursor means that there is no more.
func (s *Store) List(ctx context.Context, f Filter) (leads []Lead, next string, err error) {
	q := s.db.WithContext(ctx).Table("lead").Select(leadColumns)
	for _, c := range []struct{ column, value string }{
		{"form", f.Form}, {"stage", string(f.Stage)}, {"crm_state", string(f.CRMState)}, {"pool", f.Pool},
	} {
		if c.value != "" {
			q = q.Where(c.column+" = ?", c.value)
		}
	}
	if f.RepID != uuid.Nil {
		q = q.Where("rep_id = ?", f.RepID)
	}
	if !f.Since.IsZero() {
		q = q.Where("accepted_at >= ?", f.Since)
	}
	if f.Cursor != "" {
		after, err := uuid.Parse(f.Cursor)
		if err != nil {
			return nil, "", fault.Wrap(fault.Malformed, err, "This cursor is not one of ours. Leave it out to begin again.")
		}
		q = q.Where("id < ?", after)
	}
	limit := f.Limit
	if limit < 1 {
		limit = pageDefault
	}
	limit = min(limit, pageMost)
	var rows []leadRow
	if err := q.Order("id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, "", fmt.Errorf("list leads: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID.String()
	}
	leads = make([]Lead, len(rows))
	for i, r := range rows {
		leads[i] = Lead(r)
	}
	return leads, next, nil
}

// Timeline gives what happened to a lead in commit order, beginning with its acceptance. Aliases are resolved.
func (s *Store) Timeline(ctx context.Context, id uuid.UUID) ([]Event, error) {
	id, err := s.Resolve(ctx, id)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Seq     int64
		At      time.Time
		LeadID  uuid.UUID
		Kind    EventKind
		Pool    string
		RepID   *uuid.UUID
		Attempt int
		Data    string
	}
	err = s.db.WithContext(ctx).Raw(`
		SELECT 0 AS seq, accepted_at AS at, id AS lead_id, 'accepted' AS kind, '' AS pool, NULL::uuid AS rep_id, 0 AS attempt,
			'{}' AS data FROM lead WHERE id = ?
		UNION ALL
		SELECT seq, at, lead_id, kind, pool, rep_id, attempt, data::text FROM event WHERE lead_id = ?
		ORDER BY seq`, id, id).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	events := make([]Event, len(rows))
	for i, r := range rows {
		events[i] = Event{
			Seq: r.Seq, At: r.At, LeadID: r.LeadID, Kind: r.Kind, Pool: r.Pool, RepID: r.RepID, Attempt: r.Attempt,
			Data: json.RawMessage(r.Data),
		}
	}
	return events, nil
}

// Decision gives the first routing decision of a lead, NotFound while there is none. Aliases are resolved.
func (s *Store) Decision(ctx context.Context, id uuid.UUID) (Decision, error) {
	id, err := s.Resolve(ctx, id)
	if err != nil {
		return Decision{}, err
	}
	var row struct {
		Version    int64
		Rule, Pool string
		RepID      *uuid.UUID
		At         time.Time
		Trace      string
	}
	err = s.one(ctx, &row, `SELECT version, rule, pool, rep_id, at, trace::text AS trace FROM decision WHERE lead_id = ?`, id)
	if err != nil {
		return Decision{}, fmt.Errorf("read decision: %w", err)
	}
	return Decision{
		Version: row.Version, Rule: row.Rule, Pool: row.Pool, RepID: row.RepID, At: row.At, Trace: json.RawMessage(row.Trace),
	}, nil
}

// Touches gives what the same person sent later, oldest first. Aliases are resolved.
func (s *Store) Touches(ctx context.Context, id uuid.UUID) ([]Touch, error) {
	id, err := s.Resolve(ctx, id)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID            uuid.UUID
		LeadID        uuid.UUID
		Kind          string
		CorrelationID string
		At            time.Time
		Payload       string
	}
	err = s.db.WithContext(ctx).Raw(`SELECT id, lead_id, kind, correlation_id, at, payload::text AS payload FROM touch
		WHERE lead_id = ? ORDER BY at, id`, id).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read touches: %w", err)
	}
	touches := make([]Touch, len(rows))
	for i, r := range rows {
		touches[i] = Touch{ID: r.ID, LeadID: r.LeadID, Kind: r.Kind, CorrelationID: r.CorrelationID, At: r.At}
		if err := json.Unmarshal([]byte(r.Payload), &touches[i].Answers); err != nil {
			return nil, fmt.Errorf("read touch: %w", err)
		}
	}
	return touches, nil
}

// one reads a single row; NotFound when there is none.
func (s *Store) one(ctx context.Context, into any, query string, args ...any) error {
	err := s.db.WithContext(ctx).Raw(query, args...).Take(into).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return fault.New(fault.NotFound, "This lead is not here. It may have been removed.")
	}
	return err
}
