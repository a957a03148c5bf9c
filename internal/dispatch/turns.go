package dispatch

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"leadline/internal/credit"
	"leadline/internal/routing"
)

// settleTurn gives the holder a turn back for a lead that was none, as their pool wants it. An outcome of before is undone by another.
func (s *Service) settleTurn(ctx context.Context, tx pgx.Tx, h held, r OutcomeRequest) error {
	bad := r.Disposition == "wrong_number" || r.Disposition == "disqualified" && slices.Contains(credit.BadReasons, r.Reason)
	return credit.Settle(ctx, tx, r.LeadID, *h.holder, bad, func(pool string) (key string, amount float64) {
		p := s.Snapshot().pool(pool)
		if p == nil || p.Strategy != routing.Weighted {
			return "", 0
		}
		return p.TurnsKey(), p.BadLead
	})
}
