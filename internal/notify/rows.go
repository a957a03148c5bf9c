package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/outbox"
)

// due is the condition of a chat row that anybody may work on now.
const due = `d.destination = 'chat' AND d.connection = $1 AND d.wanted > d.written AND d.state IN ('pending', 'saving', 'delivered')
    AND d.due_at <= clock_timestamp() AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())`

const countSQL = `SELECT count(*) FILTER (WHERE d.written = 0), count(*) FILTER (WHERE d.written > 0) FROM delivery d WHERE ` + due

// counted says how many cards wait to be posted and to be changed.
func (s *Service) counted(ctx context.Context, connection string) (posts, updates int, err error) {
	err = s.o.DB.Jobs.QueryRow(ctx, countSQL, connection).Scan(&posts, &updates)
	if err != nil {
		err = fmt.Errorf("count waiting chat cards: %w", err)
	}
	return posts, updates, err
}

const paceSQL = `
INSERT INTO chat_pace AS p (channel, next_at) VALUES ($1, clock_timestamp() + $2::interval)
ON CONFLICT (channel) DO UPDATE SET next_at = clock_timestamp() + $2::interval WHERE p.next_at <= clock_timestamp()
RETURNING true`

// pace takes the right to make one call now, or says how long to wait. All processes share it.
func (s *Service) pace(ctx context.Context, key string, every time.Duration) (wait time.Duration, err error) {
	var mine bool
	err = s.o.DB.Jobs.QueryRow(ctx, paceSQL, key, every).Scan(&mine)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("take a turn in the chat channel: %w", err)
	}
	var left float64
	err = s.o.DB.Jobs.QueryRow(ctx, `SELECT extract(epoch FROM next_at - clock_timestamp())::float8 FROM chat_pace WHERE channel = $1`, key).Scan(&left)
	if err != nil {
		return 0, fmt.Errorf("read the pace of the chat channel: %w", err)
	}
	return max(time.Duration(left*float64(time.Second)), time.Millisecond), nil
}

// quiet keeps every process away from the channel for a while: the vendor asked for it.
func (s *Service) quiet(ctx context.Context, key string, wait time.Duration) error {
	_, err := s.o.DB.Jobs.Exec(ctx, `
INSERT INTO chat_pace AS p (channel, next_at) VALUES ($1, clock_timestamp() + $2::interval)
ON CONFLICT (channel) DO UPDATE SET next_at = greatest(p.next_at, clock_timestamp() + $2::interval)`, key, wait)
	if err != nil {
		return fmt.Errorf("slow the chat channel down: %w", err)
	}
	return nil
}

// taken is a leased row with its card.
type taken struct {
	outbox.Claimed
	uncertain bool // an earlier attempt's answer was never learnt
	createdAt time.Time
	card      Card
}

// pick says which rows to take, as text for the statement.
type pick struct{ which, order string }

var (
	pickPost   = pick{"d.written = 0", "d.hot DESC, d.created_at, d.id"}
	pickDigest = pick{"d.written = 0 AND d.sending = 0", "d.hot DESC, d.created_at, d.id"}
	pickUpdate = pick{"d.written > 0", "d.due_at, d.id"}
)

// take leases rows, leaving out the first skip in order. What is sent is named by the wanted state of this moment.
func (s *Service) take(ctx context.Context, connection string, p pick, skip, most int) ([]taken, error) {
	rows, err := s.o.DB.Jobs.Query(ctx, `
WITH chosen AS (
    SELECT d.id, d.sending > d.written AS uncertain FROM delivery d
    WHERE `+due+` AND `+p.which+` ORDER BY `+p.order+` OFFSET $2 LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE delivery d SET token = d.token + 1, node = $4, lease_until = clock_timestamp() + $5::interval, sending = d.wanted
FROM chosen c WHERE d.id = c.id
RETURNING d.id, d.lead_id, d.connection, d.kind, d.destination, d.token, d.sending, d.written, d.attempts, d.record_id, d.hot,
    d.created_at, c.uncertain`, connection, skip, most, s.o.Node, outbox.Lease)
	if err != nil {
		return nil, fmt.Errorf("take chat cards: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (taken, error) {
		var t taken
		err := row.Scan(&t.ID, &t.LeadID, &t.Connection, &t.Kind, &t.Destination, &t.Token, &t.Revision, &t.Written, &t.Attempts,
			&t.RecordID, &t.Hot, &t.createdAt, &t.uncertain)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("take chat cards: %w", err)
	}
	return s.withCards(ctx, all)
}

const cardsSQL = `
SELECT l.id, l.intent, l.product, l.source, l.country, l.timezone, l.accepted_at, clock_timestamp(), l.stage,
       coalesce(r.name, ''), l.crm_state = 'confirmed', l.demo,
       coalesce((SELECT d.url FROM delivery d WHERE d.lead_id = l.id AND d.destination = 'crm' AND d.url <> '' ORDER BY d.id LIMIT 1), '')
FROM lead l LEFT JOIN rep r ON r.id = l.rep_id
WHERE l.id = ANY($1)`

// withCards reads the leads after their rows were leased, so that a card is never older than the state it is recorded as.
func (s *Service) withCards(ctx context.Context, all []taken) ([]taken, error) {
	if len(all) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(all))
	for i, t := range all {
		ids[i] = t.LeadID
	}
	rows, err := s.o.DB.Jobs.Query(ctx, cardsSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("read leads for chat cards: %w", err)
	}
	cards := make(map[uuid.UUID]Card, len(all))
	var c Card
	_, err = pgx.ForEachRow(rows, []any{
		&c.LeadID, &c.Intent, &c.Product, &c.Source, &c.Country, &c.Timezone, &c.AcceptedAt, &c.At, &c.Stage, &c.Holder, &c.InCRM, &c.Demo, &c.CRMURL,
	}, func() error {
		c.Reference = lead.Reference(c.LeadID)
		cards[c.LeadID] = c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read leads for chat cards: %w", err)
	}
	found := all[:0]
	for _, t := range all {
		if card, ok := cards[t.LeadID]; ok {
			t.card = card
			found = append(found, t)
		}
	}
	return found, nil
}
