package crm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/outbox"
)

// loader reads leads as they are at the moment of sending, with one query for all that wait at once. run does the reading.
type loader struct {
	db   outbox.Querier
	wake chan struct{}

	mu      sync.Mutex
	waiting []*loading
}

type loading struct {
	id    uuid.UUID
	ready chan struct{}
	found *loaded
	err   error
}

// loaded is what a write carries.
type loaded struct {
	lead    lead.Lead
	contact lead.Contact
	owner   *Owner
}

const (
	loadBatch   = 64
	loadTimeout = 5 * time.Second
)

// errNoLead says that the lead is gone, erased for example.
var errNoLead = errors.New("the lead is no longer there")

// load waits for the lead's row, contact and holder.
func (l *loader) load(ctx context.Context, id uuid.UUID) (*loaded, error) {
	wait := &loading{id: id, ready: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, wait)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-wait.ready:
		return wait.found, wait.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run reads until ctx ends. Whoever calls load has stopped before.
func (l *loader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for batch := l.take(); len(batch) > 0; batch = l.take() {
			l.read(ctx, batch)
		}
	}
}

func (l *loader) take() []*loading {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), loadBatch)
	batch := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return batch
}

func (l *loader) read(ctx context.Context, batch []*loading) {
	ctx, release := context.WithTimeout(ctx, loadTimeout)
	defer release()
	ids := make([]uuid.UUID, len(batch))
	for i, wait := range batch {
		ids[i] = wait.id
	}
	found, err := queryLeads(ctx, l.db, ids)
	for _, wait := range batch {
		switch {
		case err != nil:
			wait.err = err
		case found[wait.id] == nil:
			wait.err = errNoLead
		default:
			wait.found = found[wait.id]
		}
		close(wait.ready)
	}
}

const leadsSQL = `
SELECT l.id, l.correlation_id, l.form, l.intent, l.product, l.country, l.region, l.postal_code, l.timezone, l.language, l.source,
       l.accepted_at, l.stage, l.disposition, l.revision, l.demo,
       c.name, c.email, c.phone, c.company, c.notes, c.fields, c.consent, c.context, r.email, r.name
FROM lead l JOIN contact c ON c.lead_id = l.id LEFT JOIN rep r ON r.id = l.rep_id
WHERE l.id = ANY($1)`

func queryLeads(ctx context.Context, db outbox.Querier, ids []uuid.UUID) (map[uuid.UUID]*loaded, error) {
	rows, err := db.Query(ctx, leadsSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("read %d leads to write: %w", len(ids), err)
	}
	defer rows.Close()
	found := make(map[uuid.UUID]*loaded, len(ids))
	for rows.Next() {
		one, err := scanLead(rows)
		if err != nil {
			return nil, fmt.Errorf("read a lead to write: %w", err)
		}
		found[one.lead.ID] = one
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %d leads to write: %w", len(ids), err)
	}
	return found, nil
}

func scanLead(rows pgx.Rows) (*loaded, error) {
	var one loaded
	var email, name *string
	var fields map[string]string
	l, c := &one.lead, &one.contact
	err := rows.Scan(&l.ID, &l.CorrelationID, &l.Form, &l.Intent, &l.Product, &l.Country, &l.Region, &l.PostalCode, &l.Timezone,
		&l.Language, &l.Source, &l.AcceptedAt, &l.Stage, &l.Disposition, &l.Revision, &l.Demo,
		(*string)(&c.Name), (*string)(&c.Email), (*string)(&c.Phone), (*string)(&c.Company), (*string)(&c.Notes), &fields, &c.Consent, &c.Context, &email, &name)
	if email != nil && name != nil {
		one.owner = &Owner{Email: *email, Name: *name}
	}
	c.Fields = lead.HiddenFields(fields)
	return &one, err
}
