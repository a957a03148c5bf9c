package dispatch

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"leadline/internal/credit"
	"leadline/internal/routing"
)

// settleTurn gives the holder a turn back for a lead that was none, or came to nothing, as their pool wants it. An outcome of before is undone by another.
func (s *Service) settleTurn(ctx context.Context, tx pgx.Tx, h held, r OutcomeRequest) error {
	due := dueFor(r)
	return credit.Settle(ctx, tx, r.LeadID, *h.holder, due, func(pool string) (key string, amount float64) {
		p := s.Snapshot().pool(pool)
		if p == nil || p.Strategy != routing.Weighted {
			return "", 0
		}
		switch due {
		case credit.NoShow:
			return p.TurnsKey(), p.NoShow
		case credit.Cancelled:
			return p.TurnsKey(), p.Cancelled
		}
		return p.TurnsKey(), p.BadLead
	})
}

// dueFor is the kind of credit that follows from an outcome; empty: none does.
func dueFor(r OutcomeRequest) credit.Kind {
	switch {
	case r.Disposition == "no_show":
		return credit.NoShow
	case r.Disposition == "cancelled":
		return credit.Cancelled
	case r.Disposition == "wrong_number" || r.Disposition == "disqualified" && slices.Contains(credit.BadReasons, r.Reason):
		return credit.BadLead
	}
	return ""
}
