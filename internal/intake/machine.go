package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// What differs for machine clients, whose requests are signed:
//
//	same key, same answers    200, told that it is a replay
//	same key, other answers   422 key_reused; a browser would have corrected its lead
//	same key, other person    422 key_reused; a browser's key would have been passed over
//	other key, same person    200 with the first id, if this very client sent the first; else an alias that looks like a first
//	                          submission, as for everybody: a partner must not learn who wrote to us some other way
//	the key is in use now     409 after the lock's time-out
//
// Everything else is as for browsers, and so is the statement that commits.

// namespace is what the keys of a machine client begin with in the ledger. A browser's key has no @ or / in it (lead.StoredKey), and
// neither has a slug, so that no key of one sender is ever a key of another.
func namespace(machine string) string { return "@" + machine }

// acceptSigned makes a signed submission durable.
func (s *Service) acceptSigned(ctx context.Context, sub *lead.Submission) (Accepted, error) {
	if sub.ClientKey == "" {
		return Accepted{}, invalidKey()
	}
	sub.Contact.Context.Machine = sub.Arrival.Machine // how row four of the table knows its own
	sub.ClientKey = namespace(sub.Arrival.Machine) + "/" + sub.ClientKey
	if err := s.bind(ctx, sub); err != nil {
		return Accepted{}, signedFault(s.spooled(ctx, sub, err))
	}
	done, err := s.store(ctx, sub)
	if err != nil {
		return Accepted{}, signedFault(err)
	}
	if done.SubmissionID == done.LeadID {
		return done, nil
	}
	return s.original(ctx, sub.Arrival.Machine, done)
}

// bind lets a signed message stand for one submission to one form, for good. The signature covers neither the address nor the header
// with the key: whoever has seen a signed request could send it to another form, or under another key once the window has passed.
// Sending the same again is fine. It commits before the submission does; a message bound and never stored binds the same again. What
// is not signed has nothing to bind.
func (s *Service) bind(ctx context.Context, sub *lead.Submission) error {
	if sub.Arrival.Machine == "" {
		return nil
	}
	if s.outage.on() {
		return databaseAway(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	place, id := namespace(sub.Arrival.Machine), lead.StoredKey(sub.Arrival.Message)
	meant := sha256.Sum256([]byte(sub.Form + "\x00" + sub.ClientKey))
	err := postgres.InTx(ctx, s.DB.Console, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '250ms'; SET LOCAL statement_timeout = '1s'`); err != nil {
			return fmt.Errorf("bound the binding: %w", err)
		}
		tag, err := tx.Exec(ctx, `INSERT INTO client_key (form, key, submission, fingerprint, digest) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			place, id, [16]byte(sub.ID), sub.Fingerprint, meant[:])
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		var bound []byte
		if err := tx.QueryRow(ctx, `SELECT digest FROM client_key WHERE form = $1 AND key = $2`, place, id).Scan(&bound); err != nil {
			return err
		}
		if !bytes.Equal(bound, meant[:]) {
			return keyReused()
		}
		return nil
	})
	switch state := sqlState(err); {
	case err == nil, fault.Is(err, fault.Invalid):
		return err
	case errors.Is(err, pgx.ErrNoRows), state == "55P03", state == "57014", state == "40P01": // or erased in this very moment
		return busy(codeLocked, fmt.Errorf("bind message: %w", err))
	}
	return databaseAway(fmt.Errorf("bind message: %w", err)) // nothing that a client can send makes these statements fail
}

// original gives a submission that joined a lead the id of that lead, if the same client sent it first. What the lead says is in its
// row, so that it holds for every process and as long as the lead lives.
func (s *Service) original(ctx context.Context, machine string, done Accepted) (Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	first := Accepted{LeadID: done.LeadID, SubmissionID: done.LeadID, Duplicate: true, Replayed: done.Replayed}
	err := s.DB.Console.QueryRow(ctx, `
		SELECT l.correlation_id, l.accepted_at FROM lead l JOIN contact c ON c.lead_id = l.id
		WHERE l.id = $1 AND l.erased_at IS NULL AND c.context ->> 'machine' = $2`, [16]byte(done.LeadID), machine).
		Scan(&first.CorrelationID, &first.AcceptedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return done, nil
	case err != nil: // it is stored; the same key again finds it
		return Accepted{}, unknownOutcome(fmt.Errorf("find the first submission: %w", err))
	}
	return first, nil
}

// same tells whether a taken key stands for this submission: the same person with the same answers.
func (h holder) same(sub *lead.Submission) bool {
	return bytes.Equal(h.fingerprint, sub.Fingerprint) && bytes.Equal(h.digest, sub.Digest)
}

// signedFault words for machine clients what differs: that a key is in use elsewhere is a conflict. It is spooled like anything else that
// the database did not take; sending it again counts once.
func signedFault(err error) error {
	for cause := err; cause != nil; {
		var f *fault.Error
		if !errors.As(cause, &f) {
			break
		}
		if f.Code == codeLocked {
			again := *f
			again.Kind, again.Message = fault.Conflict, "The same key, or the same person, is being stored right now. Send it again in a moment."
			return &again
		}
		cause = f.Err
	}
	return err
}

// help is where the keys of machine clients are explained.
const help = "docs/machine-clients.md#keys"

// keyReused says that nothing was changed.
func keyReused() error {
	f := fault.New(fault.Invalid, "This key, or this message, was used for something else. Nothing was changed. Use a new key for each submission, and the same key to send it again.")
	f.Code, f.Extra = "key_reused", map[string]any{"help": help}
	return f
}

func invalidKey() error {
	f := fault.New(fault.Malformed, "The Idempotency-Key must have 1 to 255 printable ASCII characters.")
	f.Code, f.Extra = "invalid_key", map[string]any{"help": help}
	return f
}
