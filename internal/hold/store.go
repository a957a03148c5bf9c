package hold

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/telemetry"
)

// Options are what a Store needs. DB, Node and Log are required; functions may be nil.
type Options struct {
	DB      *gorm.DB
	Node    int64 // this process: released leads are dispatched by it
	Log     *slog.Logger
	Metrics *telemetry.Metrics // nil: none

	Released func(n int) // after the commit, with how many leads go on: wakes dispatch
	Changed  func()      // after each commit: wakes the live stream
}

// Store reads and settles held leads.
type Store struct{ Options }

// NewStore makes a Store.
func NewStore(o Options) *Store {
	if o.Released == nil {
		o.Released = func(int) {}
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Store{Options: o}
}

// List gives one page of held leads in scope, newest first, and the cursor of the next; empty: there is no more.
func (s *Store) List(ctx context.Context, scope lead.Scope, f Filter) (items []Item, next string, err error) {
	if f.State == "" {
		f.State = Open
	}
	within, args := scope.Where()
	q := s.DB.WithContext(ctx).Table("hold h").Joins("JOIN lead l ON l.id = h.lead_id").Joins("LEFT JOIN contact c ON c.lead_id = h.lead_id").
		Select(`h.lead_id, h.form, h.score, array_to_string(h.reasons, ',') AS reasons, h.state, h.settled_at, l.accepted_at, l.country,
			coalesce(c.name, '') AS name, coalesce(c.email, '') AS email, coalesce(c.phone, '') AS phone, coalesce(c.company, '') AS company`).
		Where("h.state = ?", string(f.State)).Where(within, args...)
	if f.Form != "" {
		q = q.Where("h.form = ?", f.Form)
	}
	if f.Reason != "" {
		q = q.Where("? = ANY(h.reasons)", f.Reason)
	}
	if f.Cursor != "" {
		after, err := uuid.Parse(f.Cursor)
		if err != nil {
			return nil, "", fault.Wrap(fault.Malformed, err, "This cursor is not one of ours. Leave it out to begin again.")
		}
		q = q.Where("h.lead_id < ?", after)
	}
	var rows []struct {
		LeadID                      uuid.UUID
		Form, Reasons, Country      string
		Score                       int
		State                       State
		AcceptedAt                  time.Time
		SettledAt                   *time.Time
		Name, Email, Phone, Company string
	}
	if err := q.Order("h.lead_id DESC").Limit(PageSize + 1).Find(&rows).Error; err != nil {
		return nil, "", fmt.Errorf("list held leads: %w", err)
	}
	if len(rows) > PageSize {
		rows = rows[:PageSize]
		next = rows[PageSize-1].LeadID.String()
	}
	items = make([]Item, len(rows))
	for i, r := range rows {
		items[i] = Item{
			LeadID: r.LeadID, Form: r.Form, Score: r.Score, Reasons: strings.Split(r.Reasons, ","), State: r.State, AcceptedAt: r.AcceptedAt,
			SettledAt: r.SettledAt, Country: r.Country, Name: privacy.Text(r.Name), Email: privacy.Text(r.Email), Phone: privacy.Text(r.Phone),
			Company: privacy.Text(r.Company),
		}
	}
	return items, next, nil
}

// mostCounted bounds what counting costs; nobody reads a larger number.
const mostCounted = 1000

// Waiting counts held leads that nobody has decided about, up to a thousand.
func (s *Store) Waiting(ctx context.Context) (int, error) {
	var n int
	err := s.DB.WithContext(ctx).Raw(`SELECT count(*) FROM (SELECT FROM hold WHERE state = 'open' LIMIT ?) few`, mostCounted).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count held leads: %w", err)
	}
	return n, nil
}

// Depth tells exactly how many wait, and how long the oldest has.
func (s *Store) Depth(ctx context.Context) (Depth, error) {
	var row struct {
		Waiting int
		Seconds float64
	}
	err := s.DB.WithContext(ctx).Raw(`SELECT count(*) AS waiting, coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::double precision AS seconds
		FROM hold WHERE state = 'open'`).Scan(&row).Error
	if err != nil {
		return Depth{}, fmt.Errorf("measure held leads: %w", err)
	}
	return Depth{Waiting: row.Waiting, Oldest: time.Duration(row.Seconds * float64(time.Second))}, nil
}

const measureEvery = 15 * time.Second

// Run publishes the depth of the queue until ctx ends; then it returns nil.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		if d, err := s.Depth(ctx); err == nil {
			s.Metrics.QueueDepth("held", d.Waiting)
			s.Metrics.OldestPending("held", d.Oldest.Seconds())
		} else if ctx.Err() == nil {
			s.Log.WarnContext(ctx, "held leads could not be counted", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
