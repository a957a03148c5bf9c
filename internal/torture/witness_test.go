package torture_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"leadline/internal/dispatch"
	live "leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/torture/witness"
)

// observer is the witness's process, while it drives.
type observer struct {
	w     *world
	file  string
	stdin io.Closer
	run   *process
	lines []witness.Line // read so far
	read  int64          // bytes of it
}

// watch starts a witness that sends visitors to all servers at a rate.
func (w *world) watch(seed uint64, rate int) *observer {
	w.t.Helper()
	var targets []string
	for _, s := range w.servers {
		targets = append(targets, s.url)
	}
	o := &observer{w: w, file: filepath.Join(w.dir, fmt.Sprintf("books-%d.jsonl", seed))}
	cmd := exec.Command(os.Args[0], "witness", "drive", "-file", o.file, "-seed", fmt.Sprint(seed), "-rate", fmt.Sprint(rate), "-at-once", fmt.Sprint(max(40, rate)), "-targets", strings.Join(targets, ","))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	o.stdin, o.run = stdin, w.run(cmd)
	w.eventually("the first acknowledged lead", func() bool { return o.acks(time.Time{}) > 0 })
	return o
}

// books reads what has been written so far; a line that is being written does not count yet. For the test's own goroutine.
func (o *observer) books() []witness.Line {
	file, err := os.Open(o.file)
	if err != nil {
		return o.lines
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(file, o.read, 1<<30))
	if err != nil {
		return o.lines
	}
	for line := range strings.Lines(string(text)) {
		var l witness.Line
		if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &l) != nil {
			break
		}
		o.read += int64(len(line))
		o.lines = append(o.lines, l)
	}
	return o.lines
}

// acks counts acknowledgements after a moment.
func (o *observer) acks(after time.Time) (n int) {
	for _, l := range o.books() {
		if l.Class == witness.OK && l.At.After(after) {
			n++
		}
	}
	return n
}

// finish lets no more visitors come, and waits for those who are under way.
func (o *observer) finish() witness.Driven {
	o.w.t.Helper()
	_ = o.stdin.Close()
	select {
	case <-o.run.done:
	case <-time.After(2 * patience):
		o.w.t.Fatal("the witness does not finish")
	}
	var sum witness.Driven
	if err := json.Unmarshal([]byte(o.run.stdout.String()), &sum); err != nil || o.run.cmd.ProcessState.ExitCode() != 0 {
		o.w.t.Fatalf("the witness failed: %v\n%s", err, o.run.stderr)
	}
	return sum
}

// everyLeadHasSomebody asks the product's own watch, which must have nothing to say once everything has settled.
func (w *world) everyLeadHasSomebody() {
	w.t.Helper()
	ctx := w.t.Context()
	db, err := postgres.Open(ctx, w.database.DSN())
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	book := live.NewLive(db, func(string) (string, bool) { return webhookSecret, true }, slog.New(slog.DiscardHandler))
	if err := book.Refresh(ctx); err != nil {
		w.t.Fatal(err)
	}
	watch := dispatch.New(dispatch.Options{DB: db, Now: time.Now, Snapshot: func() dispatch.Snapshot {
		now := book.Current()
		return dispatch.Snapshot{Table: now.Table, Targets: now.Targets()}
	}})
	if n, err := watch.Unowned(ctx); n != 0 || err != nil {
		w.t.Errorf("%d leads have neither owner, offer, place in a queue nor alarm: %v", n, err)
	}
	if c, err := watch.Conservation(ctx, 24*time.Hour); c.Lost() != 0 || err != nil {
		w.t.Errorf("the leads do not add up: %+v %v", c, err)
	}
}

// verdict is what the witness says in the end.
type verdict struct {
	witness.Sum
	fine bool
	said string
}

// compare has the witness hold its books against the database and the CRM; everything may take that long to finish.
func (o *observer) compare(limit time.Duration) verdict {
	o.w.t.Helper()
	cmd := exec.Command(os.Args[0], "witness", "check", "-file", o.file, "-dsn", o.w.database.DSN(), "-crm", o.w.sandbox, "-patience", limit.String())
	p := o.w.run(cmd)
	<-p.done
	v := verdict{fine: p.cmd.ProcessState.ExitCode() == 0, said: p.stderr.String()}
	if err := json.Unmarshal([]byte(p.stdout.String()), &v.Sum); err != nil {
		o.w.t.Fatalf("the witness could not compare: %v\n%s", err, p.stderr)
	}
	return v
}

// mustBeContent fails the test with every violation.
func (v verdict) mustBeContent(o *observer) {
	o.w.t.Helper()
	if !v.fine {
		o.w.t.Errorf("%d violations\n%s", v.Violations, tail(v.said, 8000))
	}
	o.w.everyLeadHasSomebody()
	o.w.t.Logf("%d visitors, %d tries: %d acknowledged, %d left with \"kept\", %d refused, %d never knew; %d leads, %d in the CRM, %d overtaken; offered after p99 %d ms, at most %d ms",
		v.Visitors, v.Tries, v.Acked, v.Spooled, v.Refused, v.Unknown, v.Leads, v.Records, v.Overtaken, v.PlacedP99, v.PlacedMax)
}
