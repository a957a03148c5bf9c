package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
)

// AddToken makes an API token and returns its value, which is shown once and stored nowhere.
func (s *Store) AddToken(ctx context.Context, name string, scopes []string) (string, error) {
	value, hash := newSecret(tokenPrefix)
	id := uuid.New()
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		err := tx.Exec(`INSERT INTO api_token (id, name, token_hash, scopes) VALUES (?, ?, ?, ?)`, id, name, hash, strings.Join(scopes, " ")).Error
		if err != nil {
			return fmt.Errorf("add an API token: %w", err)
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.TokenAdded, ObjectKind: "token", Object: id.String(), Detail: map[string]any{"scopes": scopes}})
		return err
	})
	if err != nil {
		return "", err
	}
	return value, nil
}

type tokenRow struct {
	ID         uuid.UUID
	Name       string
	Scopes     string
	Seen       bool // its use was recorded within the last hour
	CreatedAt  time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
}

func (r tokenRow) token() Token {
	return Token{ID: r.ID, Name: r.Name, Scopes: strings.Fields(r.Scopes)}
}

// TokenByValue tells what an API token allows. An unknown or revoked one is an Unauthenticated fault. Its use is recorded once an
// hour.
func (s *Store) TokenByValue(ctx context.Context, value string) (Token, error) {
	none := fault.New(fault.Unauthenticated, "This token is not known or was revoked.")
	if !plausible(value, tokenPrefix) {
		return Token{}, none
	}
	hash := hashSecret(value)
	if t, ok := s.tokens.get(hash); ok {
		return t, nil
	}
	var row tokenRow
	err := s.db.WithContext(ctx).Raw(`SELECT id, name, scopes, coalesce(last_used_at > clock_timestamp() - ? * interval '1 second', false) AS seen
		FROM api_token WHERE token_hash = ? AND revoked_at IS NULL`, useEvery.Seconds(), hash).Scan(&row).Error
	if err != nil {
		return Token{}, fmt.Errorf("look up a token: %w", err)
	}
	if row.ID == uuid.Nil {
		return Token{}, none
	}
	if !row.Seen {
		if err := s.noteUse(ctx, row.ID); err != nil {
			return Token{}, err
		}
	}
	s.tokens.put(hash, row.token())
	return row.token(), nil
}

// noteUse records that a token is in use, unless somebody did while we waited.
func (s *Store) noteUse(ctx context.Context, id uuid.UUID) error {
	return s.inTx(ctx, func(tx *gorm.DB) error {
		noted := tx.Exec(`UPDATE api_token SET last_used_at = clock_timestamp()
			WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= clock_timestamp() - ? * interval '1 second')`, id, useEvery.Seconds())
		if noted.Error != nil {
			return fmt.Errorf("note a token as used: %w", noted.Error)
		}
		if noted.RowsAffected == 0 {
			return nil
		}
		_, err := audit.Append(ctx, tx, audit.Entry{ActorKind: audit.Token, Actor: &id, Action: audit.TokenUsed, ObjectKind: "token", Object: id.String()})
		return err
	})
}

// Tokens gives all API tokens, revoked ones too, the newest first.
func (s *Store) Tokens(ctx context.Context) ([]KnownToken, error) {
	var rows []tokenRow
	err := s.db.WithContext(ctx).Raw(`SELECT id, name, scopes, created_at, last_used_at, revoked_at FROM api_token ORDER BY created_at DESC, id`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	tokens := make([]KnownToken, len(rows))
	for i, r := range rows {
		tokens[i] = KnownToken{Token: r.token(), CreatedAt: r.CreatedAt, UsedAt: r.LastUsedAt, RevokedAt: r.RevokedAt}
	}
	return tokens, nil
}

// RevokeToken ends an API token, named by its id or by its name where only one that works has that name. One that does not exist or
// was revoked is a NotFound fault, a name of several a Conflict.
func (s *Store) RevokeToken(ctx context.Context, named string) error {
	var found []tokenRow
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		err := tx.Raw(`SELECT id FROM api_token WHERE (id::text = ? OR name = ?) AND revoked_at IS NULL ORDER BY id FOR UPDATE`,
			strings.ToLower(named), named).Scan(&found).Error
		if err != nil {
			return fmt.Errorf("look up a token: %w", err)
		}
		switch {
		case len(found) == 0:
			return fault.New(fault.NotFound, "There is no such token that still works. See leadline token list.")
		case len(found) > 1:
			return fault.New(fault.Conflict, "%d tokens have this name. Say which by --id; see leadline token list.", len(found))
		}
		if err := tx.Exec(`UPDATE api_token SET revoked_at = clock_timestamp() WHERE id = ?`, found[0].ID).Error; err != nil {
			return fmt.Errorf("revoke a token: %w", err)
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.TokenRevoked, ObjectKind: "token", Object: found[0].ID.String()})
		return err
	})
	if err == nil {
		s.tokens.drop(func(t Token) bool { return t.ID == found[0].ID })
	}
	return err
}
