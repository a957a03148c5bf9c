package migrations_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"leadline/migrations"
)

func TestSplit_EndsStatementsWherePostgreSQLDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"two, and one without an end": {"SELECT 1; SELECT 2;\nSELECT 3", []string{"SELECT 1", "SELECT 2", "SELECT 3"}},
		"nothing":                     {"  ;; -- just this\n/* and this; */ ;", nil},
		"line comment":                {"SELECT 1 -- one; two\n, 2; SELECT 3 -- end", []string{"SELECT 1 -- one; two\n, 2", "SELECT 3"}},
		"nested comment":              {"SELECT /* a; /* b; */ c; */ 1; SELECT 2", []string{"SELECT /* a; /* b; */ c; */ 1", "SELECT 2"}},
		"string":                      {"SELECT 'it''s; -- no comment'; SELECT 2", []string{"SELECT 'it''s; -- no comment'", "SELECT 2"}},
		"backslash in a plain string": {`SELECT '\'; SELECT 2`, []string{`SELECT '\'`, "SELECT 2"}},
		"backslash in an E string":    {`SELECT E'\';'; SELECT 2`, []string{`SELECT E'\';'`, "SELECT 2"}},
		"a name that ends with e":     {`SELECT date'\'; SELECT 2`, []string{`SELECT date'\'`, "SELECT 2"}},
		"quoted name":                 {`SELECT 1 AS "a;""b"; SELECT 2`, []string{`SELECT 1 AS "a;""b"`, "SELECT 2"}},
		"dollars":                     {"DO $$ BEGIN; END; $$; SELECT 2", []string{"DO $$ BEGIN; END; $$", "SELECT 2"}},
		"dollars with a tag":          {"DO $a$ x; $$ y; $b$ $a$; SELECT 2", []string{"DO $a$ x; $$ y; $b$ $a$", "SELECT 2"}},
		"a dollar within a name":      {"SELECT a$b$c; SELECT 2", []string{"SELECT a$b$c", "SELECT 2"}},
		"parentheses":                 {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"}},
		"function in plain SQL": {
			"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "SELECT 3"},
		},
		"a transaction is no block": {"BEGIN; SELECT 1; END", []string{"BEGIN", "SELECT 1", "END"}},
	} {
		got, err := migrations.Split(c.body)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestSplit_RefusesWhatIsNotClosed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"\nSELECT 'a", "\nSELECT \"a", "\n/* /* */", "\nDO $a$ $$"} {
		if got, err := migrations.Split(body); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %q, %v", body, got, err)
		}
	}
}

// What is between the statements of our own files is nothing but semicolons, comments and blanks.
func TestSplit_LosesNothingOfTheRealFiles(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		body, err := migrations.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rest := string(body)
		all, err := migrations.Split(rest)
		if err != nil || len(all) == 0 {
			t.Fatal(name, len(all), err)
		}
		for _, one := range all {
			before, after, ok := strings.Cut(rest, one)
			if !ok {
				t.Fatalf("%s does not hold %q", name, one)
			}
			for line := range strings.Lines(before) {
				if code, _, _ := strings.Cut(line, "--"); strings.Trim(code, "; \n") != "" {
					t.Errorf("%s: %q belongs to no statement", name, line)
				}
			}
			rest = after
		}
	}
}
