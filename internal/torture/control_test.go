package torture_test

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/torture/witness"
)

// A harness that cannot fail proves nothing: each of these worlds is broken on purpose, and the witness must say so.

func TestTorture_WitnessNoticesAServerThatAnswersBeforeItCommits(t *testing.T) {
	w := newWorld(t, 1, false)
	o := w.watch(seed(t), 40)
	victim := w.servers[0]
	victim.order("on " + string(failpoint.AckEarly))
	victim.order("kill " + string(failpoint.Sending) + " 20")
	w.dies(victim, failpoint.Sending)
	victim.start()
	o.finish()
	o.mustHaveNoticed(witness.Lost)
}

// mustHaveNoticed fails the test unless the witness reports a rule. What has not happened within some seconds never will.
func (o *observer) mustHaveNoticed(rule witness.Rule) {
	o.w.t.Helper()
	v := o.compare(5 * time.Second)
	if v.fine || !strings.Contains(v.said, "VIOLATION "+string(rule)+":") || !strings.Contains(v.said, "is told ok") {
		o.w.t.Errorf("the witness noticed nothing: %+v\n%s", v.Sum, v.said)
		return
	}
	first, _, _ := strings.Cut(v.said, "\nVIOLATION")
	o.w.t.Logf("%d violations, as it should be; the first: %s", v.Violations, first)
}

func TestTorture_WitnessNoticesADatabaseThatForgetsCommits(t *testing.T) {
	w := newWorld(t, 1, false)
	w.exec(`ALTER SYSTEM SET synchronous_commit = off`, `SELECT pg_reload_conf()`) // after the server's start, which would refuse it
	o := w.watch(seed(t), 40)
	var walWriter int
	if err := w.row(`SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`, &walWriter); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(walWriter, syscall.SIGSTOP); err != nil { // it would write the log several times a second, nearly soon enough
		t.Fatal(err)
	}
	since := time.Now()
	w.eventually("visitors to be served", func() bool { return o.acks(since) >= 40 })
	w.killDatabase()
	w.connects()
	o.finish()
	o.mustHaveNoticed(witness.Lost)
}

// TestTorture_ServerRefusesADatabaseThatForgetsCommits is the other half: such a database is not served from.
func TestTorture_ServerRefusesADatabaseThatForgetsCommits(t *testing.T) {
	w := newWorld(t, 0, false)
	w.exec(`ALTER SYSTEM SET synchronous_commit = off`, `SELECT pg_reload_conf()`)
	w.eventually("the setting to be in force", func() bool {
		var is string
		return w.row(`SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'`, &is) == nil && is == "off"
	})
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(append([]string{}, w.env...), "LEADLINE_ADDR="+freeAddr(t), "LEADLINE_DATA_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "could lose leads that were acknowledged; set synchronous_commit = on") {
		t.Errorf("%v\n%s", err, out)
	}
}

// exec runs statements in the database itself, each on its own.
func (w *world) exec(statements ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.database.DSN())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}
