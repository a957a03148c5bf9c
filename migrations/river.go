package migrations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// newRiver gives River's migrator; pool may be nil for what needs no database.
func newRiver(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("prepare River's migrations: %w", err)
	}
	return river, nil
}

func upRiver(ctx context.Context, pool *pgxpool.Pool) error {
	river, err := newRiver(pool)
	if err != nil {
		return err
	}
	if err := refuseNewerRiver(ctx, pool, river); err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("bring River's tables up to date: %w", err)
	}
	return nil
}

func checkRiver(ctx context.Context, pool *pgxpool.Pool) error {
	river, err := newRiver(pool)
	if err != nil {
		return err
	}
	if err := refuseNewerRiver(ctx, pool, river); err != nil {
		return err
	}
	result, err := river.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("check River's tables: %w", err)
	}
	if !result.OK {
		return errors.New("the tables of River are not up to date: run `leadline migrate`")
	}
	return nil
}

// refuseNewerRiver looks for a version of River's schema that this binary's River does not have.
func refuseNewerRiver(ctx context.Context, pool *pgxpool.Pool, river *rivermigrate.Migrator[pgx.Tx]) error {
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass('river_migration') IS NOT NULL`).Scan(&there); err != nil {
		return fmt.Errorf("look for River's tables: %w", err)
	}
	if !there {
		return nil
	}
	newest := 0
	for _, version := range river.AllVersions() {
		newest = max(newest, version.Version)
	}
	var has int
	if err := pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM river_migration`).Scan(&has); err != nil {
		return fmt.Errorf("read the version of River's tables: %w", err)
	}
	if has > newest {
		return fmt.Errorf("%w (the tables of River are of version %d, this release knows %d): start the release that made the change, or a later one", ErrNewerSchema, has, newest)
	}
	return nil
}
