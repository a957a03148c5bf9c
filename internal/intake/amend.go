package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// Amend adds a visitor's further answers to what a submission sent; the receipt has proved that it is theirs. The answers change the
// lead that the submission made. For a submission that joined somebody's lead (an alias) they are kept beside it: knowing an
// address is not enough to change what its owner sent. Repeating an Amend changes nothing more.
func (s *Service) Amend(ctx context.Context, form *lead.Form, submission uuid.UUID, raw lead.Raw) error {
	sub, err := lead.NormaliseAnswers(form, raw)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	return s.amend(ctx, change{submission: submission, sub: &sub})
}

// correct applies a resend of the same key by the same person with other answers, and answers like a replay.
func (s *Service) correct(ctx context.Context, sub *lead.Submission, first Accepted) (Accepted, error) {
	err := s.amend(ctx, change{submission: first.SubmissionID, sub: sub, resent: true})
	if fault.Is(err, fault.NotFound) {
		return s.store(ctx, sub) // erased in this very moment: what was sent is a new enquiry
	}
	if err != nil {
		return Accepted{}, err
	}
	return first, nil
}

// change is a set of newer answers to one submission. resent: the whole form again, under the same client key. spooled: it was sent
// while the database was away, so that newer ones may have come before it.
type change struct {
	submission uuid.UUID
	sub        *lead.Submission
	resent     bool
	spooled    bool
}

// amend applies a change. A caller who has no more time leaves, and the change goes on without them: cutting it short would throw its
// work and its connection away, and their next try would begin anew on a new one. That try then finds that it is done.
func (s *Service) amend(ctx context.Context, c change) error {
	select {
	case s.amending <- struct{}{}:
	case <-ctx.Done():
		return busy(codeLocked, ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.amending }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), amendLimit)
		defer cancel()
		done <- s.amendNow(ctx, c)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return unknownOutcome(ctx.Err())
	}
}

// amendNow runs one change in a transaction. Locks: key, lead, contact, then whatever Amended takes, last the event counter.
func (s *Service) amendNow(ctx context.Context, c change) error {
	var (
		committed func()
		wrote     bool
		id        = s.NewID()
	)
	if c.spooled {
		id = c.sub.ID // made when it was sent: amendments of one lead are in the order of their ids
	}
	payload, err := s.sealed(ctx, id, c.sub, c.submission)
	if err != nil {
		return err
	}
	// Not where consoles read: a correction is part of what was sent.
	err = postgres.InTxThen(ctx, s.DB.Path, func(tx pgx.Tx) (*pgx.Batch, error) {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '250ms'; SET LOCAL statement_timeout = '1s'`); err != nil {
			return nil, fmt.Errorf("bound amendment: %w", err)
		}
		if c.spooled {
			if late, err := overtaken(ctx, tx, c); err != nil || late {
				return nil, err
			}
		}
		if c.resent {
			if due, err := takeDigest(ctx, tx, c.sub); err != nil || !due {
				return nil, err
			}
		}
		target, err := findTarget(ctx, tx, c.sub.Form, c.submission)
		if err != nil {
			return nil, err
		}
		if target.alias {
			if err := s.refuseOther(ctx, tx, target, c); err != nil {
				return nil, err
			}
		} else {
			changed, err := target.apply(ctx, tx, c)
			if err != nil || !changed {
				return nil, err
			}
			if s.Amended != nil {
				if committed, err = s.Amended(ctx, tx, target.lead); err != nil {
					return nil, fmt.Errorf("announce amendment: %w", err)
				}
			}
		}
		wrote = true
		last := &pgx.Batch{}
		keep(last, id, payload)
		target.record(last, id, c)
		failpoint.At(failpoint.Amending)
		return last, nil
	})
	if err != nil {
		return amendFault(err)
	}
	failpoint.At(failpoint.Amended)
	if committed != nil {
		committed()
	}
	if wrote {
		s.EventsWritten()
	}
	return nil
}

// amendFault gives waits that were cut short their meaning.
func amendFault(err error) error {
	if state := sqlState(err); state == "55P03" || state == "57014" || state == "40P01" {
		return busy(codeLocked, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return unknownOutcome(err)
	}
	if postgres.Away(err) {
		return databaseAway(err)
	}
	return err
}

// takeDigest makes the resent answers the ones the key stands for; false when a concurrent resend did so already.
func takeDigest(ctx context.Context, tx pgx.Tx, sub *lead.Submission) (bool, error) {
	tag, err := tx.Exec(ctx, `UPDATE client_key SET digest = $3 WHERE form = $1 AND key = $2 AND digest <> $3`,
		sub.Form, ledgerKey(sub), sub.Digest)
	if err != nil {
		return false, fmt.Errorf("take digest: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return true, nil
	}
	var known bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM client_key WHERE form = $1 AND key = $2)`, sub.Form, ledgerKey(sub)).Scan(&known)
	if err == nil && !known {
		err = gone()
	}
	if err != nil {
		return false, fmt.Errorf("take digest: %w", err)
	}
	return false, nil
}

// overtaken tells whether a correction that was spooled is older than what it would correct, or than another correction of it that
// came by the straight way. Ids are made when submissions arrive, so their order is that of what the visitor sent.
func overtaken(ctx context.Context, tx pgx.Tx, c change) (bool, error) {
	if bytes.Compare(c.submission[:], c.sub.ID[:]) > 0 {
		return true, nil
	}
	target, err := findTarget(ctx, tx, c.sub.Form, c.submission)
	if err != nil {
		return false, err
	}
	var newer bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM touch WHERE lead_id = $1 AND kind = 'amend' AND id >= $2)`,
		[16]byte(target.lead), [16]byte(c.sub.ID)).Scan(&newer)
	if err != nil {
		return false, fmt.Errorf("look for newer corrections: %w", err)
	}
	return newer, nil
}

// gone says that a submission is not here, or no longer.
func gone() error { return fault.New(fault.NotFound, "We do not have this request any more.") }

// target is the lead that a submission reaches, locked.
type target struct {
	lead    uuid.UUID
	alias   bool // the submission joined this lead, it did not make it
	pool    string
	rep     *[16]byte
	attempt int
}

func findTarget(ctx context.Context, tx pgx.Tx, form string, submission uuid.UUID) (target, error) {
	var (
		t  target
		id [16]byte
	)
	err := tx.QueryRow(ctx, `
		SELECT l.id, l.id <> $1, l.pool, l.rep_id, l.attempt FROM lead l
		WHERE l.id = coalesce((SELECT lead_id FROM touch WHERE id = $1), $1) AND l.form = $2 AND l.erased_at IS NULL FOR UPDATE`,
		[16]byte(submission), form).Scan(&id, &t.alias, &t.pool, &t.rep, &t.attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return target{}, gone()
	}
	if err != nil {
		return target{}, fmt.Errorf("find lead of submission: %w", err)
	}
	t.lead = id
	return t, nil
}

// apply merges newer answers into the lead and its contact; false when they say nothing new.
func (t target) apply(ctx context.Context, tx pgx.Tx, c change) (changed bool, err error) {
	held, err := t.answers(ctx, tx)
	if err != nil {
		return false, err
	}
	merged, err := held.Merge(c.sub.Answers(), c.resent)
	if err != nil || merged.Equal(held) {
		return false, err
	}
	fields, err := document(merged.Fields)
	if err != nil {
		return false, err
	}
	consent, err := document(merged.Consent)
	if err != nil {
		return false, err
	}
	domain := merged.Email[strings.LastIndexByte(merged.Email, '@')+1:]
	class := ""
	if domain != "" {
		class = lead.DomainClass(domain)
	}
	_, err = tx.Exec(ctx, `
		WITH c AS (
			UPDATE contact SET name = $2, email = $3, phone = $4, company = $5, notes = $6, fields = $7::text::jsonb, consent = $8::text::jsonb
			WHERE lead_id = $1
		)
		UPDATE lead SET country = $9, region = $10, postal_code = $11, product = $12, email_domain = $13, domain_class = $14,
			revision = revision + 1 WHERE id = $1`,
		[16]byte(t.lead), merged.Name, merged.Email, merged.Phone, merged.Company, merged.Notes, fields, consent,
		merged.Country, merged.Region, merged.PostalCode, merged.Product, domain, class)
	if err != nil {
		return false, fmt.Errorf("amend lead: %w", err)
	}
	return true, nil
}

// answers reads what the lead says now, and locks its contact.
func (t target) answers(ctx context.Context, tx pgx.Tx) (lead.Answers, error) {
	var (
		a               lead.Answers
		fields, consent []byte
	)
	err := tx.QueryRow(ctx, `
		SELECT c.name, c.email, c.phone, c.company, c.notes, c.fields::text, c.consent::text, l.country, l.region, l.postal_code, l.product
		FROM contact c JOIN lead l ON l.id = c.lead_id WHERE c.lead_id = $1 FOR UPDATE OF c`, [16]byte(t.lead)).
		Scan(&a.Name, &a.Email, &a.Phone, &a.Company, &a.Notes, &fields, &consent, &a.Country, &a.Region, &a.PostalCode, &a.Product)
	if err != nil {
		return a, fmt.Errorf("read answers: %w", err)
	}
	if err := errors.Join(json.Unmarshal(fields, &a.Fields), json.Unmarshal(consent, &a.Consent)); err != nil {
		return a, fmt.Errorf("read answers: %w", err)
	}
	return a, nil
}

// record notes that there was a change and tells the stream, as the last statement of its transaction. What was sent is in the payload
// of the same id.
func (t target) record(last *pgx.Batch, id uuid.UUID, c change) {
	last.Queue(`INSERT INTO touch (id, lead_id, kind, correlation_id, payload) VALUES ($1, $2, 'amend', $3, '{}')`,
		[16]byte(id), [16]byte(t.lead), c.sub.CorrelationID)
	last.Queue(`SELECT append_events(ARRAY[$1::uuid], ARRAY['amended'], ARRAY[$2::text], ARRAY[$3::uuid], ARRAY[$4::int],
		ARRAY[jsonb_build_object('touch', $5::uuid)])`, [16]byte(t.lead), t.pool, t.rep, t.attempt, [16]byte(id))
}
