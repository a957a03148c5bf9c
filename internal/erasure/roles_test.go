package erasure_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestRoles_ReadWhatTheyAreForAndNothingElse asks for every table and column as each role.
func TestRoles_ReadWhatTheyAreForAndNothingElse(t *testing.T) {
	d := setup(t)
	may := map[string][]string{
		"leadline_reporting": {
			`lead`, `event`, `offer`, `decision`, `pool_state`, `node`, `audit_anchor`,
			`(SELECT id, lead_id, kind, correlation_id, at FROM touch)`, `(SELECT id, name, team FROM rep)`, `(SELECT number, hash FROM config_version)`,
			`(SELECT id, lead_id, connection, state, written FROM delivery)`, `drift_group`, `drift_day`, `(SELECT id, form, state FROM drift_mail)`,
			`(SELECT group_id, day FROM drift_notice)`,
		},
		"leadline_contact": {`contact`},
		"leadline_payload": {`payload`},
		"leadline_audit":   {`audit`, `audit_head`, `audit_anchor`},
	}
	personal := []string{
		`contact`, `payload`, `audit`, `audit_head`, `account`, `session`, `api_token`, `signin_link`, `setup_link`, `secret`, `data_key`, `client_key`,
		`fingerprint`, `erasure`, `reveal`, `river_job`, `lead`, `event`, `decision`, `touch`, `rep`, `delivery`, `config_version`,
		`(SELECT payload FROM touch)`, `(SELECT email FROM rep)`, `(SELECT phone FROM rep)`, `(SELECT body FROM config_version)`, `(SELECT url FROM delivery)`,
		`drift_mail`, `drift_notice`,
	}
	for role, tables := range may {
		own := map[string]bool{}
		for _, table := range tables {
			own[table] = true
			if err := d.as(role, `SELECT count(*) FROM `+table+` t`); err != nil {
				t.Errorf("%s may not read %s: %v", role, table, err)
			}
			for _, write := range []string{`DELETE FROM `, `TRUNCATE `} {
				if err := d.as(role, write+table); table[0] != '(' && !denied(err) {
					t.Errorf("%s%s as %s: %v", write, table, role, err)
				}
			}
		}
		for _, table := range personal {
			if own[table] {
				continue
			}
			if err := d.as(role, `SELECT t.* FROM `+table+` t`); !denied(err) {
				t.Errorf("%s may read %s: %v", role, table, err)
			}
		}
	}
}

// as runs a statement as another role, and takes it back.
func (d *desk) as(role, sql string) error {
	d.t.Helper()
	tx, err := d.db.Jobs.Begin(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(d.t.Context()) }()
	if _, err := tx.Exec(d.t.Context(), `SET LOCAL ROLE `+role); err != nil {
		d.t.Fatal(err)
	}
	_, err = tx.Exec(d.t.Context(), sql)
	return err
}

func denied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}
