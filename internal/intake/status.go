package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
)

// What a visitor may see of a submission.
const (
	StateFinding  = "finding"  // somebody is being found
	StateWithRep  = "with_rep" // RepFirstName has it
	StateReceived = "received" // nobody in particular; it is safe with us
)

// Status is what the visitor may know.
type Status struct {
	State        string
	RepFirstName string // only with StateWithRep
	Reference    string
	AcceptedAt   time.Time
}

// aliasSettles is how long a submission that joined a lead keeps looking like a first one.
const aliasSettles = time.Minute

// Status tells what became of a submission of a form, NotFound when there is none. For a submission that joined a lead it shows
// only what happened after it arrived, so that nobody learns from an e-mail address that its owner wrote to us before.
func (s *Service) Status(ctx context.Context, form string, submission uuid.UUID) (Status, error) {
	var (
		stage        lead.Stage
		disposition  string
		rep          string
		alias, fresh bool
		settled      bool
		known        bool // it went to whoever has another lead of the same person or company
		out          = Status{State: StateFinding, Reference: lead.Reference(submission)}
	)
	err := s.DB.Console.QueryRow(ctx, `
		SELECT l.stage, l.disposition, coalesce(r.name, ''), t.id IS NOT NULL, coalesce(l.claimed_at > coalesce(t.at, l.accepted_at), false),
			clock_timestamp() - coalesce(t.at, l.accepted_at) > $3 * interval '1 second', coalesce(t.at, l.accepted_at),
			EXISTS (SELECT FROM decision d, jsonb_array_elements(d.trace->'stages') s WHERE d.lead_id = l.id AND d.trace->>'band' = 'owner'
				AND s->>'stage' = 'owner' AND s->>'by' <> 'account')
		FROM (SELECT $1::uuid AS id) s LEFT JOIN touch t ON t.id = s.id JOIN lead l ON l.id = coalesce(t.lead_id, s.id)
		LEFT JOIN rep r ON r.id = l.rep_id WHERE l.form = $2 AND l.erased_at IS NULL`, [16]byte(submission), form, aliasSettles.Seconds()).
		Scan(&stage, &disposition, &rep, &alias, &fresh, &settled, &out.AcceptedAt, &known)
	if errors.Is(err, pgx.ErrNoRows) {
		return Status{}, gone()
	}
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	// What waits for review, or follows what the same person or company has sent before, looks, after the same minute, like what somebody's
	// colleague has sent before: safe, and nothing to be seen of.
	if alias && !fresh || stage == lead.StageHeld || disposition == lead.DispositionSpam || disposition == lead.DispositionJoined || known {
		if settled {
			out.State = StateReceived
		}
		return out, nil
	}
	switch stage {
	case lead.StageNew, lead.StageOffered, lead.StageWaiting:
	case lead.StageClaimed, lead.StageContacted, lead.StageBooked:
		out.State = StateWithRep
		out.RepFirstName, _, _ = strings.Cut(strings.TrimSpace(rep), " ")
	default:
		out.State = StateReceived
	}
	return out, nil
}
