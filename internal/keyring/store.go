package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"leadline/internal/audit"
	"leadline/internal/config"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// ringLock is the advisory lock of whoever changes keys, held until the transaction ends; shared by whoever only relies on the
// current key staying what it is. Taken before the end of the audit chain.
const ringLock int64 = 0x4C50<<48 | 1

// keyRow is the data_key table.
type keyRow struct {
	id      int64
	purpose Purpose
	kek     string
	wrapped []byte
	public  []byte
}

const keyColumns = `id, purpose, kek, wrapped, public`

func (k *keyRow) into() []any {
	return []any{&k.id, &k.purpose, &k.kek, &k.wrapped, &k.public}
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// currentID asks for the current data key of a purpose; 0 when there is none.
func (r *Ring) currentID(ctx context.Context, q querier, purpose Purpose) (int64, error) {
	var id int64
	err := q.QueryRow(ctx, `SELECT id FROM data_key WHERE purpose = $1 AND retired_at IS NULL`, purpose).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("ask for the current %s key: %w", purpose, err)
	}
	return id, nil
}

// current opens the current data key of a purpose, made now if there is none.
func (r *Ring) current(ctx context.Context, purpose Purpose) (*dataKey, error) {
	id, err := r.currentID(ctx, r.db.Console, purpose)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		if id, err = r.first(ctx, purpose); err != nil {
			return nil, err
		}
	}
	return r.key(ctx, id)
}

// first makes the first data key of a purpose. Of several processes that try, one makes it and all get that one.
func (r *Ring) first(ctx context.Context, purpose Purpose) (id int64, err error) {
	err = postgres.InTx(ctx, r.db.Console, func(tx pgx.Tx) error {
		if err := lockRing(ctx, tx); err != nil {
			return err
		}
		if id, err = r.currentID(ctx, tx, purpose); err != nil || id != 0 {
			return err
		}
		if id, err = r.makeKey(ctx, tx, purpose); err != nil {
			return err
		}
		_, err = audit.AppendTx(ctx, tx, entry(ctx, audit.DataKeyMade, id, map[string]any{"purpose": purpose}))
		return err
	})
	return id, err
}

// makeKey stores a new current data key inside a transaction that holds ringLock. Who calls it records it.
func (r *Ring) makeKey(ctx context.Context, tx pgx.Tx, purpose Purpose) (int64, error) {
	var id int64 // known first: the wrapping is bound to it
	if err := tx.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence('data_key', 'id'))`).Scan(&id); err != nil {
		return 0, fmt.Errorf("number a data key: %w", err)
	}
	key := make([]byte, config.KeySize)
	_, _ = rand.Read(key) // never fails
	var public []byte
	if purpose == Audit {
		public = ed25519.NewKeyFromSeed(key).Public().(ed25519.PublicKey) //nolint:forcetypeassert // Ed25519's always is
	}
	kek, wrapped := r.master.wrap(purpose, id, key)
	const insert = `INSERT INTO data_key (id, purpose, kek, wrapped, public) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5)`
	if _, err := tx.Exec(ctx, insert, id, purpose, kek, wrapped, public); err != nil {
		return 0, fmt.Errorf("store a %s key: %w", purpose, err)
	}
	return id, nil
}

// key gives a data key, opening it if this is the first time here.
func (r *Ring) key(ctx context.Context, id int64) (*dataKey, error) {
	if k, ok := r.keys.Load(id); ok {
		return k.(*dataKey), nil //nolint:forcetypeassert // only these are stored
	}
	select {
	case r.opening <- struct{}{}:
		defer func() { <-r.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k, ok := r.keys.Load(id); ok {
		return k.(*dataKey), nil //nolint:forcetypeassert // only these are stored
	}
	k, err := r.openKey(ctx, id)
	if err != nil {
		return nil, err
	}
	r.keys.Store(id, k)
	return k, nil
}

// openKey unwraps a data key and records that this process did.
func (r *Ring) openKey(ctx context.Context, id int64) (k *dataKey, err error) {
	err = postgres.InTx(ctx, r.db.Console, func(tx pgx.Tx) error {
		// A caller that holds the end of the audit chain gets an error instead of waiting for itself.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '5s'`); err != nil {
			return fmt.Errorf("limit the wait for the audit chain: %w", err)
		}
		row := keyRow{}
		err := tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM data_key WHERE id = $1`, id).Scan(row.into()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "The data key %d that protects this is not in the database.", id)
		}
		if err != nil {
			return fmt.Errorf("read data key %d: %w", id, err)
		}
		if k, err = r.unwrap(row); err != nil {
			return err
		}
		_, err = audit.AppendTx(ctx, tx, entry(ctx, audit.KeyUsed, id, map[string]any{"purpose": row.purpose}))
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (r *Ring) unwrap(row keyRow) (*dataKey, error) {
	key, err := r.master.unwrap(row)
	if err != nil {
		return nil, err
	}
	return newDataKey(row, key)
}

func publicKey(ctx context.Context, q querier, id int64) (ed25519.PublicKey, error) {
	var public []byte
	err := q.QueryRow(ctx, `SELECT public FROM data_key WHERE id = $1 AND public IS NOT NULL`, id).Scan(&public)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "There is no signing key %d.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read signing key %d: %w", id, err)
	}
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("read signing key %d: %w", id, ErrDamaged)
	}
	return public, nil
}

func lockRing(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, ringLock); err != nil {
		return fmt.Errorf("wait for other changes of keys: %w", err)
	}
	return nil
}

// entry is a line of the audit chain about a data key. It is the process that opens and makes keys, not the person whose request
// happened to be the first; commands are told apart.
func entry(ctx context.Context, action audit.Action, id int64, detail map[string]any) audit.Entry {
	e := audit.Entry{Action: action, ObjectKind: "data_key", Object: strconv.FormatInt(id, 10), Detail: detail}
	if audit.ActorOf(ctx).Kind != audit.Command {
		e.ActorKind = audit.System
	}
	return e
}
