package live

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

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
