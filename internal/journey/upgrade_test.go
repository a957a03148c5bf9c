package journey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/load"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// upgradePlaybook feeds a pool to pull from: every lead is offered to it at once and stays there.
const upgradePlaybook = `
version: 1
forms:
  - {slug: demo, name: Demo request}
reps:
  - {email: mia@example.com, name: Mia}
pools:
  - {slug: open, strategy: pull, members: [{rep: mia@example.com}]}
rules:
  - {name: Everything, band: default, then: {pool: open}}
`

// upgradeSize is how hard the test tries.
type upgradeSize struct {
	rows                   int     // leads that are there before
	rate                   float64 // leads per second, to each server
	alone, together, after time.Duration
}

func upgradeSizeWanted() upgradeSize {
	if torture() {
		return upgradeSize{rows: 500_000, rate: 100, alone: 20 * time.Second, together: 40 * time.Second, after: 20 * time.Second}
	}
	return upgradeSize{rows: 20_000, rate: 60, alone: 2 * time.Second, together: 3 * time.Second, after: 2 * time.Second}
}

// longestStall is how long an answer may take at worst. The goal is 250 ms; the rest is for machines that have other things to do.
const longestStall = 2 * time.Second

// The release before serves under load while this one migrates, then both serve, then the older one is stopped: no answer fails,
// no lead is lost or doubled, and each is offered.
func TestUpgrade_PreviousBinaryWorksOnWhileThisOneMigratesAndTakesOver(t *testing.T) {
	size := upgradeSizeWanted()
	source := previousSource(t)
	previous := buildAt(t, source, "previous")
	u := newUpgrade(t, previous, size.rows)

	before := u.serve(previous)
	oldLoad := u.load(before, size.rate)
	wait(size.alone)
	u.works(before, before, oldLoad) // so that it has met each statement on the tables as they were
	had := u.count(`SELECT count(*) FROM schema_migration`)
	// A report that reads the leads for some seconds: the migration stands behind it, visitors must not stand behind the migration.
	tx, err := u.db.Jobs.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT count(*) FROM lead`); err != nil {
		t.Fatal(err)
	}
	go func() { <-time.After(5 * time.Second); _ = tx.Rollback(context.Background()) }()
	began := time.Now()
	u.command(binary, "migrate")
	ended := time.Now()
	fresh := u.count(`SELECT count(*) FROM schema_migration`) - had
	u.works(before, before, oldLoad)

	now := u.serve(binary)
	newLoad := u.load(now, size.rate)
	wait(size.together)
	u.works(before, now, newLoad)
	u.works(now, before, oldLoad)

	oldLoad.end(t)
	before.process.stop()
	if code := before.process.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the binary before ended with %d", code)
	}
	wait(size.after)
	newLoad.end(t)
	u.everyLeadIsThereOnceAndOffered(slices.Concat(oldLoad.ids(), newLoad.ids()))
	u.noErrorsLogged(before, now)
	t.Logf("%d new migrations on %d leads in %.2f s, the longest time without an answer meanwhile %d ms", fresh, size.rows, ended.Sub(began).Seconds(),
		oldLoad.silence(began, ended).Milliseconds())
	t.Logf("before: %v", oldLoad)
	t.Logf("now: %v", newLoad)
	if fresh == 0 {
		return
	}
	u.refuses(previous)
	if torture() {
		u.goesBack(source, now)
	}
}

// refuses asserts that a binary does not start on a schema of which it knows too little, and says what to do.
func (u *upgrade) refuses(bin string) {
	u.t.Helper()
	cmd := exec.Command(bin, "serve")
	cmd.Env = append(u.env, "LEADLINE_ADDR="+freeAddr(u.t))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "older than the database schema") {
		u.t.Errorf("the binary before on the new schema: %v\n%s", err, out)
	}
}

// goesBack starts the code of the release before with the files of this one, beside this one under load, and stops this one:
// docs/migrations.md, "Going back".
func (u *upgrade) goesBack(source string, now *server) {
	u.t.Helper()
	known := len(u.leads())
	addMigrations(u.t, source)
	back := u.serve(buildAt(u.t, source, "back"))
	backLoad := u.load(back, 60)
	wait(5 * time.Second)
	u.works(back, back, backLoad)
	now.process.stop()
	wait(2 * time.Second)
	backLoad.end(u.t)
	u.t.Logf("gone back: %v", backLoad)
	if more := len(u.leads()) - known; more != len(backLoad.ids()) {
		u.t.Errorf("after going back %d leads were acknowledged and %d stored", len(backLoad.ids()), more)
	}
	u.noErrorsLogged(now, back)
}

// upgrade is one database that several binaries share.
type upgrade struct {
	t     *testing.T
	db    *postgres.DB
	env   []string
	token string
}

// server is a leadline that serves.
type server struct {
	url     string
	process *process
}

// newUpgrade makes an installation of the release before, with past leads so that reading whole tables would be felt.
func newUpgrade(t *testing.T, previous string, rows int) *upgrade {
	t.Helper()
	dsn := pgtest.NewEmpty(t)
	db, err := postgres.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	u := &upgrade{t: t, db: db}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "LEADLINE_") && !strings.HasPrefix(pair, "TORTURE=") && !strings.HasPrefix(pair, "DATABASE_URL=") {
			u.env = append(u.env, pair)
		}
	}
	u.env = append(u.env, "DATABASE_URL="+dsn, "LEADLINE_DATA_DIR="+t.TempDir(), "LEADLINE_SECRET=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	u.command(previous, "migrate")
	u.fill(rows)
	file := filepath.Join(t.TempDir(), "playbook.yaml")
	if err := os.WriteFile(file, []byte(upgradePlaybook), 0o600); err != nil {
		t.Fatal(err)
	}
	u.command(previous, "apply", file)
	u.token = strings.TrimSpace(u.command(previous, "token", "add", "--name", "upgrade", "--scope", "leads:read,leads:act"))
	return u
}

// fill makes leads of the past, people and their sessions, in the columns that every release has.
func (u *upgrade) fill(rows int) {
	u.t.Helper()
	for _, statement := range []string{
		`INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage)
			SELECT gen_random_uuid(), '', 'past', 'low', 0, clock_timestamp(), 'closed' FROM generate_series(1, ROWS)`,
		`INSERT INTO contact (lead_id, name, email, notes) SELECT id, 'Ada Example', id || '@past.example', repeat('We lose leads at night. ', 10) FROM lead`,
		`INSERT INTO account (id, email) SELECT gen_random_uuid(), n || '@past.example' FROM generate_series(1, ROWS / 100) n`,
		`INSERT INTO session (token_hash, account_id) SELECT sha256((id::text || n)::bytea), id FROM account, generate_series(1, 10) n`,
		`WITH s AS (UPDATE event_stream SET seq = seq + ROWS WHERE name = 'console' RETURNING seq)
			INSERT INTO event (seq, lead_id, kind) SELECT s.seq - ROWS + row_number() OVER (), lead.id, 'closed' FROM lead, s`,
		`VACUUM ANALYZE`, // as it would be by now
	} {
		if _, err := u.db.Jobs.Exec(u.t.Context(), strings.ReplaceAll(statement, "ROWS", strconv.Itoa(rows))); err != nil {
			u.t.Fatal(err)
		}
	}
}

// command runs a binary's command to its end and gives what it printed.
func (u *upgrade) command(bin string, args ...string) string {
	u.t.Helper()
	cmd := exec.Command(bin, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = u.env, &out, &errs
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("%s %s: %v\n%s", filepath.Base(bin), strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// serve starts a binary on an address of its own and waits until it takes leads.
func (u *upgrade) serve(bin string) *server {
	u.t.Helper()
	addr := freeAddr(u.t)
	p := &process{cmd: exec.Command(bin, "serve"), stdout: &lines{}, stderr: &lines{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(slices.Clone(u.env), "LEADLINE_ADDR="+addr), p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	u.t.Cleanup(func() {
		p.stop()
		if u.t.Failed() {
			u.t.Logf("%s serve said:\n%s", filepath.Base(bin), tail(p.stderr.String(), 6000))
		}
		if strings.Contains(p.stderr.String(), "WARNING: DATA RACE") {
			u.t.Errorf("data race in %s serve:\n%s", filepath.Base(bin), p.stderr)
		}
	})
	s := &server{url: "http://" + addr, process: p}
	u.eventually(filepath.Base(bin)+" to be ready", func() bool {
		select {
		case <-p.done:
			u.t.Fatalf("%s serve ended:\n%s", filepath.Base(bin), p.stderr)
		default:
		}
		ready, _ := u.call(http.MethodGet, s.url+"/readyz", nil)
		live, _ := u.call(http.MethodGet, s.url+"/v1/forms/demo", nil)
		return ready == http.StatusOK && live == http.StatusOK
	})
	return s
}

func (u *upgrade) eventually(what string, cond func() bool) {
	u.t.Helper()
	(&world{t: u.t}).eventually(what, cond)
}

func (u *upgrade) call(method, address string, body any) (int, []byte) {
	u.t.Helper()
	return (&world{t: u.t, url: address, token: u.token}).call(method, address, body)
}

// works has one server act for a person upon the newest lead under load, and the other show it.
func (u *upgrade) works(acts, shows *server, from *stream) {
	u.t.Helper()
	id := from.newest()
	u.eventually("lead "+id+" to be offered", func() bool {
		status, body := u.call(http.MethodGet, acts.url+"/v1/leads/"+id, nil)
		var l leadState
		return status == http.StatusOK && json.Unmarshal(body, &l) == nil && l.Stage == "offered"
	})
	if status, body := u.call(http.MethodPost, acts.url+"/v1/leads/"+id+"/claim", map[string]any{"rep": "mia@example.com"}); status != http.StatusOK {
		u.t.Errorf("claiming answered %d: %s", status, body)
	}
	if status, body := u.call(http.MethodPost, acts.url+"/v1/leads/"+id+"/outcome", map[string]any{"rep": "mia@example.com", "outcome": "connected"}); status/100 != 2 {
		u.t.Errorf("an outcome answered %d: %s", status, body)
	}
	if status, body := u.call(http.MethodGet, shows.url+"/v1/leads/"+id, nil); status != http.StatusOK || !strings.Contains(string(body), "mia@example.com") {
		u.t.Errorf("the claimed lead on the other server: %d: %s", status, body)
	}
	if status, body := u.call(http.MethodGet, shows.url+"/v1/leads?form=demo", nil); status != http.StatusOK {
		u.t.Errorf("listing leads answered %d: %s", status, body)
	}
}

// stream is load that runs until it is ended.
type stream struct {
	mu     sync.Mutex
	acked  map[string]time.Time
	last   string
	report load.Report
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// load sends leads to a server until the stream is ended.
func (u *upgrade) load(to *server, rate float64) *stream {
	ctx, cancel := context.WithCancel(u.t.Context())
	s := &stream{acked: map[string]time.Time{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.report, s.err = load.Run(ctx, load.Options{
			Target: to.url, Form: "demo", Rate: rate, Duration: 10 * time.Minute, Even: true, Now: time.Now,
			Acked: func(id string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.acked[id], s.last = time.Now(), id
			},
		})
	}()
	u.t.Cleanup(func() { cancel(); <-s.done })
	u.eventually("the first lead to be taken", func() bool { return s.newest() != "" })
	return s
}

// end stops the load, waits for the answers that are due and asserts that all were good and none late.
func (s *stream) end(t *testing.T) {
	t.Helper()
	s.cancel()
	<-s.done
	if s.err != nil || len(s.report.Errors) > 0 || s.report.OK != s.report.Sent || int64(len(s.ids())) != s.report.OK {
		t.Errorf("of %d leads %d were taken, with %d ids: %v %v", s.report.Sent, s.report.OK, len(s.ids()), s.report.Errors, s.err)
	}
	if worst := time.Duration(s.report.Max * float64(time.Millisecond)); worst > longestStall {
		t.Errorf("an answer took %v, allowed are %v", worst, longestStall)
	}
}

// String is what became of the load, once it has ended.
func (s *stream) String() string {
	r := s.report
	return fmt.Sprintf("%d leads, %d taken; answers after %.1f ms (p50), %.1f ms (p99), %.1f ms at worst", r.Sent, r.OK, r.P50, r.P99, r.Max)
}

func (s *stream) newest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *stream) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.acked))
}

// silence is the longest time between two answers that overlaps a span.
func (s *stream) silence(from, to time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := slices.SortedFunc(maps.Values(s.acked), time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(times); i++ {
		if times[i].After(from) && times[i-1].Before(to) {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	return longest
}

func wait(d time.Duration) { <-time.After(d) }

func (u *upgrade) count(query string, args ...any) int {
	u.t.Helper()
	var n int
	if err := u.db.Console.QueryRow(u.t.Context(), query, args...).Scan(&n); err != nil {
		u.t.Fatal(err)
	}
	return n
}

// leads gives the ids of all leads that the load made.
func (u *upgrade) leads() []string {
	u.t.Helper()
	rows, err := u.db.Console.Query(u.t.Context(), `SELECT id::text FROM lead WHERE form = 'demo'`)
	if err != nil {
		u.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			u.t.Fatal(err)
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		u.t.Fatal(err)
	}
	return all
}

func (u *upgrade) everyLeadIsThereOnceAndOffered(acked []string) {
	u.t.Helper()
	stored := u.leads()
	slices.Sort(acked)
	slices.Sort(stored)
	if !slices.Equal(acked, stored) {
		u.t.Errorf("%d leads were acknowledged, %d are stored, and they are not the same", len(acked), len(stored))
	}
	if n := u.count(`SELECT count(*) FROM contact WHERE lead_id::text = ANY($1)`, acked); n != len(acked) {
		u.t.Errorf("%d of %d leads have contact details", n, len(acked))
	}
	if n := u.count(`SELECT count(*) FROM touch`); n != 0 {
		u.t.Errorf("%d leads were taken for repeats", n)
	}
	u.eventually("every lead to be dispatched", func() bool { return u.count(`SELECT count(*) FROM lead WHERE stage = 'new'`) == 0 })
	if n := u.count(`SELECT count(*) FROM lead WHERE form = 'demo' AND (SELECT count(*) FROM offer WHERE lead_id = lead.id) <> 1`); n != 0 {
		u.t.Errorf("%d leads were not offered exactly once", n)
	}
	if n := u.count(`SELECT count(*) FROM lead WHERE form = 'demo' AND NOT EXISTS (SELECT FROM decision WHERE lead_id = lead.id)`); n != 0 {
		u.t.Errorf("%d leads have no decision", n)
	}
	if n := u.count(`SELECT count(*) FROM lead WHERE form = 'demo' AND stage NOT IN ('offered', 'claimed', 'contacted')`); n != 0 {
		u.t.Errorf("%d leads are neither offered nor owned", n)
	}
	if gaps := u.count(`SELECT max(seq) - count(*) FROM event`); gaps != 0 {
		u.t.Errorf("the stream of events has %d gaps", gaps)
	}
}

func (u *upgrade) noErrorsLogged(servers ...*server) {
	u.t.Helper()
	for _, s := range servers {
		for line := range strings.Lines(s.process.stderr.String()) {
			if strings.Contains(line, `"level":"ERROR"`) {
				u.t.Errorf("%s logged: %s", filepath.Base(s.process.cmd.Path), line)
			}
		}
	}
}
