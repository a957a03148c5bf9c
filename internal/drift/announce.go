package drift

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
)

// An owner may get this many mails about one form on one day as things turn up; after that they are gathered for gatherFor. Somebody
// who makes up a new field every minute fills no mailbox.
const (
	mailsAtOnce = 30
	gatherFor   = time.Hour
)

// due is an owner who has not heard today of some groups of a form.
type due struct {
	form, owner string
	day         time.Time
	groups      []int64
	demo        bool
}

const dueSQL = `
WITH today AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day),
	o AS (SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[]) AS o(form, owner, demo))
SELECT o.form, o.owner, t.day, array_agg(g.id ORDER BY g.id), o.demo
FROM today t JOIN drift_day d ON d.day = t.day JOIN drift_group g ON g.id = d.group_id AND g.resolved_at IS NULL JOIN o ON o.form = g.form
WHERE NOT EXISTS (SELECT FROM drift_notice n WHERE n.group_id = g.id AND n.day = t.day AND n.owner = o.owner)
	AND ((SELECT count(*) FROM drift_mail m WHERE m.form = o.form AND m.owner = o.owner AND m.created_at >= t.day::timestamp AT TIME ZONE 'UTC') < $4
		OR NOT EXISTS (SELECT FROM drift_mail m WHERE m.form = o.form AND m.owner = o.owner AND m.created_at > clock_timestamp() - $5 * interval '1 second'))
GROUP BY o.form, o.owner, t.day, o.demo ORDER BY o.form, o.owner`

// Announce makes one mail for each form and owner with something new today, and starts its job in the same transaction. Without a mail
// server the mail is noted as not sent. Run calls it; processes that do it at the same moment share the work.
func (s *Service) Announce(ctx context.Context) error {
	forms, owners, demo := s.owners()
	rows, err := s.o.DB.Jobs.Query(ctx, dueSQL, forms, owners, demo, mailsAtOnce, gatherFor.Seconds())
	if err != nil {
		return fmt.Errorf("ask which owners are to be told of drift: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (due, error) {
		var d due
		return d, row.Scan(&d.form, &d.owner, &d.day, &d.groups, &d.demo)
	})
	if err != nil {
		return fmt.Errorf("ask which owners are to be told of drift: %w", err)
	}
	for _, d := range all {
		if err := s.tell(ctx, d); err != nil {
			return fmt.Errorf("tell an owner of form %s of drift: %w", d.form, err)
		}
	}
	return nil
}

// owners are the forms of the live configuration with who looks after each, as columns.
func (s *Service) owners() (forms, owners []string, demo []bool) {
	forms, owners, demo = []string{}, []string{}, []bool{}
	for slug, form := range s.o.Forms() {
		named := slices.Clone(form.Owners)
		slices.Sort(named)
		for _, owner := range slices.Compact(named) {
			forms, owners, demo = append(forms, slug), append(owners, owner), append(demo, form.Demo)
		}
	}
	return forms, owners, demo
}

// errTold ends the transaction of a mail about which another process was faster.
var errTold = fmt.Errorf("somebody else tells this owner")

func (s *Service) tell(ctx context.Context, d due) error {
	err := postgres.InTx(ctx, s.o.DB.Jobs, func(tx pgx.Tx) error {
		state := "not_sent"
		if s.o.Mail.Configured() {
			state = "waiting"
		}
		unique, err := uuid.NewV7()
		if err != nil {
			return err
		}
		var id int64
		err = tx.QueryRow(ctx, `INSERT INTO drift_mail (form, owner, message_id, state, demo) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			d.form, d.owner, s.o.Mail.NewID("drift."+unique.String()), state, d.demo).Scan(&id)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO drift_notice (group_id, day, owner, mail_id)
			SELECT g.id, $2::date, $3, $4 FROM drift_group g WHERE g.id = ANY($1) ORDER BY g.id ON CONFLICT DO NOTHING`, d.groups, d.day, d.owner, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errTold
		}
		if state == "waiting" {
			return s.o.Enqueue(ctx, tx, id)
		}
		return nil
	})
	if err == errTold { //nolint:errorlint // made above, never wrapped
		return nil
	}
	return err
}
