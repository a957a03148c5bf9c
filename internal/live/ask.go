package live

import (
	"context"

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
