package live

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
)

// Read gives a lead's card as the tables hold it now, on the board or not. NotFound when there is no such lead.
func (h *Hub) Read(ctx context.Context, id uuid.UUID) (*Card, error) {
	cards, err := h.cards(ctx, h.db.Console, h.board.Seq(), func(*Card) bool { return true }, `SELECT `+cardColumns+` WHERE l.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if c := cards[id]; c != nil {
		return c, nil
	}
	return nil, notHere()
}

func notHere() error {
	return fault.New(fault.NotFound, "This lead is not here. It may have been removed.")
}

// Find gives the id behind what people read to each other, such as 7F3K-92QD. It looks through all leads: fine for a person who
// typed a reference, too slow for a program.
func (h *Hub) Find(ctx context.Context, reference string) (uuid.UUID, error) {
	bits, ok := referenceBits(reference)
	if !ok {
		return uuid.Nil, notHere()
	}
	rows, err := h.db.Console.Query(ctx, `SELECT id FROM lead WHERE right(id::text, 10) = $1 ORDER BY id DESC LIMIT 1`, bits)
	if err != nil {
		return uuid.Nil, fmt.Errorf("find a lead by its reference: %w", err)
	}
	defer rows.Close()
	id := uuid.Nil
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return uuid.Nil, fmt.Errorf("find a lead by its reference: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return uuid.Nil, fmt.Errorf("find a lead by its reference: %w", err)
	}
	if id == uuid.Nil {
		return uuid.Nil, notHere()
	}
	return id, nil
}

// referenceBits undoes lead.Reference: eight base-32 digits to the last ten hexadecimal digits of the id.
func referenceBits(reference string) (string, bool) {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	text := strings.ReplaceAll(strings.ToUpper(reference), "-", "")
	if len(text) != 8 {
		return "", false
	}
	var bits uint64
	for _, r := range text {
		at := strings.IndexRune(digits, r)
		if at < 0 {
			return "", false
		}
		bits = bits<<5 | uint64(at)
	}
	return hex.EncodeToString([]byte{byte(bits >> 32), byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}), true
}

// Delivery is how far one connection is with a lead.
type Delivery struct {
	Connection, Kind, Destination, State string
	Attempts                             int
	RecordID, URL, LastError             string // LastError is masked, in words
	ConfirmedAt, DueAt                   *time.Time
}

// Deliveries gives what every connection knows of a lead, CRMs first.
func (h *Hub) Deliveries(ctx context.Context, id uuid.UUID) ([]Delivery, error) {
	rows, err := h.db.Console.Query(ctx, `SELECT connection, kind, destination, state, attempts, record_id, url, last_error, confirmed_at,
		CASE WHEN wanted > written AND state NOT IN ('quarantined', 'erased') THEN due_at END
		FROM delivery WHERE lead_id = $1 ORDER BY destination DESC, id`, id)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	var out []Delivery
	for rows.Next() {
		var d Delivery
		if err := rows.Scan(&d.Connection, &d.Kind, &d.Destination, &d.State, &d.Attempts, &d.RecordID, &d.URL, &d.LastError,
			&d.ConfirmedAt, &d.DueAt); err != nil {
			return nil, fmt.Errorf("read a delivery: %w", err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}
