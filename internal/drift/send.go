package drift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/mail"
)

// waits are the times between tries of a mail that may be taken later; the last one repeats until giveUpAfter.
var waits = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

// giveUpAfter is how long a mail is worth sending: the day after, there is another if the matter is still there.
const giveUpAfter = 24 * time.Hour

// waitingMail is a mail that is to be sent.
type waitingMail struct {
	id               int64
	form, owner      string
	messageID, state string
	tries            int
	age              time.Duration
	groups           []Group
}

// Send sends a mail that waits. It answers how long to wait before the next try, or 0 when nothing is left to do: sent, refused for
// good, or given up. An error is trouble with our own database. Repeatable: a mail that was sent is not sent again.
func (s *Service) Send(ctx context.Context, mailID int64) (time.Duration, error) {
	m, err := s.waiting(ctx, mailID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && m.state != "waiting" {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read mail %d about drift: %w", mailID, err)
	}
	err = s.o.Mail.Send(ctx, mail.Message{ID: m.messageID, To: m.owner, Subject: subject(m.form, m.groups), Text: letter(s.o.PublicURL, s.o.Forms()[m.form], m)})
	state, code, later := "sent", "", time.Duration(0)
	var failed *mail.Error
	switch {
	case err == nil:
	case !errors.As(err, &failed):
		return 0, fmt.Errorf("send mail %d about drift: %w", mailID, err)
	case failed.Class == mail.Never:
		state, code = "refused", failed.Code
	case m.age >= giveUpAfter:
		state, code = "gave_up", failed.Code
	default:
		state, code, later = "waiting", failed.Code, waits[min(m.tries, len(waits)-1)]
	}
	// What the server has said is noted even while the process stops.
	_, err = s.o.DB.Jobs.Exec(context.WithoutCancel(ctx), `UPDATE drift_mail SET state = $2, code = $3, tries = tries + 1,
		ended_at = CASE WHEN $2 = 'waiting' THEN NULL ELSE clock_timestamp() END WHERE id = $1`, mailID, state, code)
	if err != nil {
		return 0, fmt.Errorf("note what became of mail %d about drift: %w", mailID, err)
	}
	if state != "sent" {
		s.o.Log.Warn("a mail about drift was not taken", "form", m.form, "state", state, "code", code)
	}
	return later, nil
}

func (s *Service) waiting(ctx context.Context, id int64) (waitingMail, error) {
	m := waitingMail{id: id}
	var age float64
	err := s.o.DB.Jobs.QueryRow(ctx, `SELECT form, owner, message_id, state, tries, extract(epoch FROM clock_timestamp() - created_at)::float8 FROM drift_mail WHERE id = $1`, id).
		Scan(&m.form, &m.owner, &m.messageID, &m.state, &m.tries, &age)
	if err != nil {
		return m, err
	}
	m.age = time.Duration(age * float64(time.Second))
	m.groups, err = groups(ctx, s.o.DB.Jobs, `WHERE g.id IN (SELECT group_id FROM drift_notice WHERE mail_id = $1)`, id)
	return m, err
}
