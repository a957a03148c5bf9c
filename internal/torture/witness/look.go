package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Querier is what Look reads from: a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Record is one record that the CRM holds.
type Record struct {
	ExternalID string `json:"external_id"`
	Body       struct {
		Lead struct {
			Email string `json:"email"`
			Phone string `json:"phone"`
		} `json:"lead"`
	} `json:"body"`
}

// Seen is what the database and the CRM hold.
type Seen struct {
	leads      map[string]lead   // by id
	owners     map[string]string // submission to lead: of first ones and of those that joined
	keys       map[string]string // client key to submission
	payloads   map[string]bool   // by submission
	deliveries map[string][]delivery
	records    []Record
}

type lead struct {
	id, email, phone, stage, crmState string
	accepted                          time.Time
	offered                           bool
	placed                            *time.Time // when it was first offered
}

type delivery struct {
	lead, state     string
	wanted, written int
}

// Look reads the database; records come from the CRM.
func Look(ctx context.Context, q Querier, records []Record) (*Seen, error) {
	s := &Seen{
		leads: map[string]lead{}, owners: map[string]string{}, keys: map[string]string{}, payloads: map[string]bool{},
		deliveries: map[string][]delivery{}, records: records,
	}
	var (
		l    lead
		d    delivery
		a, b string
		id   uuid.UUID
		of   uuid.UUID
	)
	return s, errors.Join(
		each(ctx, q, `SELECT l.id, coalesce(c.email, ''), coalesce(c.phone, ''), l.stage, l.crm_state, l.accepted_at,
			o.at IS NOT NULL, o.at FROM lead l LEFT JOIN contact c ON c.lead_id = l.id
			LEFT JOIN (SELECT lead_id, min(offered_at) AS at FROM offer GROUP BY lead_id) o ON o.lead_id = l.id`,
			[]any{&id, &l.email, &l.phone, &l.stage, &l.crmState, &l.accepted, &l.offered, &l.placed}, func() {
				l.id = id.String()
				s.leads[l.id], s.owners[l.id] = l, l.id
			}),
		each(ctx, q, `SELECT id, lead_id FROM touch WHERE kind = 'repeat'`, []any{&id, &of}, func() { s.owners[id.String()] = of.String() }),
		each(ctx, q, `SELECT key, submission FROM client_key`, []any{&a, &id}, func() { s.keys[a] = id.String() }),
		each(ctx, q, `SELECT submission FROM payload`, []any{&id}, func() { s.payloads[id.String()] = true }),
		each(ctx, q, `SELECT lead_id, state, wanted, written, connection FROM delivery WHERE destination = 'crm'`,
			[]any{&id, &d.state, &d.wanted, &d.written, &b}, func() {
				d.lead = id.String()
				s.deliveries[d.lead] = append(s.deliveries[d.lead], d)
			}),
	)
}

func each(ctx context.Context, q Querier, sql string, into []any, row func()) error {
	rows, err := q.Query(ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error { row(); return nil })
	}
	if err != nil {
		return fmt.Errorf("look into the database: %w", err)
	}
	return nil
}

// Records reads what the sandbox's generic CRM holds.
func Records(ctx context.Context, sandbox string) ([]Record, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sandbox+"/_control/records?vendor=webhook", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the CRM: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the CRM: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read
	var records []Record
	if err := json.NewDecoder(res.Body).Decode(&records); err != nil {
		return nil, fmt.Errorf("read what the CRM holds: %w", err)
	}
	return records, nil
}
