package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// CheckDurability refuses a server whose settings could lose a lead after it was acknowledged. With needStandby, a synchronous
// standby must be configured as well.
func CheckDurability(ctx context.Context, pool *pgxpool.Pool, needStandby bool) error {
	rows, err := pool.Query(ctx, `SELECT name, setting FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'data_sync_retry', 'synchronous_standby_names')`)
	if err != nil {
		return fmt.Errorf("read the database's durability settings: %w", err)
	}
	defer rows.Close()
	is := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return fmt.Errorf("read the database's durability settings: %w", err)
		}
		is[name] = value
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the database's durability settings: %w", err)
	}
	if bad := unsafe(is, needStandby); len(bad) > 0 {
		return fmt.Errorf("this PostgreSQL could lose leads that were acknowledged; set %s", strings.Join(bad, ", "))
	}
	return nil
}

func unsafe(is map[string]string, needStandby bool) (bad []string) {
	for _, name := range []string{"fsync", "full_page_writes"} {
		if is[name] != "on" {
			bad = append(bad, fmt.Sprintf("%s = on (it is %s)", name, is[name]))
		}
	}
	if v := is["synchronous_commit"]; v == "off" || v == "local" {
		bad = append(bad, fmt.Sprintf("synchronous_commit = on (it is %s)", v))
	}
	if is["data_sync_retry"] == "on" {
		bad = append(bad, "data_sync_retry = off (it is on)")
	}
	if needStandby && is["synchronous_standby_names"] == "" {
		bad = append(bad, "synchronous_standby_names to a standby, or LEADLINE_SINGLE_NODE_DB=yes for Leadline to accept that there is none")
	}
	return bad
}
