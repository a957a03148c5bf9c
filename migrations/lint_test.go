package migrations_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"leadline/migrations"
)

// The files of this release keep the rules. A warning is for the reader.
func TestLint_FilesOfThisRelease(t *testing.T) {
	t.Parallel()
	found, err := migrations.Lint(migrations.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Warning {
			t.Log(f)
		} else {
			t.Error(f)
		}
	}
}

// base is what the release before has made.
const base = `
CREATE TABLE old (
    id bigint PRIMARY KEY,
    code text NOT NULL UNIQUE,
    day date, hour int4,
    UNIQUE (day, hour)
);
CREATE TABLE other (id uuid PRIMARY KEY);
CREATE INDEX other_index ON other (id);
`

const outside = "-- no transaction\n"

// cases are files that follow base, with what must be found: "rule line", in the order of lines.
var cases = map[string]struct {
	body string
	want []string
}{
	"nothing wrong with new tables": {`
CREATE TABLE fresh (
    id uuid PRIMARY KEY, thing_id bigint NOT NULL REFERENCES old ON DELETE SET NULL, number integer, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (thing_id, number)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX fresh_number ON fresh (number);
ALTER TABLE fresh ADD CHECK (number > 0), ADD COLUMN x uuid NOT NULL DEFAULT gen_random_uuid(), ALTER COLUMN x TYPE text, DROP COLUMN at;
INSERT INTO fresh (id) VALUES (gen_random_uuid());
UPDATE fresh SET number = 1;
DELETE FROM fresh;
DROP TABLE fresh;`, nil},
	"nothing wrong with additions": {`
ALTER TABLE old
    ADD COLUMN a text,
    ADD COLUMN IF NOT EXISTS b text NOT NULL DEFAULT '',
    ADD COLUMN c numeric(10, 2) NOT NULL DEFAULT 0::numeric(10, 2),
    ADD COLUMN d timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN e text[] NOT NULL DEFAULT ARRAY[]::text[],
    ADD COLUMN f text DEFAULT NULL,
    ADD CONSTRAINT a_known CHECK (a IN ('x', 'y')) NOT VALID,
    ADD CONSTRAINT a_other FOREIGN KEY (d) REFERENCES old (id) NOT VALID,
    ADD CONSTRAINT b_once UNIQUE USING INDEX old_b,
    ALTER COLUMN code DROP NOT NULL,
    ALTER COLUMN code SET DEFAULT '',
    DROP CONSTRAINT old_check,
    SET (fillfactor = 50);
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET lock_timeout = '1s' AS $$ BEGIN DELETE FROM old; END $$;`, nil},

	"file: unclosed":                {"SELECT 'a", []string{"file 1"}},
	"header: nearly the mark":       {"-- No transaction\nSELECT 1", []string{"header 1"}},
	"header: too late":              {"-- What this is.\n-- no transaction\nSELECT 1", []string{"header 2"}},
	"transaction":                   {"BEGIN;\nSELECT 1;\nCOMMIT;", []string{"transaction 1", "transaction 3"}},
	"setting":                       {"SET LOCAL lock_timeout = 0;\nSET statement_timeout TO '1min';\nSELECT set_config('lock_timeout', '0', true);", []string{"setting 1", "setting 2", "setting 3"}},
	"setting: another one":          {"SET LOCAL work_mem = '1GB';\nSELECT set_config('work_mem', '1GB', true);", nil},
	"narrow-id: primary key":        {"CREATE TABLE n (\n number integer PRIMARY KEY)", []string{"narrow-id 2"}},
	"narrow-id: serial":             {"CREATE TABLE n (\n id serial)", []string{"narrow-id 2"}},
	"narrow-id: key declared later": {"CREATE TABLE n (\n number smallint NOT NULL,\n PRIMARY KEY (number))", []string{"narrow-id 2"}},
	"narrow-id: reference":          {"CREATE TABLE n (id bigint PRIMARY KEY,\n old_id int4, other_ids int[])", []string{"narrow-id 2", "narrow-id 2"}},
	"narrow-id: added":              {"ALTER TABLE old\n ADD COLUMN rep_id integer", []string{"narrow-id 2"}},
	"narrow-id: sequence":           {"CREATE SEQUENCE s AS integer;\nCREATE SEQUENCE t AS bigint;\nALTER SEQUENCE t AS int", []string{"narrow-id 1", "narrow-id 3"}},
	"unlogged":                      {"CREATE UNLOGGED TABLE n (id bigint);\nALTER TABLE n SET UNLOGGED", []string{"unlogged 1", "unlogged 2"}},
	"drop: table":                   {"DROP TABLE IF EXISTS old", []string{"drop 1"}},
	"drop: column":                  {"ALTER TABLE old\n DROP COLUMN IF EXISTS code,\n DROP day", []string{"drop 2", "drop 3"}},
	"drop: default":                 {"ALTER TABLE old ALTER COLUMN code DROP DEFAULT, ALTER id DROP IDENTITY", []string{"drop 1", "drop 1"}},
	"drop: key":                     {"ALTER TABLE old DROP CONSTRAINT old_code_key", []string{"drop 1"}},
	"drop: function, trigger":       {"DROP FUNCTION f(int);\nDROP TRIGGER x ON old", []string{"drop 1", "drop 2"}},
	"drop: table that comes back":   {"DROP TABLE old;\nCREATE TABLE old (id bigint)", []string{"drop 1"}},
	"drop: a trigger that comes back": {
		"DROP TRIGGER x ON old;\nCREATE TRIGGER x BEFORE UPDATE ON old FOR EACH ROW EXECUTE FUNCTION f()", nil,
	},
	"drop: with a reason":                  {"-- contract: nothing since 1.4 reads it\nDROP TABLE old;", nil},
	"drop: with a reason for each column":  {"ALTER TABLE old\n -- contract: nothing since 1.4 reads it\n DROP COLUMN code", nil},
	"drop: with a reason of several lines": {"-- contract: nothing since 1.4 reads it,\n-- nor does anybody's report\nALTER TABLE old DROP COLUMN code", nil},
	"drop: with an empty reason":           {"-- contract:\nDROP TABLE old;", []string{"drop 2"}},
	"drop: with a reason for another":      {"-- contract: nothing since 1.4 reads it\nDROP TABLE old;\n-- lock order: as in dispatch\n\nDROP TABLE other;", []string{"drop 5"}},
	"rename":                               {"ALTER TABLE old RENAME TO new;\nALTER TABLE old RENAME code TO kode;\nALTER TYPE t RENAME VALUE 'a' TO 'b';\nALTER TABLE old SET SCHEMA s", []string{"rename 1", "rename 2", "rename 3", "rename 4"}},
	"rename: an index":                     {"ALTER INDEX other_index RENAME TO other_idx", nil},
	"change-type":                          {"ALTER TABLE old ALTER code TYPE varchar(9);\nALTER TABLE old ALTER COLUMN code SET DATA TYPE text", []string{"change-type 1", "change-type 2"}},
	"set-not-null":                         {"ALTER TABLE public.\"old\" ALTER day SET NOT NULL", []string{"set-not-null 1"}},
	"add-not-null":                         {"ALTER TABLE ONLY old ADD a text NOT NULL", []string{"add-not-null 1"}},
	"volatile-default": {
		"ALTER TABLE old ADD a timestamptz DEFAULT clock_timestamp(),\n ADD b uuid NOT NULL DEFAULT gen_random_uuid(),\n ADD c text DEFAULT ('x' || random())",
		[]string{"volatile-default 1", "volatile-default 2", "volatile-default 3"},
	},
	"rewrite": {
		"ALTER TABLE old ADD a bigint GENERATED ALWAYS AS IDENTITY,\n ADD b text GENERATED ALWAYS AS (lower(code)) STORED,\n ADD c bigserial;\nALTER TABLE old SET TABLESPACE t",
		[]string{"rewrite 1", "rewrite 2", "rewrite 3", "rewrite 4"},
	},
	"index":                           {"CREATE INDEX ON old (code);\nCREATE UNIQUE INDEX IF NOT EXISTS i ON ONLY public.old (code);", []string{"index 1", "index 2"}},
	"index: of a key":                 {"ALTER TABLE old ADD UNIQUE (code),\n ADD a text UNIQUE,\n ADD CONSTRAINT x EXCLUDE USING gist (code WITH =)", []string{"index 1", "index 2", "index 3"}},
	"index: outside":                  {outside + "CREATE INDEX IF NOT EXISTS i ON old (code)", []string{"index 2"}},
	"index: outside and concurrently": {outside + "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON old (code)", nil},
	"concurrently":                    {"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON old (code);\nREINDEX (CONCURRENTLY) TABLE old", []string{"concurrently 1", "concurrently 2"}},
	"drop-index":                      {"-- contract: nothing since 1.4 looks there\nDROP INDEX other_index", []string{"drop-index 2"}},
	"drop-index: concurrently":        {outside + "-- contract: nothing since 1.4 looks there\nDROP INDEX CONCURRENTLY IF EXISTS other_index", nil},
	"drop-index: built anew":          {outside + "DROP INDEX CONCURRENTLY IF EXISTS i;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON old (code)", nil},
	"not-valid": {
		"ALTER TABLE old ADD CHECK (hour > 0),\n ADD CONSTRAINT x FOREIGN KEY (id) REFERENCES old,\n ADD a text CHECK (a <> ''),\n ADD b uuid REFERENCES old",
		[]string{"not-valid 1", "not-valid 2", "not-valid 3", "not-valid 4"},
	},
	"validate":                {"ALTER TABLE old ADD CONSTRAINT x CHECK (hour > 0) NOT VALID;\nALTER TABLE old VALIDATE CONSTRAINT x", []string{"validate 2"}},
	"validate: one of before": {"ALTER TABLE old VALIDATE CONSTRAINT x", nil},
	"repeatable": {
		outside + "CREATE INDEX CONCURRENTLY i ON old (code);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS ON old (code);\nCREATE TABLE n (id bigint);\nALTER TABLE old ADD COLUMN a text;\n" +
			"-- contract: unused\nDROP TABLE n;\nINSERT INTO old VALUES (1)",
		[]string{"repeatable 2", "repeatable 3", "repeatable 4", "repeatable 5", "repeatable 7", "repeatable 8"},
	},
	"repeatable: it is": {
		outside + "CREATE TABLE IF NOT EXISTS n (id bigint);\nALTER TABLE old ADD COLUMN IF NOT EXISTS a text;\nALTER TABLE old VALIDATE CONSTRAINT x;\n" +
			"ALTER TYPE t ADD VALUE IF NOT EXISTS 'x';\nCREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';\nANALYZE old;\nINSERT INTO old VALUES (1) ON CONFLICT DO NOTHING", nil,
	},
	"backfill": {
		"UPDATE old SET code = '';\nDELETE FROM old WHERE hour = 1;\nTRUNCATE other;\nWITH x AS (DELETE FROM ONLY other RETURNING id) SELECT * FROM x;\n" +
			"UPDATE old SET code = '' WHERE id = 1 OR true;\nUPDATE old SET code = '' WHERE id IN (SELECT 1);\nUPDATE old SET code = '' FROM other WHERE old.id = 1;\nUPDATE old SET code = '' WHERE day = '2026-01-01'",
		[]string{"backfill 1", "backfill 2", "backfill 3", "backfill 4", "backfill 5", "backfill 6", "backfill 7", "backfill 8"},
	},
	"backfill: copied":          {"CREATE TABLE n (id bigint);\nINSERT INTO n SELECT id FROM old;\nCREATE TABLE m AS SELECT * FROM n JOIN other ON true", []string{"backfill 2", "backfill 3"}},
	"backfill: rows of another": {"UPDATE river_queue SET paused_at = NULL", []string{"backfill 1"}},
	"backfill: named rows": {
		"UPDATE old SET code = '' WHERE id = 1;\nDELETE FROM old WHERE code IN ('a', 'b') AND hour = 1;\nUPDATE old SET code = '' WHERE hour = 1 AND day = '2026-01-01';\n" +
			"INSERT INTO old VALUES (1) ON CONFLICT (id) DO UPDATE SET code = 'x';\nSELECT 1 FROM old FOR UPDATE", nil,
	},
	"lock-table":                {"LOCK TABLE old IN SHARE MODE;\nLOCK other", []string{"lock-table 1", "lock-table 2"}},
	"lock-order":                {"ALTER TABLE old ADD a text;\nALTER TABLE old ADD b text;\nALTER TABLE other ADD a text;", []string{"lock-order 3"}},
	"lock-order of a reference": {"CREATE TABLE n (id bigint REFERENCES old);\nALTER TABLE other ADD a text;", []string{"lock-order 2"}},
	"lock-order explained":      {"-- lock order: as dispatch does\nALTER TABLE old ADD a text;\nALTER TABLE other ADD a text;", nil},
	"lock-order without one":    {outside + "ALTER TABLE old ADD IF NOT EXISTS a text;\nALTER TABLE other ADD IF NOT EXISTS a text;", nil},
	"maintenance": {
		outside + "VACUUM FULL old;\nVACUUM (FULL) old;\nCLUSTER old;\nREINDEX TABLE old;\nREFRESH MATERIALIZED VIEW v",
		[]string{"maintenance 2", "maintenance 3", "maintenance 4", "maintenance 5", "maintenance 6"},
	},
	"maintenance: gentle": {outside + "VACUUM old;\nREINDEX TABLE CONCURRENTLY old;\nREFRESH MATERIALIZED VIEW CONCURRENTLY v", nil},

	"inside a block": {
		"DO $$\nDECLARE r text;\nBEGIN\n IF true THEN\n  DROP TABLE old;\n ELSE UPDATE old SET code = ''; END IF;\n EXECUTE format('ALTER TABLE %I RENAME TO x', r);\nEND $$",
		[]string{"drop 5", "backfill 6", "lock-order 7", "rename 7"},
	},
	"inside a harmless block": {
		"DO $$ BEGIN\n IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'x') THEN EXECUTE format('CREATE ROLE %I NOLOGIN', 'x'); END IF;\n GRANT SELECT ON old TO x;\nEND $$", nil,
	},
}

func TestLint_EachRule(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		found, err := migrations.Lint(fstest.MapFS{"0005_base.sql": {Data: []byte(base)}, "0006_next.sql": {Data: []byte(c.body)}})
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, f := range found {
			place, _, _ := strings.Cut(strings.TrimPrefix(f.String(), f.File+":"), ":")
			got = append(got, f.Rule+" "+place)
			if f.File != "0006_next.sql" || f.What == "" || f.Advice == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q\n%v", name, got, c.want, found)
		}
	}
}

// Every rule must have been seen to speak, and only warnings let a file pass.
func TestLint_EveryRuleHasACase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range cases {
		for _, w := range c.want {
			rule, _, _ := strings.Cut(w, " ")
			seen[rule] = true
		}
	}
	for _, rule := range migrations.RuleNames() {
		if !seen[rule] {
			t.Error("no case for", rule)
		}
	}
}

func TestLint_FileNames(t *testing.T) {
	t.Parallel()
	fine := &fstest.MapFile{Data: []byte("SELECT 1")}
	found, err := migrations.Lint(fstest.MapFS{"0001_a.sql": fine, "0002_b.sql": fine, "0002_c.sql": fine, "3_d.sql": fine, "0004-e.sql": fine, "0005_f.sql": fine})
	var got []string
	for _, f := range found {
		got = append(got, f.Rule+" "+f.File)
	}
	if want := []string{"file 0002_c.sql", "file 0004-e.sql", "file 3_d.sql"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q, %v", got, want, err)
	}
}

// A table of this release is old for the next file, whichever made it.
func TestLint_KnowsTheTablesOfEarlierFiles(t *testing.T) {
	t.Parallel()
	all := release(t)
	all["9999_next.sql"] = &fstest.MapFile{Data: []byte("UPDATE event_stream SET seq = 1 WHERE name = 'console';\nUPDATE lead SET stage = 'closed' WHERE stage = 'new';\nCREATE INDEX i ON river_job (id);")}
	found, err := migrations.Lint(all)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		if f.File == "9999_next.sql" {
			got = append(got, f.Rule+" "+f.What)
		}
	}
	if want := []string{"backfill rows of lead", "index i on river_job"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
