package keyring

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
)

// SecretMost is how long a secret may be, in bytes.
const SecretMost = 8 << 10

var secretNameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// IsSecretName tells whether a secret may be called this.
func IsSecretName(name string) bool { return secretNameRE.MatchString(name) }

// Secrets stores the credentials of connections. Nothing shows a value again; Lookup gives it to who sends it.
type Secrets struct {
	db   *postgres.DB
	ring *Ring
}

// NewSecrets makes a store. ring may be nil for Names, List and Remove, which need no keys.
func NewSecrets(db *postgres.DB, ring *Ring) *Secrets { return &Secrets{db: db, ring: ring} }

// Secrets gives the credentials under this ring.
func (r *Ring) Secrets() *Secrets { return NewSecrets(r.db, r) }

// SecretInfo is what may be shown of a secret.
type SecretInfo struct {
	Name    string
	Created time.Time
	Updated time.Time // when its value was set last
}

// announce is heard by the live configuration of every process, once the transaction has committed.
const announce = `SELECT pg_notify('leadline', 'config')`

// errRotated says that the key was rotated between opening it and using it.
var errRotated = errors.New("the key was rotated meanwhile")

// Set stores a secret, over the one of the same name if there is one. Running servers use it within about a second.
func (s *Secrets) Set(ctx context.Context, name string, value privacy.Secret) error {
	switch {
	case !IsSecretName(name):
		return errSecretName()
	case value == "":
		return fault.New(fault.Invalid, "A secret cannot be empty.")
	case len(value) > SecretMost:
		return fault.New(fault.Invalid, "A secret may have up to %d bytes.", SecretMost)
	}
	for {
		k, err := s.ring.current(ctx, Secret)
		if err != nil {
			return err
		}
		if err = s.set(ctx, k, name, value); !errors.Is(err, errRotated) {
			return err
		}
	}
}

func (s *Secrets) set(ctx context.Context, k *dataKey, name string, value privacy.Secret) error {
	return postgres.InTx(ctx, s.db.Console, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, ringLock); err != nil {
			return fmt.Errorf("wait for changes of keys: %w", err)
		}
		id, err := s.ring.currentID(ctx, tx, Secret)
		if err != nil {
			return err
		}
		if id != k.id {
			return errRotated
		}
		const upsert = `INSERT INTO secret (name, data_key, sealed) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET data_key = excluded.data_key, sealed = excluded.sealed, updated_at = clock_timestamp()`
		if _, err := tx.Exec(ctx, upsert, name, k.id, k.seal([]byte(value.Plain()), []byte(name))); err != nil {
			return fmt.Errorf("store the secret %s: %w", name, err)
		}
		return recordSecret(ctx, tx, audit.SecretSet, name)
	})
}

// Remove forgets a secret. NotFound when there is none of that name.
func (s *Secrets) Remove(ctx context.Context, name string) error {
	return postgres.InTx(ctx, s.db.Console, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM secret WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("remove a secret: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return noSecret(name)
		}
		return recordSecret(ctx, tx, audit.SecretRemoved, name)
	})
}

// recordSecret announces and records a change of a secret.
func recordSecret(ctx context.Context, tx pgx.Tx, action audit.Action, name string) error {
	if _, err := tx.Exec(ctx, announce); err != nil {
		return fmt.Errorf("announce a secret: %w", err)
	}
	_, err := audit.AppendTx(ctx, tx, audit.Entry{Action: action, ObjectKind: "secret", Object: name})
	return err
}

// List gives all secrets by name, without their values.
func (s *Secrets) List(ctx context.Context) ([]SecretInfo, error) {
	rows, err := s.db.Console.Query(ctx, `SELECT name, created_at, updated_at FROM secret ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SecretInfo])
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	return all, nil
}

// Lookup gives the value of a secret. NotFound when there is none of that name; other faults say why it cannot be opened here.
func (s *Secrets) Lookup(ctx context.Context, name string) (privacy.Secret, error) {
	var keyID int64
	var sealed []byte
	err := s.db.Console.QueryRow(ctx, `SELECT data_key, sealed FROM secret WHERE name = $1`, name).Scan(&keyID, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", noSecret(name)
	}
	if err != nil {
		return "", fmt.Errorf("read the secret %s: %w", name, err)
	}
	plain, err := s.ring.openSecret(ctx, keyID, sealed, name)
	return privacy.Secret(plain), err
}

// openSecret opens a secret, which must be sealed under a key for secrets.
func (r *Ring) openSecret(ctx context.Context, keyID int64, sealed []byte, name string) ([]byte, error) {
	k, err := r.key(ctx, keyID)
	if err != nil {
		return nil, err
	}
	plain, err := k.open(sealed, []byte(name))
	if err != nil || k.purpose != Secret {
		return nil, fault.Wrap(fault.Conflict, ErrDamaged, "The stored secret %s was changed outside of Leadline and does not open. Set it again: leadline secret set %s", name, name)
	}
	return plain, nil
}

func noSecret(name string) error {
	if !IsSecretName(name) { // not repeated: it may be a value that was given in place of a name
		return errSecretName()
	}
	return fault.New(fault.NotFound, "There is no secret called %s.", name)
}

func errSecretName() error {
	return fault.New(fault.Invalid, "The name of a secret has small letters, digits, - and _, begins with a letter or digit, and has at most 63 of them.")
}
