package keyring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// lostMark stands before the fingerprint of a key-encryption key that was given up.
const lostMark = "lost:"

// RotateData makes a new current data key for a purpose and retires the old one. Secrets are sealed anew in the same transaction;
// payloads and signatures stay with the key they were made under. resealed counts the secrets.
func (r *Ring) RotateData(ctx context.Context, purpose Purpose) (keyID int64, resealed int, err error) {
	// Opened before the transaction holds anything: the old key for what it sealed, and so that a wrong key-encryption key shows.
	if _, err := r.current(ctx, purpose); err != nil {
		return 0, 0, err
	}
	err = postgres.InTx(ctx, r.db.Console, func(tx pgx.Tx) error {
		if err := lockRing(ctx, tx); err != nil {
			return err
		}
		if keyID, err = r.replaceKey(ctx, tx, purpose); err != nil {
			return err
		}
		if purpose == Secret {
			if resealed, err = r.reseal(ctx, tx, keyID); err != nil {
				return err
			}
		}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{
			Action: audit.DataKeyRotated, ObjectKind: "data_key", Object: strconv.FormatInt(keyID, 10), Detail: map[string]any{"purpose": purpose, "resealed": resealed},
		})
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("rotate the %s key: %w", purpose, err)
	}
	return keyID, resealed, nil
}

func (r *Ring) replaceKey(ctx context.Context, tx pgx.Tx, purpose Purpose) (int64, error) {
	const retire = `UPDATE data_key SET retired_at = clock_timestamp() WHERE purpose = $1 AND retired_at IS NULL`
	if _, err := tx.Exec(ctx, retire, purpose); err != nil {
		return 0, fmt.Errorf("retire the old key: %w", err)
	}
	return r.makeKey(ctx, tx, purpose)
}

// reseal puts all secrets under a key that this transaction has made.
func (r *Ring) reseal(ctx context.Context, tx pgx.Tx, keyID int64) (int, error) {
	row := keyRow{}
	if err := tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM data_key WHERE id = $1`, keyID).Scan(row.into()...); err != nil {
		return 0, fmt.Errorf("read data key %d: %w", keyID, err)
	}
	k, err := r.unwrap(row)
	if err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, `SELECT name, data_key, sealed FROM secret ORDER BY name FOR UPDATE`)
	if err != nil {
		return 0, fmt.Errorf("read the secrets: %w", err)
	}
	type stored struct {
		Name   string
		KeyID  int64
		Sealed []byte
	}
	secrets, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return 0, fmt.Errorf("read the secrets: %w", err)
	}
	for _, s := range secrets {
		plain, err := r.openSecret(ctx, s.KeyID, s.Sealed, s.Name)
		if err != nil {
			return 0, err
		}
		sealed := k.seal(plain, []byte(s.Name))
		if _, err := tx.Exec(ctx, `UPDATE secret SET data_key = $1, sealed = $2 WHERE name = $3`, keyID, sealed, s.Name); err != nil {
			return 0, fmt.Errorf("store the secret %s: %w", s.Name, err)
		}
	}
	return len(secrets), nil
}

// RotateMaster wraps every data key anew under the current key-encryption key, in one transaction, and gives their number; 0 when
// all are under it already. The one that wraps them now must be among those that this process was given.
func (r *Ring) RotateMaster(ctx context.Context) (rewrapped int, err error) {
	err = postgres.InTx(ctx, r.db.Console, func(tx pgx.Tx) error {
		if err := lockRing(ctx, tx); err != nil {
			return err
		}
		all, err := allKeys(ctx, tx)
		if err != nil {
			return err
		}
		from := map[string]bool{}
		for _, row := range all {
			if row.kek == r.master.Fingerprint() || strings.HasPrefix(row.kek, lostMark) {
				continue
			}
			key, err := r.master.unwrap(row)
			if err != nil {
				return err
			}
			fingerprint, wrapped := r.master.wrap(row.purpose, row.id, key)
			if _, err := tx.Exec(ctx, `UPDATE data_key SET kek = $1, wrapped = $2 WHERE id = $3`, fingerprint, wrapped, row.id); err != nil {
				return fmt.Errorf("store data key %d: %w", row.id, err)
			}
			from[row.kek] = true
			rewrapped++
		}
		if rewrapped == 0 {
			return nil
		}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{
			Action: audit.MasterKeyRotated, ObjectKind: "master_key", Object: r.master.Fingerprint(), Detail: map[string]any{"keys": rewrapped, "from": slices.Sorted(maps.Keys(from))},
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("rotate the key-encryption key: %w", err)
	}
	return rewrapped, nil
}

// Lost is what went with a key-encryption key that nobody has any more.
type Lost struct {
	Keys    int      // data keys; the payloads under them cannot be read again
	Secrets []string // names of secrets that were removed and must be set again
}

// GiveUp retires the data keys under the key-encryption key with this fingerprint, which this process was not given, and removes the
// secrets under them, so that new ones can be made. What else they protect cannot be read until that key is found. The fingerprint is
// asked for so that nobody gives up what a command in the wrong environment merely could not see.
func (r *Ring) GiveUp(ctx context.Context, kek string) (lost Lost, err error) {
	if r.master.knows(kek) {
		return Lost{}, fault.New(fault.Conflict, "The key-encryption key %s is not lost: it was given.", kek)
	}
	err = postgres.InTx(ctx, r.db.Console, func(tx pgx.Tx) error {
		if err := lockRing(ctx, tx); err != nil {
			return err
		}
		all, err := allKeys(ctx, tx)
		if err != nil {
			return err
		}
		for _, row := range all {
			if row.kek != kek {
				continue
			}
			names, err := giveUpKey(ctx, tx, row)
			if err != nil {
				return err
			}
			lost.Keys++
			lost.Secrets = append(lost.Secrets, names...)
		}
		if lost.Keys == 0 {
			return fault.New(fault.NotFound, "No data key is under the key-encryption key %s.", kek)
		}
		for _, name := range lost.Secrets {
			if err := recordSecret(ctx, tx, audit.SecretRemoved, name); err != nil {
				return err
			}
		}
		_, err = audit.AppendTx(ctx, tx, audit.Entry{
			Action: audit.MasterKeyRotated, ObjectKind: "master_key", Object: r.master.Fingerprint(), Detail: map[string]any{"keys": 0, "lost": lost.Keys},
		})
		return err
	})
	if err != nil {
		return Lost{}, fmt.Errorf("give up lost keys: %w", err)
	}
	return lost, nil
}

func giveUpKey(ctx context.Context, tx pgx.Tx, row keyRow) (names []string, err error) {
	const retire = `UPDATE data_key SET kek = $1, retired_at = coalesce(retired_at, clock_timestamp()) WHERE id = $2`
	if _, err := tx.Exec(ctx, retire, lostMark+row.kek, row.id); err != nil {
		return nil, fmt.Errorf("retire data key %d: %w", row.id, err)
	}
	rows, err := tx.Query(ctx, `DELETE FROM secret WHERE data_key = $1 RETURNING name`, row.id)
	if err != nil {
		return nil, fmt.Errorf("remove secrets: %w", err)
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("remove secrets: %w", err)
	}
	return names, nil
}

// allKeys reads every data key, inside a transaction that holds ringLock.
func allKeys(ctx context.Context, tx pgx.Tx) ([]keyRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+keyColumns+` FROM data_key ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read the data keys: %w", err)
	}
	defer rows.Close()
	var all []keyRow
	for rows.Next() {
		var row keyRow
		if err := rows.Scan(row.into()...); err != nil {
			return nil, fmt.Errorf("read the data keys: %w", err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the data keys: %w", err)
	}
	return all, nil
}
