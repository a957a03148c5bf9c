package account

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
)

// SignIn checks a password and starts a session; it returns the session's token, for the cookie alone. Wrong and unknown are the
// same fault (Unauthenticated) after the same time; too many are Throttled.
func (s *Store) SignIn(ctx context.Context, email, password string, from Device) (string, Who, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if !utf8.ValidString(email) || strings.ContainsRune(email, 0) { // nobody's, and nothing that the database takes
		email = ""
	}
	if err := s.throttle.take(email, from.Address); err != nil {
		return "", Who{}, err
	}
	var row accountRow
	err := s.db.WithContext(ctx).Raw(`SELECT a.id, a.email, a.name, a.roles, a.password_hash, a.disabled_at IS NOT NULL AS disabled, r.id AS rep_id
		FROM account a LEFT JOIN rep r ON r.email = a.email AND r.active
		WHERE a.email = ?`, email).Scan(&row).Error
	if err != nil {
		return "", Who{}, fmt.Errorf("look up an account: %w", err)
	}
	right, err := verifyPassword(ctx, password, row.PasswordHash)
	if err != nil {
		return "", Who{}, err
	}
	if !right || row.Disabled {
		return "", Who{}, s.refuse(ctx, row)
	}
	s.throttle.restore(email, from.Address)
	if err := s.sweep(ctx); err != nil {
		return "", Who{}, err
	}
	var token string
	var who Who
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		// Locked and looked at again, so that nobody gets in by a password that was just changed, or after being disabled.
		var same bool
		err := tx.Raw(`SELECT disabled_at IS NULL AND password_hash = ? FROM account WHERE id = ? FOR UPDATE`, row.PasswordHash, row.ID).Scan(&same).Error
		if err != nil {
			return fmt.Errorf("look up an account: %w", err)
		}
		if !same {
			return wrongPassword()
		}
		token, who, err = begin(ctx, tx, row, from, "password")
		return err
	})
	return token, who, err
}

func wrongPassword() error {
	return fault.New(fault.Unauthenticated, "That email address and password do not fit together. Check both.")
}

// refuse records that somebody was turned away, without what they typed.
func (s *Store) refuse(ctx context.Context, row accountRow) error {
	entry := audit.Entry{Action: audit.SignInRefused}
	if row.ID != uuid.Nil {
		entry.ObjectKind, entry.Object = "account", row.ID.String()
	}
	if _, err := audit.Append(ctx, s.db, entry); err != nil {
		return err
	}
	return wrongPassword()
}

// begin starts a session, ends the person's oldest if there are too many, and records both. The account's row must be locked.
func begin(ctx context.Context, tx *gorm.DB, row accountRow, from Device, how string) (string, Who, error) {
	who := row.who()
	who.SessionID = uuid.New()
	who.Trusted = from.Trusted && who.Has(RoleRep)
	token, hash := newSecret("")
	err := tx.Exec(`INSERT INTO session (id, account_id, token_hash, trusted, user_agent, address) VALUES (?, ?, ?, ?, ?, ?)`,
		who.SessionID, row.ID, hash, who.Trusted, clip(from.UserAgent, 200), shorten(from.Address)).Error
	if err != nil {
		return "", Who{}, fmt.Errorf("start a session: %w", err)
	}
	old := tx.Exec(`DELETE FROM session WHERE token_hash IN
		(SELECT token_hash FROM session WHERE account_id = ? ORDER BY created_at DESC, token_hash OFFSET ?)`, row.ID, maxSessions)
	if old.Error != nil {
		return "", Who{}, fmt.Errorf("end old sessions: %w", old.Error)
	}
	if err := recordEnd(ctx, tx, "one device too many", row.ID, int(old.RowsAffected)); err != nil {
		return "", Who{}, err
	}
	_, err = audit.Append(ctx, tx, audit.Entry{
		ActorKind: audit.Person, Actor: &row.ID, Action: audit.SignedIn, ObjectKind: "session", Object: who.SessionID.String(),
		Detail: map[string]any{"how": how, "trusted": who.Trusted},
	})
	return token, who, err
}

// live is the condition for a session that has not run out. Its four arguments are limits.
const live = `s.last_seen_at > clock_timestamp() - CASE WHEN s.trusted THEN ?::float8 ELSE ?::float8 END * interval '1 second'
	AND s.created_at > clock_timestamp() - CASE WHEN s.trusted THEN ?::float8 ELSE ?::float8 END * interval '1 second'`

func limits() []any {
	return []any{
		SessionIdleTrusted.Seconds(), SessionIdle.Seconds(), SessionAbsoluteTrusted.Seconds(), SessionAbsolute.Seconds(),
	}
}

// sweep removes sessions that have run out, so that they do not pile up. It waits for nobody.
func (s *Store) sweep(ctx context.Context) error {
	err := s.db.WithContext(ctx).Exec(`DELETE FROM session WHERE token_hash IN
		(SELECT s.token_hash FROM session s WHERE NOT (`+live+`) FOR UPDATE SKIP LOCKED)`, limits()...).Error
	if err != nil {
		return fmt.Errorf("remove old sessions: %w", err)
	}
	return nil
}

type sessionRow struct {
	Person    accountRow `gorm:"embedded"`
	SessionID *uuid.UUID
	Trusted   bool
	Idle      float64 // seconds
	Away      float64 // seconds
	Due       bool    // the token is old
	Grace     bool    // the token changed a moment ago
}

func (r sessionRow) who() Who {
	w := r.Person.who()
	w.SessionID, w.Trusted, w.Idle = *r.SessionID, r.Trusted, time.Duration(r.Idle*float64(time.Second))
	w.Away = time.Duration(r.Away * float64(time.Second))
	return w
}

// find looks a session up by a condition, which comes before the limits' arguments.
func (s *Store) find(ctx context.Context, condition string, key any) (sessionRow, error) {
	var row sessionRow
	args := append([]any{tokenAge.Seconds(), tokenGrace.Seconds(), key}, limits()...)
	err := s.db.WithContext(ctx).Raw(`SELECT a.id, a.email, a.name, a.roles, r.id AS rep_id, s.id AS session_id, s.trusted,
			extract(epoch FROM clock_timestamp() - s.last_seen_at)::float8 AS idle,
			extract(epoch FROM clock_timestamp() - coalesce(s.fresh_at, s.created_at))::float8 AS away,
			coalesce(s.rotated_at, s.created_at) <= clock_timestamp() - ? * interval '1 second' AS due,
			coalesce(s.rotated_at > clock_timestamp() - ? * interval '1 second', false) AS grace
		FROM session s JOIN account a ON a.id = s.account_id LEFT JOIN rep r ON r.email = a.email AND r.active
		WHERE `+condition+` AND a.disabled_at IS NULL AND `+live, args...).Scan(&row).Error
	if err != nil {
		return row, fmt.Errorf("look up a session: %w", err)
	}
	return row, nil
}

func signInToGoOn() error { return fault.New(fault.Unauthenticated, "Sign in to go on.") }

// SessionByToken tells who a session belongs to. A session that never was, has run out or was ended is an Unauthenticated fault. It
// counts as no activity: see Acted. A token from before the last change still works for a minute; used later than that it was
// copied, and ends the session.
func (s *Store) SessionByToken(ctx context.Context, token string) (Who, error) {
	if !plausible(token, "") {
		return Who{}, signInToGoOn()
	}
	hash := hashSecret(token)
	if who, ok := s.sessions.get(hash); ok {
		return who, nil
	}
	row, err := s.find(ctx, `s.token_hash = ?`, hash)
	if err != nil {
		return Who{}, err
	}
	if row.Person.ID == uuid.Nil {
		return s.byPrevious(ctx, hash)
	}
	if row.SessionID == nil { // begun by the release before
		if err := s.name(ctx, hash, &row); err != nil {
			return Who{}, err
		}
	}
	who := row.who()
	who.renew = row.Due
	s.sessions.put(hash, who)
	return who, nil
}

func (s *Store) byPrevious(ctx context.Context, hash []byte) (Who, error) {
	row, err := s.find(ctx, `s.previous_hash = ?`, hash)
	if err != nil {
		return Who{}, err
	}
	if row.Person.ID == uuid.Nil || row.SessionID == nil {
		return Who{}, signInToGoOn()
	}
	if !row.Grace {
		if _, err := s.end(ctx, "an old token was used again", row.Person.ID, *row.SessionID); err != nil {
			return Who{}, err
		}
		return Who{}, signInToGoOn()
	}
	who := row.who()
	who.renew, who.late = true, true
	s.sessions.put(hash, who)
	return who, nil
}

// name gives a session of the release before an id.
func (s *Store) name(ctx context.Context, hash []byte, row *sessionRow) error {
	var named struct{ ID uuid.UUID }
	err := s.db.WithContext(ctx).Raw(`UPDATE session SET id = coalesce(id, ?) WHERE token_hash = ? RETURNING id`, uuid.New(), hash).Scan(&named).Error
	if err != nil {
		return fmt.Errorf("name a session: %w", err)
	}
	if named.ID == uuid.Nil {
		return signInToGoOn()
	}
	row.SessionID = &named.ID
	return nil
}

// SessionByID is SessionByToken for a connection that was let in already: open consoles ask each second.
func (s *Store) SessionByID(ctx context.Context, id uuid.UUID) (Who, error) {
	if who, ok := s.open.get(id[:]); ok {
		return who, nil
	}
	row, err := s.find(ctx, `s.id = ?`, id)
	if err != nil {
		return Who{}, err
	}
	if row.Person.ID == uuid.Nil || row.SessionID == nil {
		return Who{}, signInToGoOn()
	}
	who := row.who()
	s.open.put(id[:], who)
	return who, nil
}

// Acted notes that the person did something, which keeps the session from running out. Written at most twice a minute.
func (s *Store) Acted(ctx context.Context, who Who) error {
	if who.Idle < noteEvery {
		return nil
	}
	err := s.db.WithContext(ctx).Exec(`UPDATE session SET last_seen_at = clock_timestamp(),
			fresh_at = CASE WHEN coalesce(fresh_at, created_at) > clock_timestamp() - ? * interval '1 second' THEN clock_timestamp() ELSE fresh_at END
		WHERE id = ?`, StrictIdle.Seconds(), who.SessionID).Error
	if err != nil {
		return fmt.Errorf("note a session as used: %w", err)
	}
	s.dropSession(who.SessionID)
	return nil
}

// Late tells that the browser showed the token from before the last change: its answer was lost, and the next one should carry the
// new token, whatever it is an answer to.
func (w Who) Late() bool { return w.late }

// Renew changes a session's token when it is older than an hour. It gives the token that the browser is to carry from now on and
// how long the session can last at most, or nothing when the token stays. who is what SessionByToken told about the token.
func (s *Store) Renew(ctx context.Context, token string, who Who) (string, time.Duration, error) {
	if !who.renew {
		return "", 0, nil
	}
	next := s.keys.next(token)
	hash, after := hashSecret(token), hashSecret(next)
	db := s.db.WithContext(ctx)
	err := db.Exec(`UPDATE session SET token_hash = ?, previous_hash = ?, rotated_at = clock_timestamp()
		WHERE token_hash = ? AND coalesce(rotated_at, created_at) <= clock_timestamp() - ? * interval '1 second'`,
		after, hash, hash, tokenAge.Seconds()).Error
	if err != nil {
		return "", 0, fmt.Errorf("change a session's token: %w", err)
	}
	// Whether this request changed it or one beside it did, the browser gets the same token.
	var left float64
	err = db.Raw(`SELECT extract(epoch FROM s.created_at - clock_timestamp())::float8 + CASE WHEN s.trusted THEN ?::float8 ELSE ?::float8 END
		FROM session s WHERE s.id = ? AND s.token_hash = ?`,
		SessionAbsoluteTrusted.Seconds(), SessionAbsolute.Seconds(), who.SessionID, after).Scan(&left).Error
	if err != nil {
		return "", 0, fmt.Errorf("look up a session's end: %w", err)
	}
	s.dropSession(who.SessionID)
	if left <= 0 {
		return "", 0, nil
	}
	return next, time.Duration(left * float64(time.Second)), nil
}

// SignOut ends a session. Repeating it is fine.
func (s *Store) SignOut(ctx context.Context, token string) error {
	hash := hashSecret(token)
	var row struct{ ID, AccountID *uuid.UUID }
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Raw(`DELETE FROM session WHERE token_hash = ? OR previous_hash = ? RETURNING id, account_id`, hash, hash).Scan(&row).Error; err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		if row.AccountID == nil {
			return nil
		}
		entry := ended("signed out", *row.AccountID, row.ID, 1)
		entry.ActorKind, entry.Actor = audit.Person, row.AccountID // signing out asks for no session, so nobody was noted
		_, err := audit.Append(ctx, tx, entry)
		return err
	})
	if err == nil && row.AccountID != nil {
		s.forget(*row.AccountID)
	}
	return err
}

// Sessions gives a person's sessions, the most recently used first.
func (s *Store) Sessions(ctx context.Context, account uuid.UUID) ([]Session, error) {
	var rows []Session
	err := s.db.WithContext(ctx).Raw(`SELECT s.id, s.user_agent, s.address AS network, s.trusted, s.created_at AS began_at, s.last_seen_at AS seen_at
		FROM session s WHERE s.account_id = ? AND s.id IS NOT NULL AND `+live+` ORDER BY s.last_seen_at DESC, s.id`,
		append([]any{account}, limits()...)...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return rows, nil
}

// EndSession ends one of the person's own sessions. Any other is a NotFound fault.
func (s *Store) EndSession(ctx context.Context, who Who, id uuid.UUID) error {
	n, err := s.end(ctx, "ended from the list of devices", who.AccountID, id)
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, "This device is signed out already.")
	}
	return err
}

// EndOthers ends all of a person's sessions but the one they act in, and gives the number that ended.
func (s *Store) EndOthers(ctx context.Context, who Who) (int, error) {
	n := 0
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		done := tx.Exec(`DELETE FROM session WHERE account_id = ? AND id IS DISTINCT FROM ?`, who.AccountID, who.SessionID)
		if done.Error != nil {
			return fmt.Errorf("end sessions: %w", done.Error)
		}
		n = int(done.RowsAffected)
		return recordEnd(ctx, tx, "ended from the list of devices", who.AccountID, n)
	})
	if err == nil {
		s.forget(who.AccountID)
	}
	return n, err
}

// end ends one session of an account and records it.
func (s *Store) end(ctx context.Context, why string, account, id uuid.UUID) (int, error) {
	n := 0
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		done := tx.Exec(`DELETE FROM session WHERE id = ? AND account_id = ?`, id, account)
		if done.Error != nil {
			return fmt.Errorf("end a session: %w", done.Error)
		}
		if n = int(done.RowsAffected); n == 0 {
			return nil
		}
		_, err := audit.Append(ctx, tx, ended(why, account, &id, n))
		return err
	})
	if err == nil {
		s.dropSession(id)
	}
	return n, err
}

// endSessions ends all sessions of an account and records it.
func endSessions(ctx context.Context, tx *gorm.DB, why string, account uuid.UUID) (int, error) {
	done := tx.Exec(`DELETE FROM session WHERE account_id = ?`, account)
	if done.Error != nil {
		return 0, fmt.Errorf("end sessions: %w", done.Error)
	}
	return int(done.RowsAffected), recordEnd(ctx, tx, why, account, int(done.RowsAffected))
}

func recordEnd(ctx context.Context, tx *gorm.DB, why string, account uuid.UUID, n int) error {
	if n == 0 {
		return nil
	}
	_, err := audit.Append(ctx, tx, ended(why, account, nil, n))
	return err
}

// ended is the record of sessions that ended: of one, or of all that an account had.
func ended(why string, account uuid.UUID, session *uuid.UUID, n int) audit.Entry {
	e := audit.Entry{Action: audit.SignedOut, ObjectKind: "account", Object: account.String(), Detail: map[string]any{"sessions": n, "why": why}}
	if session != nil {
		e.ObjectKind, e.Object = "session", session.String()
	}
	return e
}

func (s *Store) dropSession(id uuid.UUID) {
	this := func(w Who) bool { return w.SessionID == id }
	s.sessions.drop(this)
	s.open.drop(this)
}
