package account

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
)

// NewLink makes a token that signs a person in once, within a day.
func (s *Store) NewLink(ctx context.Context, account uuid.UUID) (string, error) {
	token, hash := newSecret("")
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		// The hash is not the first value: after an opening parenthesis GORM would spread its bytes into a list.
		err := tx.Exec(`INSERT INTO signin_link (account_id, token_hash, expires_at)
			VALUES (?, ?, clock_timestamp() + ? * interval '1 second')`, account, hash, LinkValid.Seconds()).Error
		if err != nil {
			return fmt.Errorf("make a sign-in link: %w", err)
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.LinkMade, ObjectKind: "account", Object: account.String()})
		return err
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// UseLink consumes a one-time link and starts a session. A link that was used, has run out or never was is a NotFound fault.
func (s *Store) UseLink(ctx context.Context, link string, from Device) (token string, who Who, err error) {
	gone := fault.New(fault.NotFound, "This link was used already or is older than a day. Ask for a new one.")
	if !plausible(link, "") {
		return "", Who{}, gone
	}
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		var used struct{ AccountID uuid.UUID }
		err := tx.Raw(`UPDATE signin_link SET used_at = clock_timestamp()
			WHERE token_hash = ? AND used_at IS NULL AND expires_at > clock_timestamp() RETURNING account_id`, hashSecret(link)).Scan(&used).Error
		if err != nil {
			return fmt.Errorf("use a sign-in link: %w", err)
		}
		var row accountRow
		err = tx.Raw(`SELECT a.id, a.email, a.name, a.roles, r.id AS rep_id FROM account a LEFT JOIN rep r ON r.email = a.email AND r.active
			WHERE a.id = ? AND a.disabled_at IS NULL FOR UPDATE OF a`, used.AccountID).Scan(&row).Error
		if err != nil {
			return fmt.Errorf("look up an account: %w", err)
		}
		if row.ID == uuid.Nil {
			return gone
		}
		token, who, err = begin(ctx, tx, row, from, "link")
		return err
	})
	if err == nil {
		err = s.sweep(ctx)
	}
	return token, who, err
}

// SetupLink makes a token by which the first admin comes in, within a day, when there is no admin who can sign in. It makes
// earlier ones void. needed is false, and the token empty, when there is an admin.
func (s *Store) SetupLink(ctx context.Context) (token string, needed bool, err error) {
	value, hash := newSecret("")
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		if needed, err = withoutAdmin(tx); err != nil || !needed {
			return err
		}
		if err := tx.Exec(`DELETE FROM setup_link WHERE used_at IS NULL`).Error; err != nil {
			return fmt.Errorf("void earlier setup links: %w", err)
		}
		err := tx.Exec(`INSERT INTO setup_link (expires_at, token_hash) VALUES (clock_timestamp() + ? * interval '1 second', ?)`, SetupValid.Seconds(), hash).Error
		if err != nil {
			return fmt.Errorf("make a setup link: %w", err)
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.LinkMade, ObjectKind: "setup"})
		return err
	})
	if err != nil || !needed {
		return "", false, err
	}
	return value, true, nil
}

// withoutAdmin tells whether nobody can give access to others. Others who ask wait until the transaction ends: two servers that
// start, or two people who open the same link, come one after the other.
func withoutAdmin(tx *gorm.DB) (bool, error) {
	if err := tx.Exec(`LOCK TABLE setup_link IN EXCLUSIVE MODE`).Error; err != nil {
		return false, fmt.Errorf("wait for another setup: %w", err)
	}
	var none bool
	if err := tx.Raw(`SELECT NOT EXISTS (SELECT FROM account WHERE ` + isAdmin + `)`).Scan(&none).Error; err != nil {
		return false, fmt.Errorf("look for an admin: %w", err)
	}
	return none, nil
}

func setupGone() error {
	return fault.New(fault.NotFound, "This link was used already or is older than a day, or there is an admin. If there is none, start Leadline again: it prints a new link. "+
		"Otherwise ask the admin, or run on the server: leadline user add --email YOU --role admin.")
}

// SetupOpen tells by a NotFound fault that a setup link does not work any more.
func (s *Store) SetupOpen(ctx context.Context, link string) error {
	if !plausible(link, "") {
		return setupGone()
	}
	var open bool
	err := s.db.WithContext(ctx).Raw(`SELECT NOT EXISTS (SELECT FROM account WHERE `+isAdmin+`)
		AND EXISTS (SELECT FROM setup_link WHERE token_hash = ? AND used_at IS NULL AND expires_at > clock_timestamp())`, hashSecret(link)).Scan(&open).Error
	if err != nil {
		return fmt.Errorf("look up a setup link: %w", err)
	}
	if !open {
		return setupGone()
	}
	return nil
}

// UseSetup consumes a setup link: it makes the first admin, or makes an admin of the person with this address, and starts a
// session. A link that does not work any more is a NotFound fault; wrong answers are an Invalid one and leave the link as it was.
func (s *Store) UseSetup(ctx context.Context, link string, first NewAccount, from Device) (token string, who Who, err error) {
	email, err := address(first.Email)
	if err != nil {
		return "", Who{}, err
	}
	if err := s.SetupOpen(ctx, link); err != nil { // before a password costs anything
		return "", Who{}, err
	}
	hash, err := s.newHash(ctx, email, first.Password, MinPassword)
	if err != nil {
		return "", Who{}, err
	}
	err = s.inTx(ctx, func(tx *gorm.DB) error {
		token, who, err = s.makeAdmin(ctx, tx, link, email, hash, first, from)
		return err
	})
	if err == nil {
		s.forget(who.AccountID)
	}
	return token, who, err
}

func (s *Store) makeAdmin(ctx context.Context, tx *gorm.DB, link, email, hash string, first NewAccount, from Device) (string, Who, error) {
	none, err := withoutAdmin(tx)
	if err != nil {
		return "", Who{}, err
	}
	used := tx.Exec(`UPDATE setup_link SET used_at = clock_timestamp() WHERE token_hash = ? AND used_at IS NULL AND expires_at > clock_timestamp()`, hashSecret(link))
	if used.Error != nil {
		return "", Who{}, fmt.Errorf("use a setup link: %w", used.Error)
	}
	if !none || used.RowsAffected == 0 {
		return "", Who{}, setupGone()
	}
	var roles string
	if err := tx.Raw(`SELECT roles FROM account WHERE email = ?`, email).Scan(&roles).Error; err != nil {
		return "", Who{}, fmt.Errorf("look up an account: %w", err)
	}
	first.Roles = slices.DeleteFunc(strings.Fields(roles), func(r string) bool { return r == RoleAdmin })
	first.Roles = append(first.Roles, RoleAdmin)
	row, err := s.put(ctx, tx, email, hash, first)
	if err != nil {
		return "", Who{}, err
	}
	if _, err := audit.Append(ctx, tx, audit.Entry{Action: audit.SetupUsed, ObjectKind: "account", Object: row.ID.String()}); err != nil {
		return "", Who{}, err
	}
	return begin(ctx, tx, row, from, "setup")
}
