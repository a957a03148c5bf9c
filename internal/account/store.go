package account

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/rep"
)

// Store answers who somebody is and keeps the people, sessions, links and tokens. Safe for any number of goroutines.
type Store struct {
	db       *gorm.DB
	keys     keys
	throttle *throttle
	sessions *cache[Who] // by the hash of a session's token
	open     *cache[Who] // by the session's id
	tokens   *cache[Token]
}

// NewStore makes a store. now measures how long cached answers and failed sign-ins count; deadlines use the database's clock.
func NewStore(db *gorm.DB, now func() time.Time) *Store {
	return &Store{
		db: db, keys: ownKeys(), throttle: newThrottle(now), sessions: newCache[Who](now), open: newCache[Who](now), tokens: newCache[Token](now),
	}
}

// WithSecret makes forms and sessions good on every process that has the same secret, and after a restart. To be called before
// the store is used.
func (s *Store) WithSecret(secret []byte) *Store {
	s.keys = newKeys(secret)
	return s
}

type accountRow struct {
	ID           uuid.UUID
	Email        string
	Name         string
	Roles        string
	PasswordHash string
	Disabled     bool
	RepID        *uuid.UUID
}

func (r accountRow) who() Who {
	w := Who{AccountID: r.ID, Email: r.Email, Name: r.Name, Roles: strings.Fields(r.Roles)}
	if w.Has(RoleRep) {
		w.RepID = r.RepID
	}
	return w
}

func (r accountRow) account() Account {
	return Account{ID: r.ID, Email: r.Email, Name: r.Name, Roles: strings.Fields(r.Roles)}
}

// inTx runs f in a transaction of its own.
func (s *Store) inTx(ctx context.Context, f func(tx *gorm.DB) error) error {
	return s.db.WithContext(ctx).Transaction(f)
}

// Add adds a person, or changes the one with this address: roles are replaced and a disabled account works again. Other roles or
// another password end the person's sessions. Repeating a call changes nothing.
func (s *Store) Add(ctx context.Context, a NewAccount) (Account, error) {
	email, err := address(a.Email)
	if err != nil {
		return Account{}, err
	}
	hash, err := s.newHash(ctx, email, a.Password, MinGivenPassword)
	if err != nil {
		return Account{}, err
	}
	var row accountRow
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		row, err = s.put(ctx, tx, email, hash, a)
		return err
	})
	if err != nil {
		return Account{}, err
	}
	s.forget(row.ID)
	return row.account(), nil
}

// address checks and normalises an e-mail address.
func address(given string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(given))
	if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
		return "", fault.New(fault.Invalid, "%q is no e-mail address like anna@acme.com", given)
	}
	return email, nil
}

// newHash gives the hash of a password that is to be set, or nothing when the account has that password already, or none is
// given. It takes a while, so it happens before anything is locked.
func (s *Store) newHash(ctx context.Context, email, password string, least int) (string, error) {
	if password == "" {
		return "", nil
	}
	if err := checkPassword(password, least); err != nil {
		return "", err
	}
	var stored string
	if err := s.db.WithContext(ctx).Raw(`SELECT password_hash FROM account WHERE email = ?`, email).Scan(&stored).Error; err != nil {
		return "", fmt.Errorf("look up a password: %w", err)
	}
	if stored != "" {
		same, err := verifyPassword(ctx, password, stored)
		if err != nil || same {
			return "", err
		}
	}
	return hashPassword(ctx, password)
}

// put adds or changes an account and records which. hash: the new password's, empty for no change.
func (s *Store) put(ctx context.Context, tx *gorm.DB, email, hash string, a NewAccount) (accountRow, error) {
	added := tx.Exec(`INSERT INTO account (id, email, name, roles, password_hash, demo) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO NOTHING`,
		uuid.New(), email, strings.TrimSpace(a.Name), strings.Join(a.Roles, " "), hash, a.Demo)
	if added.Error != nil {
		return accountRow{}, fmt.Errorf("add an account: %w", added.Error)
	}
	var was accountRow
	err := tx.Raw(`SELECT id, email, name, roles, password_hash, disabled_at IS NOT NULL AS disabled FROM account WHERE email = ? FOR UPDATE`, email).Scan(&was).Error
	if err != nil {
		return accountRow{}, fmt.Errorf("look up an account: %w", err)
	}
	entry := audit.Entry{ObjectKind: "account", Object: was.ID.String()}
	if added.RowsAffected == 1 {
		entry.Action, entry.Detail = audit.AccountAdded, map[string]any{"roles": a.Roles, "password": hash != ""}
		_, err = audit.Append(ctx, tx, entry)
		return was, err
	}
	is := was
	is.Roles, is.Disabled = strings.Join(a.Roles, " "), false
	if name := strings.TrimSpace(a.Name); name != "" {
		is.Name = name
	}
	if hash != "" {
		is.PasswordHash = hash
	}
	if is == was {
		return is, nil
	}
	err = tx.Exec(`UPDATE account SET name = ?, roles = ?, password_hash = ?, disabled_at = NULL WHERE id = ?`, is.Name, is.Roles, is.PasswordHash, is.ID).Error
	if err != nil {
		return accountRow{}, fmt.Errorf("change an account: %w", err)
	}
	if is.Roles != was.Roles {
		_, err = endSessions(ctx, tx, "roles changed", is.ID)
	} else if hash != "" {
		_, err = endSessions(ctx, tx, "password changed", is.ID)
	}
	if err != nil {
		return accountRow{}, err
	}
	entry.Action, entry.Detail = audit.AccountChanged, map[string]any{"roles": a.Roles, "password": hash != "", "enabled": was.Disabled}
	_, err = audit.Append(ctx, tx, entry)
	return is, err
}

// Disable keeps a person out until they are added again: sessions end, links stop working, and a rep takes no leads any more. An address that nobody has is a NotFound
// fault; repeating the call is fine.
func (s *Store) Disable(ctx context.Context, email string) error {
	var id uuid.UUID
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		row, err := locked(tx, email)
		if err != nil || row.Disabled {
			return err
		}
		id = row.ID
		if err := tx.Exec(`UPDATE account SET disabled_at = clock_timestamp() WHERE id = ?`, id).Error; err != nil {
			return fmt.Errorf("disable an account: %w", err)
		}
		if err := tx.Exec(`DELETE FROM signin_link WHERE account_id = ? AND used_at IS NULL`, id).Error; err != nil {
			return fmt.Errorf("void sign-in links: %w", err)
		}
		if _, err := endSessions(ctx, tx, "disabled", id); err != nil {
			return err
		}
		// Whoever cannot sign in must get no leads either; most people are no reps.
		if _, err := rep.NewStore(tx).SetActive(ctx, email, false); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.AccountDisabled, ObjectKind: "account", Object: id.String()})
		return err
	})
	if err == nil {
		s.forget(id)
	}
	return err
}

// EndSessions signs a person out everywhere and gives the number of sessions that ended. An address that nobody has is a NotFound
// fault.
func (s *Store) EndSessions(ctx context.Context, email string) (int, error) {
	var ended int
	var id uuid.UUID
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		row, err := locked(tx, email)
		if err != nil {
			return err
		}
		id = row.ID
		ended, err = endSessions(ctx, tx, "signed out by somebody else", id)
		return err
	})
	if err == nil {
		s.forget(id)
	}
	return ended, err
}

// locked gives an account that stays as it is until the transaction ends.
func locked(tx *gorm.DB, email string) (accountRow, error) {
	var row accountRow
	err := tx.Raw(`SELECT id, email, name, roles, disabled_at IS NOT NULL AS disabled FROM account WHERE email = ? FOR UPDATE`,
		strings.ToLower(strings.TrimSpace(email))).Scan(&row).Error
	if err != nil {
		return row, fmt.Errorf("look up an account: %w", err)
	}
	if row.ID == uuid.Nil {
		return row, fault.New(fault.NotFound, "Nobody has this address. See leadline user list.")
	}
	return row, nil
}

// Members gives everybody who may sign in or once might, by address.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	var rows []struct {
		Person   accountRow `gorm:"embedded"`
		LastSeen *time.Time
	}
	err := s.db.WithContext(ctx).Raw(`SELECT a.id, a.email, a.name, a.roles, a.disabled_at IS NOT NULL AS disabled,
			(SELECT max(last_seen_at) FROM session WHERE account_id = a.id) AS last_seen
		FROM account a ORDER BY a.email`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	members := make([]Member, len(rows))
	for i, r := range rows {
		members[i] = Member{Account: r.Person.account(), Disabled: r.Person.Disabled, LastSeen: r.LastSeen}
	}
	return members, nil
}

// Admins gives the names of people who can give access to others, three at most.
func (s *Store) Admins(ctx context.Context) ([]string, error) {
	var names []string
	err := s.db.WithContext(ctx).Raw(`SELECT name FROM account WHERE ` + isAdmin + ` AND name <> '' ORDER BY created_at LIMIT 3`).Scan(&names).Error
	if err != nil {
		return nil, fmt.Errorf("look up admins: %w", err)
	}
	return names, nil
}

// isAdmin is the condition for an account that can give access to others.
const isAdmin = `' ' || roles || ' ' LIKE '% ` + RoleAdmin + ` %' AND disabled_at IS NULL`

// forget makes the next lookups of a person's sessions ask the database.
func (s *Store) forget(account uuid.UUID) {
	theirs := func(w Who) bool { return w.AccountID == account }
	s.sessions.drop(theirs)
	s.open.drop(theirs)
}

func clip(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
