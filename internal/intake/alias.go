package intake

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
)

// refuseOther refuses for an alias what would be refused for a first submission: another address or number in place of the one that
// says who the person is. Without it, being allowed to would tell that somebody with this address had written to us before.
//
// What identifies the person is the same for both, or they would not be one lead. The rest of the lead is not looked at: whoever holds
// an alias may know nothing of it.
func (s *Service) refuseOther(ctx context.Context, tx pgx.Tx, t target, c change) error {
	held, err := t.answers(ctx, tx)
	if err != nil {
		return err
	}
	identity := lead.Answers{Email: held.Email}
	byPhone := held.Email == ""
	if !byPhone && held.Phone != "" { // perhaps the address came later, from the first one's owner
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM fingerprint WHERE fp = $1 AND lead_id = $2)`,
			lead.PersonFingerprint(s.Secret, c.sub.Form, "", held.Phone), [16]byte(t.lead)).Scan(&byPhone)
		if err != nil {
			return fmt.Errorf("ask what identifies the person: %w", err)
		}
	}
	if byPhone {
		identity = lead.Answers{Phone: held.Phone}
	}
	_, err = identity.Merge(c.sub.Answers(), c.resent)
	return err
}
