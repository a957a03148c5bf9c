package lead

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/privacy"
)

// RevealFor is how long a reveal shows contact details.
const RevealFor = 5 * time.Minute

// How long a reason may be, in characters.
const (
	reasonLeast = 3
	reasonMost  = 300
)

// Look is one time that somebody saw contact details of a lead that was not theirs.
type Look struct {
	Seq    int64 // in the audit chain
	At     time.Time
	By     string       // name of the person or program; empty when it is gone
	Token  bool         // a program
	Reason privacy.Text // in the person's own words; programs give none
	Erased bool         // the reason was erased with the person it was about
}

// Reveal lets an account see the contact details of a lead in scope for RevealFor, and gives the lead's id. The line of the audit
// chain with the reason, the permission and the event that tells the rep concerned are one transaction: without the record nothing
// is shown. Invalid for a reason that is none, Conflict when the person was erased, NotFound.
func (s *Store) Reveal(ctx context.Context, scope Scope, id, account uuid.UUID, reason string) (uuid.UUID, error) {
	reason, err := tidyReason(reason)
	if err != nil {
		return uuid.Nil, err
	}
	if id, err = s.Resolve(ctx, scope, id); err != nil {
		return uuid.Nil, err
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := s.stillThere(tx, id); err != nil {
			return err
		}
		seq, err := audit.Append(ctx, tx, audit.Entry{
			ActorKind: audit.Person, Actor: &account, CorrelationID: audit.ActorOf(ctx).CorrelationID,
			Action: audit.ContactRevealed, ObjectKind: "lead", Object: id.String(), Note: reason,
		})
		if err != nil {
			return err
		}
		if err := open(tx, id, account, seq); err != nil {
			return err
		}
		err = tx.Exec(`SELECT append_events(ARRAY[l.id], ARRAY['revealed'], ARRAY[l.pool], ARRAY[NULL::uuid], ARRAY[l.attempt],
			ARRAY[jsonb_build_object('account', ?::text, 'audit_seq', ?::bigint)]) FROM lead l WHERE l.id = ?`, account.String(), seq, id).Error
		if err != nil {
			return fmt.Errorf("tell of a reveal: %w", err)
		}
		return nil
	})
	return id, err
}

// RevealTo records that a program reads the contact details of a lead in scope, at most once in RevealFor, and lets it. Without the
// record it may not. A person who was erased has nothing to read, which is no error here.
func (s *Store) RevealTo(ctx context.Context, scope Scope, id, token uuid.UUID) error {
	id, err := s.Resolve(ctx, scope, id)
	if err != nil {
		return err
	}
	if is, err := revealed(s.db.WithContext(ctx), id, token, revealSpare); err != nil || is {
		return err
	}
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// Two calls of one program at the same moment are one reading.
		if err := tx.Exec(`SELECT pg_advisory_xact_lock(hashtextextended(?, 0))`, "reveal "+token.String()+" "+id.String()).Error; err != nil {
			return fmt.Errorf("wait for another reading: %w", err)
		}
		if is, err := revealed(tx, id, token, revealSpare); err != nil || is {
			return err
		}
		err := s.stillThere(tx, id)
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		if err != nil {
			return err
		}
		seq, err := audit.Append(ctx, tx, audit.Entry{
			ActorKind: audit.Token, Actor: &token, CorrelationID: audit.ActorOf(ctx).CorrelationID,
			Action: audit.ContactRevealed, ObjectKind: "lead", Object: id.String(),
		})
		if err != nil {
			return err
		}
		return open(tx, id, token, seq)
	})
}

// stillThere keeps the lead from being erased until the transaction ends, and refuses when it was.
func (s *Store) stillThere(tx *gorm.DB, id uuid.UUID) error {
	var row struct{ Erased bool }
	err := tx.Raw(`SELECT erased_at IS NOT NULL AS erased FROM lead WHERE id = ? FOR SHARE`, id).Take(&row).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return notHere()
	case err != nil:
		return fmt.Errorf("hold a lead: %w", err)
	case row.Erased:
		return &fault.Error{Kind: fault.Conflict, Code: "erased", Message: "The contact details of this person were erased for good."}
	}
	return nil
}

func open(tx *gorm.DB, id, looker uuid.UUID, seq int64) error {
	err := tx.Exec(`INSERT INTO reveal (id, lead_id, account_id, audit_seq, until) VALUES (?, ?, ?, ?, clock_timestamp() + ? * interval '1 second')`,
		uuid.Must(uuid.NewV7()), id, looker, seq, RevealFor.Seconds()).Error
	if err != nil {
		return fmt.Errorf("allow a reveal: %w", err)
	}
	return nil
}

// revealSpare is what must be left of a reveal for a program to go on with it: it must not run out between this question and the reading.
const revealSpare = 10 * time.Second

func revealed(db *gorm.DB, id, looker uuid.UUID, spare time.Duration) (bool, error) {
	var row struct{ Revealed bool }
	err := db.Raw(`SELECT EXISTS (SELECT FROM reveal WHERE lead_id = ? AND account_id = ? AND until > clock_timestamp() + ? * interval '1 second') AS revealed`, id, looker, spare.Seconds()).Take(&row).Error
	if err != nil {
		return false, fmt.Errorf("look for a reveal: %w", err)
	}
	return row.Revealed, nil
}

// Looks gives who saw the contact details of a lead in scope that was not theirs, oldest first, from the audit chain. Aliases are
// resolved.
func (s *Store) Looks(ctx context.Context, scope Scope, id uuid.UUID) ([]Look, error) {
	id, err := s.Resolve(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Seq           int64
		At            time.Time
		By, Reason    string
		Token, Erased bool
	}
	err = s.db.WithContext(ctx).Raw(`
		SELECT a.seq, a.at, coalesce(nullif(p.name, ''), p.email, t.name, '') AS by, a.actor_kind = 'token' AS token,
			coalesce(a.note, '') AS reason, a.note IS NULL AS erased
		FROM audit a
		LEFT JOIN account p ON a.actor_kind = 'person' AND p.id = a.actor
		LEFT JOIN api_token t ON a.actor_kind = 'token' AND t.id = a.actor
		WHERE a.object_kind = 'lead' AND a.object = ? AND a.action = ? ORDER BY a.seq`, id.String(), string(audit.ContactRevealed)).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read who looked: %w", err)
	}
	looks := make([]Look, len(rows))
	for i, r := range rows {
		looks[i] = Look{Seq: r.Seq, At: r.At, By: r.By, Token: r.Token, Reason: privacy.Text(r.Reason), Erased: r.Erased}
	}
	return looks, nil
}

// tidyReason asks for words: enough to mean something to the rep who reads them.
func tidyReason(reason string) (string, error) {
	reason = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(reason, ""), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }), " ")
	if n := utf8.RuneCountInString(reason); n < reasonLeast || n > reasonMost {
		return "", &fault.Error{
			Kind: fault.Invalid, Code: "reason", Message: fmt.Sprintf("Say why in %d to %d characters. The rep concerned will read it.", reasonLeast, reasonMost),
			Fields: []fault.Field{{Field: "reason", Code: "length", Message: "Say why."}},
		}
	}
	return reason, nil
}
