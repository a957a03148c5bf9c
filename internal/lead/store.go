package lead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// Store answers questions about leads for people and programs; each takes the Scope of whoever asks. It writes nothing but who looked
// at contact details: the rest is for intake and dispatch.
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

// aliased is the lead l that an id means: its own, or that of a submission that joined it.
const aliased = `l.id = coalesce((SELECT t.lead_id FROM touch t WHERE t.id = ?), ?)`

// ByID gives a lead; an alias gives the one lead that its submission joined. NotFound when there is none in scope.
func (s *Store) ByID(ctx context.Context, scope Scope, id uuid.UUID) (Lead, error) {
	var row leadRow
	within, args := scope.Where()
	err := s.one(ctx, &row, `SELECT `+leadColumns+` FROM lead l WHERE `+aliased+` AND `+within, append([]any{id, id}, args...)...)
	if err != nil {
		return Lead{}, fmt.Errorf("read lead: %w", err)
	}
	return Lead(row), nil
}

// SeenContact is as much of a contact as was asked for.
type SeenContact struct {
	Contact             // without Whole and Masked: consent and context alone
	Whole     bool      // to be shown as it is; otherwise whoever shows it masks it first
	Mine      bool      // because the rep who asks holds the lead
	HidesAt   time.Time // with Whole by a reveal: when it ends
	Forgotten bool      // the person was erased: there is nothing to show
}

// Contact gives the contact of a lead as far as sight goes: the details leave the database for the holder, during a reveal, or
// to be masked. Aliases are resolved. NotFound when there is no such lead in scope.
func (s *Store) Contact(ctx context.Context, scope Scope, id uuid.UUID, sight Sight) (SeenContact, error) {
	var row struct {
		Name, Email, Phone, Company, Notes string
		Fields, Consent, Context           string
		Mine, Forgotten                    bool
		Until                              *time.Time
	}
	within, args := scope.Where()
	err := s.one(ctx, &row, `
		SELECT coalesce(d.name, '') AS name, coalesce(d.email, '') AS email, coalesce(d.phone, '') AS phone, coalesce(d.company, '') AS company,
			coalesce(d.notes, '') AS notes, coalesce(d.fields::text, '') AS fields, coalesce(c.consent::text, '') AS consent,
			coalesce(c.context::text, '') AS context, f.mine, f.until, c.lead_id IS NULL AS forgotten
		FROM (
			SELECT l.id, m.mine, u.until, m.mine OR u.until IS NOT NULL OR ? AS may
			FROM lead l
			CROSS JOIN LATERAL (SELECT coalesce(l.rep_id = ?, false) AS mine) m
			CROSS JOIN LATERAL (SELECT max(v.until) AS until FROM reveal v
				WHERE v.lead_id = l.id AND v.account_id = ? AND v.until > clock_timestamp()) u
			WHERE `+aliased+` AND `+within+`
		) f
		LEFT JOIN contact c ON c.lead_id = f.id
		LEFT JOIN contact d ON d.lead_id = f.id AND f.may`,
		append([]any{sight.Masked, orNone(sight.Rep), orNone(sight.Looker), id, id}, args...)...)
	if err != nil {
		return SeenContact{}, fmt.Errorf("read contact: %w", err)
	}
	c, err := contactRow{row.Name, row.Email, row.Phone, row.Company, row.Notes, row.Fields, row.Consent, row.Context}.contact()
	seen := SeenContact{Contact: c, Mine: row.Mine, Whole: row.Mine || row.Until != nil, Forgotten: row.Forgotten}
	if !row.Mine && row.Until != nil {
		seen.HidesAt = *row.Until
	}
	return seen, err
}

// orNone turns the zero id into NULL, which equals nothing.
func orNone(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
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

// Resolve gives the id of the lead that a submission made or joined. NotFound when there is none in scope.
func (s *Store) Resolve(ctx context.Context, scope Scope, id uuid.UUID) (uuid.UUID, error) {
	var row struct{ ID uuid.UUID }
	within, args := scope.Where()
	err := s.one(ctx, &row, `SELECT l.id FROM lead l WHERE `+aliased+` AND `+within, append([]any{id, id}, args...)...)
	if err != nil {
		return uuid.Nil, fmt.Errorf("resolve lead: %w", err)
	}
	return row.ID, nil
}

// Find gives the id behind what people read to each other, such as 7F3K-92QD. NotFound when there is none in scope. It looks through
// all leads: fine for a person who typed a reference, too slow for a program.
func (s *Store) Find(ctx context.Context, scope Scope, reference string) (uuid.UUID, error) {
	digits, ok := referenceDigits(reference)
	if !ok {
		return uuid.Nil, notHere()
	}
	var row struct{ ID uuid.UUID }
	within, args := scope.Where()
	err := s.one(ctx, &row, `SELECT l.id FROM lead l
		WHERE (right(l.id::text, 10) = ? OR l.id IN (SELECT t.lead_id FROM touch t WHERE right(t.id::text, 10) = ? AND t.kind = 'repeat')) AND `+within+`
		ORDER BY l.id DESC LIMIT 1`, append([]any{digits, digits}, args...)...)
	if err != nil {
		return uuid.Nil, fmt.Errorf("find a lead by its reference: %w", err)
	}
	return row.ID, nil
}

// List gives one page of the leads in scope, newest first, and the cursor of the next; an empty cursor means that there is no more.
func (s *Store) List(ctx context.Context, scope Scope, f Filter) (leads []Lead, next string, err error) {
	within, args := scope.Where()
	q := s.db.WithContext(ctx).Table("lead l").Select(leadColumns).Where(within, args...)
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

// Timeline gives what happened to a lead in commit order, beginning with its acceptance. Aliases are resolved. NotFound when there is
// no such lead in scope.
func (s *Store) Timeline(ctx context.Context, scope Scope, id uuid.UUID) ([]Event, error) {
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
	within, args := scope.Where()
	err := s.db.WithContext(ctx).Raw(`
		WITH it AS (SELECT l.id, l.accepted_at FROM lead l WHERE `+aliased+` AND `+within+`)
		SELECT 0 AS seq, accepted_at AS at, id AS lead_id, 'accepted' AS kind, '' AS pool, NULL::uuid AS rep_id, 0 AS attempt,
			'{}' AS data FROM it
		UNION ALL
		SELECT e.seq, e.at, e.lead_id, e.kind, e.pool, e.rep_id, e.attempt, e.data::text FROM it JOIN event e ON e.lead_id = it.id
		ORDER BY seq`, append([]any{id, id}, args...)...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	if len(rows) == 0 {
		return nil, notHere()
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

// Decision gives the first routing decision of a lead, NotFound while there is none, or no such lead in scope. Aliases are resolved.
func (s *Store) Decision(ctx context.Context, scope Scope, id uuid.UUID) (Decision, error) {
	var row struct {
		Version    int64
		Rule, Pool string
		RepID      *uuid.UUID
		At         time.Time
		Trace      string
	}
	within, args := scope.Where()
	err := s.one(ctx, &row, `SELECT d.version, d.rule, d.pool, d.rep_id, d.at, d.trace::text AS trace
		FROM lead l JOIN decision d ON d.lead_id = l.id WHERE `+aliased+` AND `+within, append([]any{id, id}, args...)...)
	if err != nil {
		return Decision{}, fmt.Errorf("read decision: %w", err)
	}
	return Decision{
		Version: row.Version, Rule: row.Rule, Pool: row.Pool, RepID: row.RepID, At: row.At, Trace: json.RawMessage(row.Trace),
	}, nil
}

// referenceDigits undoes Reference: eight base-32 digits to the last ten hexadecimal digits of the id.
func referenceDigits(reference string) (string, bool) {
	text := strings.ReplaceAll(strings.ToUpper(reference), "-", "")
	if len(text) != 8 {
		return "", false
	}
	var bits uint64
	for _, r := range text {
		at := strings.IndexRune(crockford, r)
		if at < 0 {
			return "", false
		}
		bits = bits<<5 | uint64(at)
	}
	return fmt.Sprintf("%010x", bits), true
}

// one reads a single row; NotFound when there is none.
func (s *Store) one(ctx context.Context, into any, query string, args ...any) error {
	err := s.db.WithContext(ctx).Raw(query, args...).Take(into).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return notHere()
	}
	return err
}

// notHere is said of leads that do not exist and of those out of scope, so that nobody can tell them apart.
func notHere() error {
	return fault.New(fault.NotFound, "This lead is not here. It may have been removed.")
}
