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

// TestTorture_WhatIsBrokenOnPurposeIsNoticed is why the other tests mean anything. A server that answers before it commits loses leads when
// it is killed, and a database that forgets commits when that is: the witness must say so both times. The third time the server says it.
func TestTorture_WhatIsBrokenOnPurposeIsNoticed(t *testing.T) {
	alongside(t)
	w, from := newWorld(t, 1, false), seed(t)
	w.answerEarly(from)
	w.forgetCommits(from + 1)
	w.refuseToServe()
}

// answerEarly kills a server that has answered and not committed.
func (w *world) answerEarly(from uint64) {
	w.t.Helper()
	o, victim := w.watch(from, 30), w.servers[0]
	victim.order("on " + string(failpoint.AckEarly))
	victim.order("kill " + string(failpoint.Sending) + " 20")
	w.dies(victim, failpoint.Sending)
	victim.start()
	o.finish()
	o.mustHaveNoticed(witness.Lost)
}

// forgetCommits kills a database that has answered and written nothing.
func (w *world) forgetCommits(from uint64) {
	w.t.Helper()
	w.exec(`ALTER SYSTEM SET synchronous_commit = off`, `SELECT pg_reload_conf()`) // after the server's start, which would refuse it
	o := w.watch(from, 30)
	var walWriter int
	if err := w.row(`SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`, &walWriter); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Kill(walWriter, syscall.SIGSTOP); err != nil { // it would write several times a second, which is nearly soon enough
		w.t.Fatal(err)
	}
	since := time.Now()
	w.eventually("visitors to be served", func() bool { return o.acks(since) >= 30 })
	w.killDatabase()
	w.connects()
	o.finish()
	o.mustHaveNoticed(witness.Lost)
}

// refuseToServe starts a server on that database.
func (w *world) refuseToServe() {
	w.t.Helper()
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(append([]string{}, w.env...), "LEADLINE_ADDR="+freeAddr(w.t), "LEADLINE_DATA_DIR="+w.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "could lose leads that were acknowledged; set synchronous_commit = on") {
		w.t.Errorf("%v\n%s", err, out)
	}
}

// mustHaveNoticed fails the test unless the witness reports a rule. What has not happened within some seconds never will.
func (o *observer) mustHaveNoticed(rule witness.Rule) {
	o.w.t.Helper()
	v := o.compare(3 * time.Second)
	if v.fine || !strings.Contains(v.said, "VIOLATION "+string(rule)+":") || !strings.Contains(v.said, "is told ok") {
		o.w.t.Errorf("the witness noticed nothing: %+v\n%s", v.Sum, v.said)
		return
	}
	_, lost, _ := strings.Cut(v.said, "VIOLATION "+string(rule)+":")
	first, _, _ := strings.Cut(lost, "\nVIOLATION")
	o.w.t.Logf("as it should be, %d violations, among them %s:%s", v.Violations, rule, first)
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
