package erasure_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadline/internal/erasure"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
)

// backup makes a copy of the database as it is now, to be served later as if it had been restored.
func (d *desk) backup() func() *postgres.DB {
	d.t.Helper()
	config := d.db.Jobs.Config().ConnConfig
	name := config.Database + "_backup"
	admin := config.Copy()
	admin.Database = "postgres"
	run := func(sql string) {
		d.t.Helper()
		conn, err := pgx.ConnectConfig(d.t.Context(), admin)
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = conn.Close(d.t.Context()) }()
		if _, err := conn.Exec(d.t.Context(), sql); err != nil {
			d.t.Fatal(err)
		}
	}
	// A copy needs a quiet original: its connections are cut, and come back by themselves.
	run(`ALTER DATABASE ` + config.Database + ` ALLOW_CONNECTIONS false`)
	run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + config.Database + `'`)
	for {
		conn, err := pgx.ConnectConfig(d.t.Context(), admin)
		if err != nil {
			d.t.Fatal(err)
		}
		_, err = conn.Exec(d.t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+config.Database)
		_ = conn.Close(d.t.Context())
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "55006") {
			d.t.Fatal(err)
		}
	}
	run(`ALTER DATABASE ` + config.Database + ` ALLOW_CONNECTIONS true`)
	d.db.Jobs.Reset()
	d.db.Console.Reset()
	d.db.Path.Reset()
	return func() *postgres.DB {
		d.t.Helper()
		dsn := strings.Replace(d.db.Jobs.Config().ConnString(), config.Database, name, 1)
		db, err := postgres.Open(d.t.Context(), dsn)
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() {
			db.Close()
			conn, err := pgx.ConnectConfig(d.t.Context(), admin)
			if err == nil {
				_, err = conn.Exec(d.t.Context(), `DROP DATABASE `+name+` WITH (FORCE)`)
				_ = conn.Close(d.t.Context())
			}
			if err != nil {
				d.t.Log(err)
			}
		})
		return db
	}
}

func TestReplay_ARestoredBackupDoesNotBringThePersonBack(t *testing.T) {
	d := setup(t)
	h, other := newHuman(1), newHuman(2)
	id := d.arrive(h)
	d.arrive(other)
	claim(d, h, id)
	d.talk(h, id)
	restore := d.backup()
	// After the backup: one more enquiry, then the erasure, then a new enquiry.
	sealedRow := ask[[]byte](d, `SELECT sealed FROM payload WHERE submission = $1`, id)
	d.erase(h)
	d.send("demo", h, h.raw("7"))

	db := restore()
	if len(hits(dump(t, db), h)) < 20 {
		t.Fatal("the backup does not hold the person")
	}
	if n := len(ask[[]byte](d, `SELECT coalesce(string_agg(sealed, ''), '') FROM payload WHERE sealed = $1`, sealedRow)); n != 0 {
		t.Error("the payload is still there")
	}
	again := d.eraser(db)
	if n, err := again.ReplayMissing(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d erasures, %v", n, err)
	}
	for _, row := range hits(dump(t, db), h) {
		t.Errorf("came back: %s", row)
	}
	if len(hits(dump(t, db), other)) < 10 {
		t.Error("somebody else was erased")
	}
	d.sound(db)
	if n, err := again.ReplayMissing(t.Context()); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
	// Here, where the erasure is known, the new enquiry stays.
	if n, err := d.erasure.ReplayMissing(t.Context()); n != 0 || err != nil || len(hits(dump(t, d.db), h)) == 0 {
		t.Errorf("%d erasures, %v", n, err)
	}
}

// TestReplay_KnowsThePersonByHashAndLeavesLaterEnquiriesAlone is a backup with leads of the person that the list does not name.
func TestReplay_KnowsThePersonByHashAndLeavesLaterEnquiriesAlone(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	d.offered(h, d.arrive(h))
	d.erase(h)
	// What a restored table could hold: an enquiry from before the erasure, on a lead that the list does not name, and one from after it.
	before := d.send("demo", h, h.raw("7")).LeadID
	nameless := h.raw("8")
	nameless.Email, nameless.Name = "", ""
	d.send("contact", h, nameless)
	d.exec(`UPDATE lead SET accepted_at = accepted_at - interval '1 day' WHERE erased_at IS NULL`)
	d.exec(`UPDATE fingerprint SET last_seen = last_seen - interval '1 day'`)
	after := d.send("demo", h, h.raw("9")).LeadID
	d.exec(`DELETE FROM erasure`)
	if n, err := d.erasure.ReplayMissing(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d erasures, %v", n, err)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead WHERE erased_at IS NULL`); n != 1 {
		t.Errorf("%d leads are left", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM contact WHERE lead_id = $1`, after); n != 1 || before == after {
		t.Error("the enquiry after the erasure is gone")
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = 'person.erased_again'`); n != 1 {
		t.Errorf("%d records", n)
	}
	d.sound(d.db)
}

func TestReplay_FinishesWhatACrashCutOffAndCompletesTheFile(t *testing.T) {
	d := setup(t)
	one, two := newHuman(1), newHuman(2)
	id := d.arrive(one)
	d.arrive(two)
	// The list is written, the rows are not to be had.
	tx, err := d.db.Console.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM lead WHERE id = $1 FOR UPDATE`, id); err != nil {
		t.Fatal(err)
	}
	if _, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(one.email), Reason: "asked"}); err == nil {
		t.Fatal("erased a locked lead")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := d.erasure.ReplayMissing(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d erasures, %v", n, err)
	}
	if rows := hits(dump(t, d.db), one); len(rows) > 0 {
		t.Errorf("still there: %v", rows[0])
	}
	// Another node erases, with a file of its own; ours is completed, and is then enough.
	elsewhere := erasure.New(erasure.Options{DB: d.db, Secret: secret, List: d.list + ".other", TableOf: erasure.Tables(d.db)})
	if _, err := elsewhere.Erase(t.Context(), erasure.Request{Email: privacy.Text(two.email), Reason: "asked"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := d.erasure.ReplayMissing(t.Context()); n != 0 || err != nil {
			t.Errorf("%d erasures, %v", n, err)
		}
		if n := strings.Count(d.listText(), "\n"); n != 2 {
			t.Errorf("%d lines", n)
		}
	}
}

func TestReplay_ToleratesACutLineAndRefusesAnyOtherDamage(t *testing.T) {
	d := setup(t)
	for n := range 3 {
		h := newHuman(n)
		d.arrive(h)
		d.erase(h)
	}
	whole := d.listText()
	lines := strings.SplitAfter(whole, "\n")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(d.list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"cut":           lines[0] + lines[1] + lines[2][:40],
		"without end":   strings.TrimSuffix(whole, "\n"),
		"only zeros":    lines[0] + lines[1] + strings.Repeat("\x00", 100),
		"cut at its {":  lines[0] + lines[1] + "{",
		"wholly absent": "",
	} {
		write(text)
		if n, err := d.erasure.ReplayMissing(t.Context()); n != 0 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if got := d.listText(); len(got) != len(whole) || strings.Count(got, "\n") != 3 {
			t.Errorf("%s: the file was not made whole again:\n%s", name, got)
		}
	}
	write(whole)
	for name, text := range map[string]string{
		"changed":  strings.Replace(whole, `"leads":["0`, `"leads":["1`, 1),
		"cut":      lines[0] + lines[1][:40] + "\n" + lines[2],
		"foreign":  "hello\n" + whole,
		"last":     lines[0] + lines[1] + strings.Replace(lines[2], `"leads":["0`, `"leads":["1`, 1),
		"appended": whole + "garbage\n",
		"no lines": strings.Repeat("\x00", 10) + "\n" + whole,
	} {
		write(text)
		if _, err := d.erasure.ReplayMissing(t.Context()); err == nil || !strings.Contains(err.Error(), "is not as it was written") {
			t.Errorf("%s: %v", name, err)
		}
		h := newHuman(77)
		d.send("demo", h, h.raw("1"))
		if _, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: "asked"}); err == nil {
			t.Errorf("%s: erased with a damaged list", name)
		}
	}
}
