package playbook

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Compile makes the routing table of a configuration, under the number that its decisions shall name. The table is nil when a problem is
// more than a warning; problems carry the lines where they were written.
func (c *Config) Compile(version int64) (*routing.Table, []Problem) {
	table, found := c.Table(version)
	check := &checker{cfg: c}
	check.fromRouting(found)
	return table, check.problems
}

// Stored reads a version that decided about leads, whether it was published or a canary: what it says, and the hash of its content. A number
// that nothing ever had is a NotFound fault; a version that this binary can no longer read is an Invalid one.
func Stored(ctx context.Context, db *postgres.DB, version int64) (cfg *Config, hash string, err error) {
	return StoredAs(ctx, db, version, "")
}

// What was published comes before canaries, and the content that was asked for before another of the same number: while a release ran that
// knows no canaries, it may have given a number again that was kept for one.
const storedSQL = `
SELECT v.body, v.hash FROM (
    SELECT number, body, hash, 0 AS place FROM config_version
    UNION ALL SELECT number, body, hash, 1 FROM canary) v
WHERE v.number = $1 ORDER BY v.hash = $2 DESC, v.place LIMIT 1`

// StoredAs is Stored for a version of which the hash is known; where several had the number, the one of that hash.
func StoredAs(ctx context.Context, db *postgres.DB, version int64, wanted string) (cfg *Config, hash string, err error) {
	return readVersion(ctx, db, version, storedSQL, version, wanted)
}

// published is Stored for versions that were live for all leads: a canary that was taken back is none.
func published(ctx context.Context, db *postgres.DB, version int64) (cfg *Config, hash string, err error) {
	return readVersion(ctx, db, version, `SELECT body, hash FROM config_version WHERE number = $1`, version)
}

func readVersion(ctx context.Context, db *postgres.DB, version int64, sql string, args ...any) (cfg *Config, hash string, err error) {
	var body string
	err = db.Jobs.QueryRow(ctx, sql, args...).Scan(&body, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, "", fault.New(fault.NotFound, "There is no version %d.", version)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read version %d: %w", version, err)
	}
	cfg, problems := Parse(fmt.Sprintf("version %d", version), []byte(body))
	if Failed(problems) {
		return nil, hash, fault.New(fault.Invalid, "Version %d can no longer be read: %s", version, problems[0])
	}
	return cfg, hash, nil
}

// FactsOf gives what rules may look at of a lead that was sent to a form, as intake would find it. A form that does not exist and
// answers that it would refuse are errors, in words for the one who sent them.
func (c *Config) FactsOf(form string, raw lead.Raw) (routing.Facts, error) {
	for _, f := range c.Forms {
		if f.Slug == form {
			return factsOf(f, raw)
		}
	}
	return routing.Facts{}, fmt.Errorf("there is no form %q", form)
}
