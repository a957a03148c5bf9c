package account

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
)

// Store answers who somebody is and keeps the people, sessions, links and tokens. Safe for any number of goroutines.
type Store struct {
	db       *gorm.DB
	throttle *throttle
	sessions *cache[Who]
	tokens   *cache[Token]
}

// NewStore makes a store. now measures how long cached answers and failed sign-ins count; deadlines use the database's clock.
func NewStore(db *gorm.DB, now func() time.Time) *Store {
	return &Store{db: db, throttle: newThrottle(now), sessions: newCache[Who](now), tokens: newCache[Token](now)}
}

type accountRow struct {
	ID           uuid.UUID
	Email        string
	Name         string
	Roles        string
	PasswordHash string
	RepID        *uuid.UUID
	Seen         bool // the session was used within the last minute
}

func (r accountRow) who() Who {
	w := Who{AccountID: r.ID, Email: r.Email, Name: r.Name, Roles: strings.Fields(r.Roles)}
	if w.Has(RoleRep) {
		w.RepID = r.RepID
	}
	return w
}

// Add adds a person, or changes the one with this address: roles are replaced, a disabled account works again, and a password
// other than before ends the person's sessions. Repeating a call changes nothing.
func (s *Store) Add(ctx context.Context, a NewAccount) (Account, error) {
	email := strings.ToLower(strings.TrimSpace(a.Email))
	if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
		return Account{}, fault.New(fault.Invalid, "%q is no e-mail address like anna@acme.com", a.Email)
	}
	if a.Password != "" && len(a.Password) < 8 {
		return Account{}, fault.New(fault.Invalid, "A password needs at least 8 characters")
	}
	var row accountRow
	db := s.db.WithContext(ctx)
	err := db.Raw(`INSERT INTO account (id, email, name, roles, demo) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (email) DO UPDATE SET name = CASE WHEN EXCLUDED.name = '' THEN account.name ELSE EXCLUDED.name END,
			roles = EXCLUDED.roles, disabled_at = NULL
		RETURNING id, email, name, roles, password_hash`,
		uuid.New(), email, strings.TrimSpace(a.Name), strings.Join(a.Roles, " "), a.Demo).Scan(&row).Error
	if err != nil {
		return Account{}, fmt.Errorf("add an account: %w", err)
	}
	if a.Password != "" {
		if err := s.setPassword(ctx, row, a.Password); err != nil {
			return Account{}, err
		}
	}
	return Account{ID: row.ID, Email: row.Email, Name: row.Name, Roles: strings.Fields(row.Roles)}, nil
}

func (s *Store) setPassword(ctx context.Context, row accountRow, password string) error {
	if row.PasswordHash != "" {
		same, err := verifyPassword(ctx, password, row.PasswordHash)
		if err != nil || same {
			return err
		}
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec(`UPDATE account SET password_hash = ? WHERE id = ?`, hash, row.ID).Error; err != nil {
			return fmt.Errorf("set a password: %w", err)
		}
		if err := tx.Exec(`DELETE FROM session WHERE account_id = ?`, row.ID).Error; err != nil {
			return fmt.Errorf("end sessions of the old password: %w", err)
		}
		return nil
	})
}

// SignIn checks a password and starts a session; it returns the session's token, for the cookie alone. address is where the
// caller comes from. Wrong and unknown are the same fault (Unauthenticated) after the same time; too many are Throttled.
func (s *Store) SignIn(ctx context.Context, email, password, address, userAgent string) (string, Who, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if err := s.throttle.take(email, address); err != nil {
		return "", Who{}, err
	}
	var row accountRow
	err := s.db.WithContext(ctx).Raw(`SELECT a.id, a.email, a.name, a.roles, a.password_hash, r.id AS rep_id
		FROM account a LEFT JOIN rep r ON r.email = a.email AND r.active
		WHERE a.email = ? AND a.disabled_at IS NULL`, email).Scan(&row).Error
	if err != nil {
		return "", Who{}, fmt.Errorf("look up an account: %w", err)
	}
	right, err := verifyPassword(ctx, password, row.PasswordHash)
	if err != nil {
		return "", Who{}, err
	}
	if !right {
		return "", Who{}, fault.New(fault.Unauthenticated, "That email address and password do not fit together. Check both.")
	}
	s.throttle.restore(email, address)
	token, err := startSession(s.db.WithContext(ctx), row.ID, userAgent)
	return token, row.who(), err
}

// startSession makes a new session and ends what has run out or is one too many.
func startSession(db *gorm.DB, account uuid.UUID, userAgent string) (string, error) {
	token, hash := newSecret("")
	// The hash is not the first value: after an opening parenthesis GORM would spread its bytes into a list.
	err := db.Exec(`INSERT INTO session (account_id, token_hash, user_agent) VALUES (?, ?, ?)`, account, hash, clip(userAgent, 200)).Error
	if err != nil {
		return "", fmt.Errorf("start a session: %w", err)
	}
	err = db.Exec(`DELETE FROM session s WHERE last_seen_at <= clock_timestamp() - ? * interval '1 second'
		OR created_at <= clock_timestamp() - ? * interval '1 second'
		OR token_hash IN (SELECT token_hash FROM session WHERE account_id = ? ORDER BY created_at DESC, token_hash OFFSET ?)`,
		SessionIdle.Seconds(), SessionAbsolute.Seconds(), account, maxSessions).Error
	if err != nil {
		return "", fmt.Errorf("end old sessions: %w", err)
	}
	return token, nil
}

// SessionByToken tells who a session belongs to. A session that never was, has run out or was ended is an Unauthenticated fault.
func (s *Store) SessionByToken(ctx context.Context, token string) (Who, error) {
	none := fault.New(fault.Unauthenticated, "Sign in to go on.")
	if !plausible(token, "") {
		return Who{}, none
	}
	hash := hashSecret(token)
	if who, ok := s.sessions.get(hash); ok {
		return who, nil
	}
	var row accountRow
	db := s.db.WithContext(ctx)
	err := db.Raw(`SELECT a.id, a.email, a.name, a.roles, r.id AS rep_id, s.last_seen_at > clock_timestamp() - interval '1 minute' AS seen
		FROM session s JOIN account a ON a.id = s.account_id LEFT JOIN rep r ON r.email = a.email AND r.active
		WHERE s.token_hash = ? AND a.disabled_at IS NULL
			AND s.last_seen_at > clock_timestamp() - ? * interval '1 second' AND s.created_at > clock_timestamp() - ? * interval '1 second'`,
		hash, SessionIdle.Seconds(), SessionAbsolute.Seconds()).Scan(&row).Error
	if err != nil {
		return Who{}, fmt.Errorf("look up a session: %w", err)
	}
	if row.ID == uuid.Nil {
		return Who{}, none
	}
	if !row.Seen { // written at most once a minute
		if err := db.Exec(`UPDATE session SET last_seen_at = clock_timestamp() WHERE token_hash = ?`, hash).Error; err != nil {
			return Who{}, fmt.Errorf("note a session as used: %w", err)
		}
	}
	s.sessions.put(hash, row.who())
	return row.who(), nil
}

// SignOut ends a session. Repeating it is fine.
func (s *Store) SignOut(ctx context.Context, token string) error {
	hash := hashSecret(token)
	err := s.db.WithContext(ctx).Exec(`DELETE FROM session WHERE token_hash = ?`, hash).Error
	s.sessions.drop(hash)
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Admins gives the names of people who can give access to others, three at most.
func (s *Store) Admins(ctx context.Context) ([]string, error) {
	var names []string
	err := s.db.WithContext(ctx).Raw(`SELECT name FROM account WHERE ' ' || roles || ' ' LIKE '% admin %' AND name <> '' AND disabled_at IS NULL
		ORDER BY created_at LIMIT 3`).Scan(&names).Error
	if err != nil {
		return nil, fmt.Errorf("look up admins: %w", err)
	}
	return names, nil
}

// NewLink makes a token that signs a person in once, within a day.
func (s *Store) NewLink(ctx context.Context, account uuid.UUID) (string, error) {
	token, hash := newSecret("")
	err := s.db.WithContext(ctx).Exec(`INSERT INTO signin_link (account_id, token_hash, expires_at)
		VALUES (?, ?, clock_timestamp() + ? * interval '1 second')`, account, hash, LinkValid.Seconds()).Error
	if err != nil {
		return "", fmt.Errorf("make a sign-in link: %w", err)
	}
	return token, nil
}

// UseLink consumes a one-time link and starts a session. A link that was used, has run out or never was is a NotFound fault.
func (s *Store) UseLink(ctx context.Context, link, userAgent string) (token string, who Who, err error) {
	gone := fault.New(fault.NotFound, "This link was used already or is older than a day. Ask for a new one.")
	if !plausible(link, "") {
		return "", Who{}, gone
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var row accountRow
		err := tx.Raw(`WITH used AS (UPDATE signin_link SET used_at = clock_timestamp()
				WHERE token_hash = ? AND used_at IS NULL AND expires_at > clock_timestamp() RETURNING account_id)
			SELECT a.id, a.email, a.name, a.roles, r.id AS rep_id FROM used JOIN account a ON a.id = used.account_id
			LEFT JOIN rep r ON r.email = a.email AND r.active WHERE a.disabled_at IS NULL`, hashSecret(link)).Scan(&row).Error
		if err != nil {
			return fmt.Errorf("use a sign-in link: %w", err)
		}
		if row.ID == uuid.Nil {
			return gone
		}
		who = row.who()
		token, err = startSession(tx, row.ID, userAgent)
		return err
	})
	return token, who, err
}

// AddToken makes an API token and returns its value, which is shown once and stored nowhere.
func (s *Store) AddToken(ctx context.Context, name string, scopes []string) (string, error) {
	value, hash := newSecret(tokenPrefix)
	err := s.db.WithContext(ctx).Exec(`INSERT INTO api_token (id, name, token_hash, scopes) VALUES (?, ?, ?, ?)`,
		uuid.New(), name, hash, strings.Join(scopes, " ")).Error
	if err != nil {
		return "", fmt.Errorf("add an API token: %w", err)
	}
	return value, nil
}

// TokenByValue tells what an API token allows. An unknown or revoked one is an Unauthenticated fault.
func (s *Store) TokenByValue(ctx context.Context, value string) (Token, error) {
	none := fault.New(fault.Unauthenticated, "This token is not known or was revoked.")
	if !plausible(value, tokenPrefix) {
		return Token{}, none
	}
	hash := hashSecret(value)
	if t, ok := s.tokens.get(hash); ok {
		return t, nil
	}
	var row struct {
		ID     uuid.UUID
		Name   string
		Scopes string
		Seen   bool
	}
	db := s.db.WithContext(ctx)
	err := db.Raw(`SELECT id, name, scopes, coalesce(last_used_at > clock_timestamp() - interval '1 minute', false) AS seen
		FROM api_token WHERE token_hash = ? AND revoked_at IS NULL`, hash).Scan(&row).Error
	if err != nil {
		return Token{}, fmt.Errorf("look up a token: %w", err)
	}
	if row.ID == uuid.Nil {
		return Token{}, none
	}
	if !row.Seen {
		if err := db.Exec(`UPDATE api_token SET last_used_at = clock_timestamp() WHERE id = ?`, row.ID).Error; err != nil {
			return Token{}, fmt.Errorf("note a token as used: %w", err)
		}
	}
	t := Token{ID: row.ID, Name: row.Name, Scopes: strings.Fields(row.Scopes)}
	s.tokens.put(hash, t)
	return t, nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
