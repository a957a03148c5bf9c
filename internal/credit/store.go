// Package credit changes whose turn it is by hand or because of what became of a lead, and keeps the ledger of it.
//
// Turns themselves are allocated in dispatch and stand in pool_state. Everything else that moves a credit goes through here: it is added
// to the pool's row and written down as a row of its own, so that a credit can be told apart into turns and reasons at any time.
// dispatch calls Settle when an outcome is recorded; handlers call Adjust and Entries.
package credit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// Kind says what an entry is for. Kinds are permanent.
type Kind string

// The kinds.
const (
	BadLead    Kind = "bad_lead"    // the lead was spam, a duplicate or a wrong contact, or turned out not to be after all
	Declined   Kind = "declined"    // the rep passed it for a reason that is not theirs
	NoShow     Kind = "no_show"     // the lead did not come to what it had booked, or did after all
	Cancelled  Kind = "cancelled"   // the lead called off what it had booked, or did not after all
	Taken      Kind = "taken"       // somebody took the lead from the rep, with a reason
	HandedOver Kind = "handed_over" // the rep gave the lead to others by choice, with a reason: the turn is spent
	Manual     Kind = "manual"      // a manager's adjustment, with a reason
)

// Bound is how far from the mean of a pool's members a credit can be, in turns. The allocator of package routing keeps the same.
const Bound = 3

// maxReason bounds a manager's words.
const maxReason = 200

// Entry is one row of the ledger.
type Entry struct {
	ID     uuid.UUID
	Pool   string // a pool's slug, or group:NAME
	Rep    string // e-mail address; only when read
	RepID  uuid.UUID
	LeadID *uuid.UUID
	Kind   Kind
	Amount float64 // turns, as they were added: what would have gone beyond Bound is not in it
	Reason string
	At     time.Time // only when read
}

// Queue queues the rows of entries whose credits are changed in the same transaction.
func Queue(send *pgx.Batch, entries []Entry) {
	for _, e := range entries {
		send.Queue(`INSERT INTO credit_entry (id, pool, rep_id, lead_id, kind, amount, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			uuid.Must(uuid.NewV7()), e.Pool, e.RepID, e.LeadID, string(e.Kind), e.Amount, e.Reason)
	}
}

// errNoTurns tells somebody who had no turn in a pool yet: they begin at the mean, so that there is nothing to add to.
var errNoTurns = errors.New("no turns in this pool yet")

// post adds to a credit and writes the row, in the caller's transaction. It locks the pool's row: call it after leads and before reps and
// deliveries are locked.
func post(ctx context.Context, tx pgx.Tx, e Entry) (Entry, error) {
	var members []uuid.UUID
	var credits []float64
	err := tx.QueryRow(ctx, `SELECT members, credits FROM pool_state WHERE pool = $1 FOR UPDATE`, e.Pool).Scan(&members, &credits)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, errNoTurns
	}
	if err != nil {
		return e, fmt.Errorf("lock the turns of pool %s: %w", e.Pool, err)
	}
	at := slices.Index(members, e.RepID)
	if at < 0 || at >= len(credits) || math.IsNaN(credits[at]) {
		return e, errNoTurns
	}
	mean := meanOf(credits)
	was := credits[at]
	is := min(max(was+e.Amount, mean-Bound), mean+Bound)
	if e.Amount > 0 {
		is = max(is, was) // whoever is beyond the bound already is not pulled back by a gift
	} else {
		is = min(is, was)
	}
	e.ID, e.Amount = uuid.Must(uuid.NewV7()), is-was
	if _, err := tx.Exec(ctx, `UPDATE pool_state SET credits[$2] = $3 WHERE pool = $1`, e.Pool, at+1, is); err != nil {
		return e, fmt.Errorf("change a credit in pool %s: %w", e.Pool, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO credit_entry (id, pool, rep_id, lead_id, kind, amount, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.ID, e.Pool, e.RepID, e.LeadID, string(e.Kind), e.Amount, e.Reason)
	if err != nil {
		return e, fmt.Errorf("write a credit of pool %s down: %w", e.Pool, err)
	}
	return e, nil
}

func meanOf(credits []float64) float64 {
	sum, n := 0.0, 0
	for _, c := range credits {
		if !math.IsNaN(c) {
			sum, n = sum+c, n+1
		}
	}
	return sum / float64(max(n, 1))
}

// BadReasons are the reasons for which a disqualified lead gives its turn back.
var BadReasons = []string{"spam", "duplicate", "wrong_contact", "wrong_number"}

// Settle gives back what a lead with an outcome of kind due has cost, and takes again what another outcome had given back, so that the
// ledger says of each lead what its outcome says. due is BadLead, NoShow or Cancelled, or empty: the outcome gives nothing back. amount is
// what the pool of a turn gives back for it, and its key in pool_state; an empty key: the lead's pool keeps no turns. Only a lead that
// came by a turn has cost one. The caller holds the lead's lock.
func Settle(ctx context.Context, tx pgx.Tx, leadID, repID uuid.UUID, due Kind, terms func(pool string) (key string, amount float64)) error {
	given, err := outcomes(ctx, tx, leadID, repID)
	if err != nil {
		return err
	}
	there := map[string]bool{} // pools in which what is due was given
	for _, e := range given {
		if e.Kind == due {
			there[e.Pool] = true
			continue
		}
		e.Amount = -e.Amount
		if _, err := post(ctx, tx, e); err != nil && !errors.Is(err, errNoTurns) {
			return err
		}
	}
	if due == "" {
		return nil
	}
	var pool string
	entry := Entry{RepID: repID, LeadID: &leadID, Kind: due}
	err = tx.QueryRow(ctx, `SELECT pool FROM offer WHERE lead_id = $1 AND rep_id = $2 AND state = 'accepted' AND rung = 'turn' ORDER BY attempt DESC LIMIT 1`,
		leadID, repID).Scan(&pool)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the turn that lead %s has cost: %w", leadID, err)
	}
	if entry.Pool, entry.Amount = terms(pool); entry.Pool == "" || entry.Amount <= 0 || there[entry.Pool] {
		return nil
	}
	if _, err := post(ctx, tx, entry); err != nil && !errors.Is(err, errNoTurns) {
		return err
	}
	return nil
}

// outcomes are what the outcomes of a lead have given a rep and not taken again, by pool and kind.
func outcomes(ctx context.Context, tx pgx.Tx, leadID, repID uuid.UUID) ([]Entry, error) {
	rows, err := tx.Query(ctx, `SELECT pool, kind, sum(amount) FROM credit_entry WHERE lead_id = $1 AND rep_id = $2 AND kind IN ('bad_lead', 'no_show', 'cancelled')
		GROUP BY pool, kind HAVING sum(amount) > 1e-9 ORDER BY pool, kind`, leadID, repID)
	if err != nil {
		return nil, fmt.Errorf("read the credits of lead %s: %w", leadID, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
		e := Entry{RepID: repID, LeadID: &leadID}
		err := row.Scan(&e.Pool, &e.Kind, &e.Amount)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the credits of lead %s: %w", leadID, err)
	}
	return all, nil
}

// Store adjusts credits and reads the ledger. Safe for use by many goroutines.
type Store struct {
	db *postgres.DB
}

// NewStore makes a store.
func NewStore(db *postgres.DB) *Store { return &Store{db: db} }

// Adjust changes somebody's credit by hand: above zero they come sooner, by so many turns. It is audited with its reason. pool is the key
// of the turns. Faults: Invalid, and Conflict for somebody without turns there.
func (s *Store) Adjust(ctx context.Context, pool string, repID uuid.UUID, amount float64, reason string) (Entry, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason:
		return Entry{}, wrong("reason", "missing", "Say why in up to 200 characters.")
	case amount == 0 || math.IsNaN(amount) || math.Abs(amount) > Bound:
		return Entry{}, wrong("amount", "range", "Use a number of turns from -3 to 3, but not 0.")
	}
	e := Entry{Pool: pool, RepID: repID, Kind: Manual, Amount: amount, Reason: reason}
	err := postgres.InTx(ctx, s.db.Console, func(tx pgx.Tx) (err error) {
		if e, err = post(ctx, tx, Entry{Pool: pool, RepID: repID, Kind: Manual, Amount: amount, Reason: reason}); err != nil {
			return err
		}
		detail := map[string]any{"pool": pool, "amount": e.Amount, "entry": e.ID}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{Action: audit.CreditAdjusted, ObjectKind: "rep", Object: repID.String(), Detail: detail, Note: reason})
		return err
	})
	if errors.Is(err, errNoTurns) {
		return e, &fault.Error{Kind: fault.Conflict, Code: "no_turns", Message: "This rep has had no turn in this pool yet, so there is nothing to adjust."}
	}
	return e, err
}

func wrong(field, code, message string) error {
	return &fault.Error{Kind: fault.Invalid, Message: "That is no adjustment.", Fields: []fault.Field{{Field: field, Code: code, Message: message}}}
}

// Entries lists the newest entries of a pool's turns, newest first.
func (s *Store) Entries(ctx context.Context, pool string, most int) ([]Entry, error) {
	rows, err := s.db.Console.Query(ctx, `SELECT e.id, e.pool, r.email, e.rep_id, e.lead_id, e.kind, e.amount, e.reason, e.at
		FROM credit_entry e JOIN rep r ON r.id = e.rep_id WHERE e.pool = $1 ORDER BY e.id DESC LIMIT $2`, pool, most)
	if err != nil {
		return nil, fmt.Errorf("list the credits of pool %s: %w", pool, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("list the credits of pool %s: %w", pool, err)
	}
	return all, nil
}
