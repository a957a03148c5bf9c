package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/postgres"
)

func TestAnchorer_SignsTheHeadWhenItHasMoved(t *testing.T) {
	t.Parallel()
	o := open(t)
	a := o.anchorer()
	a.Round(t.Context(), false)
	if _, err := os.Stat(o.file); err == nil {
		t.Error("an empty chain was anchored")
	}
	o.rows(3)
	a.Round(t.Context(), false)
	a.Round(t.Context(), false)
	o.rows(2)
	a.Round(t.Context(), false) // the last one is a moment old
	if lines := o.lines(); len(lines) != 1 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
	o.pass(time.Minute)
	a.Round(t.Context(), false)
	o.rows(1)
	a.Round(t.Context(), true)
	lines := o.lines()
	if len(lines) != 3 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	var last struct {
		Seq                int64
		Leadline, At, Hash string
		KeyID              int64  `json:"key_id"`
		PublicKey          []byte `json:"public_key"`
		Signature          []byte
		RestoredBelow      int64 `json:"restored_below"`
	}
	must(t, json.Unmarshal([]byte(lines[2]), &last))
	if last.Seq != 6 || last.Leadline != "audit head 1" || len(last.Hash) != 64 || last.KeyID != o.id || len(last.PublicKey) != 32 || len(last.Signature) != 64 {
		t.Errorf("the last line: %s", lines[2])
	}
	info, err := os.Stat(o.file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file may be read as %v", info.Mode())
	}
	if s := a.State(); s.Seq != 6 || s.Problem != "" || s.Destinations[0].Seq != 6 {
		t.Errorf("state: %+v", s)
	}
	o.verified()
}

func TestAnchorer_SeveralProcessesShareTheWorkAndEachFileIsWhole(t *testing.T) {
	t.Parallel()
	o := open(t)
	first := o.anchorer()
	second := o.anchorer("file:" + o.file + ".2")
	third := o.anchorer("file://" + o.file) // the same folder, as when a process was started twice
	for range 6 {
		o.rows(2)
		o.pass(time.Minute)
		var running sync.WaitGroup
		for _, a := range []*audit.Anchorer{first, second, third} {
			running.Go(func() { a.Round(context.Background(), false) })
		}
		running.Wait()
	}
	for _, a := range []*audit.Anchorer{first, second, third} {
		a.Round(t.Context(), true)
	}
	var anchors int
	must(t, o.db.Jobs.QueryRow(t.Context(), `SELECT count(*) FROM audit_anchor`).Scan(&anchors))
	if anchors < 6 || anchors > 7 {
		t.Errorf("%d anchors", anchors)
	}
	options := o.options()
	other, err := audit.ReadAnchors(o.file+".2", 0)
	must(t, err)
	for _, outside := range []audit.Outside{options.Outside[0], other} {
		if len(outside.Anchors) != anchors || len(outside.Problems) > 0 {
			t.Errorf("%s has %d anchors of %d: %v", outside.Name, len(outside.Anchors), anchors, outside.Problems)
		}
	}
	options.Outside = append(options.Outside, other)
	report, err := audit.Verify(t.Context(), o.db, options)
	must(t, err)
	if !report.OK() || report.Anchors != anchors {
		t.Errorf("%d anchors checked: %v", report.Anchors, report.Findings)
	}
}

func TestAnchorer_GoesOnAfterACrashInTheMiddleOfALine(t *testing.T) {
	t.Parallel()
	o := open(t)
	a := o.anchorer()
	for range 3 {
		o.rows(2)
		a.Round(t.Context(), true)
	}
	text, err := os.ReadFile(o.file)
	must(t, err)
	for _, cut := range []int{1, 40, len(text) - 30, len(text) - 1, len(text)} {
		must(t, writeFile(o.file, string(text[:cut])))
		a.Round(t.Context(), false)
		outside, err := audit.ReadAnchors(o.file, 0)
		must(t, err)
		if len(outside.Anchors) != 3 || len(outside.Problems) > 0 {
			t.Errorf("cut at %d: %d anchors, %v", cut, len(outside.Anchors), outside.Problems)
		}
		o.verified()
	}
	must(t, writeFile(o.file, "root:x:0:0\n"))
	a.Round(t.Context(), false)
	if s := a.State(); !strings.Contains(s.Destinations[0].Problem, "something else") {
		t.Errorf("state: %+v", s)
	}
	if r := o.verify(); !finds(r, "line 1 is not readable") {
		t.Errorf("findings: %v", r.Findings)
	}
}

// receiver is a webhook that can be down.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	down bool
	got  []string
}

func receive(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("Idempotency-Key") == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.got = append(r.got, string(body))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func TestAnchorer_SendsLaterWhatAWebhookMissed(t *testing.T) {
	t.Parallel()
	o := open(t)
	hook := receive(t)
	destinations := []string{hook.URL + "/anchors?token=sesame", "file:" + o.file}
	a := o.anchorer(destinations...)
	round := func() {
		o.rows(2)
		o.pass(time.Minute)
		a.Round(t.Context(), false)
	}
	o.rows(1)
	o.anchorer().Round(t.Context(), true) // before the receiver was configured
	round()
	hook.set(true)
	round()
	round()
	if s := a.State().Destinations; s[0].Problem == "" || s[0].Seq != 3 || s[1].Problem != "" || s[1].Seq != 7 {
		t.Errorf("while the receiver is down: %+v", s)
	}
	a = o.anchorer(destinations...) // the server was started again
	round()
	hook.set(false)
	round()
	if strings.Contains(o.log.String(), "sesame") || strings.Contains(a.State().Destinations[0].Name, "sesame") {
		t.Error("the receiver's credential was shown")
	}
	want := o.lines()[1:]
	if strings.Join(hook.got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the receiver got\n%s\nand should have\n%s", strings.Join(hook.got, "\n"), strings.Join(want, "\n"))
	}
	if s := a.State().Destinations; s[0].Problem != "" || s[0].Seq != 11 {
		t.Errorf("state: %+v", s)
	}
	o.verified()
}

func TestAnchorer_SaysLoudlyThatTheChainWasCut(t *testing.T) {
	t.Parallel()
	o := open(t)
	hook := receive(t)
	a := o.anchorer("file:"+o.file, hook.URL)
	for range 4 {
		o.rows(5)
		a.Round(t.Context(), true)
	}
	// A backup from after row 12 is restored.
	must(t, postgres.InTx(t.Context(), o.db.Jobs, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica; DELETE FROM audit WHERE seq > 12; DELETE FROM audit_anchor WHERE seq > 12;
			UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit WHERE seq = 12)`)
		return err
	}))
	if r := o.verify(); !finds(r, "The chain was cut: it ends with row 12, but row 20 was anchored") {
		t.Errorf("findings: %v", r.Findings)
	}
	o.pass(time.Minute)
	a = o.anchorer("file:"+o.file, hook.URL)
	a.Round(t.Context(), false)
	if !strings.Contains(o.log.String(), "THE AUDIT CHAIN IS NOT WHAT WAS ANCHORED") {
		t.Errorf("log: %s", o.log)
	}
	o.rows(3)
	a.Round(t.Context(), true)
	o.rows(20)
	a.Round(t.Context(), true)
	lines := o.lines()
	if len(lines) != 8 || !strings.Contains(lines[4], `"restored_below":20`) || !strings.Contains(lines[4], `"seq":10,`) {
		t.Fatalf("lines:\n%s", strings.Join(lines, "\n"))
	}
	if strings.Join(hook.got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("the receiver got\n%s", strings.Join(hook.got, "\n"))
	}
	// The mark never goes silent, and nothing else is wrong.
	if r := o.verify(); len(r.Findings) != 1 || !finds(r, "below row 20, which had been anchored") || !finds(r, "agrees up to row 10") {
		t.Errorf("findings: %v", r.Findings)
	}
	// An operator who knows why puts the file away; the next one is made from the table.
	must(t, os.Rename(o.file, o.file+".before-restore"))
	a.Round(t.Context(), false)
	o.verified()
}

func TestAnchorer_RunAnchorsAtOnceAndAtTheEnd(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.rows(2)
	a := o.anchorer()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	limit := time.After(20 * time.Second)
	for a.State().Seq != 2 {
		select {
		case <-limit:
			t.Fatal("the head was not anchored at the start")
		case <-time.After(2 * time.Millisecond):
		}
	}
	o.rows(3)
	o.pass(time.Minute)
	a.Wake()
	for a.State().Destinations[0].Seq != 5 {
		select {
		case <-limit:
			t.Fatal("the head was not anchored when asked")
		case <-time.After(2 * time.Millisecond):
		}
	}
	o.rows(1)
	stop()
	must(t, <-done)
	if len(o.lines()) != 3 {
		t.Errorf("lines: %v", o.lines())
	}
	o.verified()
}

func TestAnchorer_ShowsThatItCannotSign(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.rows(1)
	failing := errors.New("the key is locked")
	a, err := audit.NewAnchorer(audit.AnchorerOptions{
		DB: o.db, Destinations: []string{"file:" + o.file}, Now: o.clock, Log: discard(),
		Sign:      func(context.Context, []byte) (int64, []byte, error) { return 0, nil, failing },
		PublicKey: audit.PublicKeyIn(o.db),
	})
	must(t, err)
	a.Round(t.Context(), false)
	if s := a.State(); !strings.Contains(s.Problem, "the key is locked") {
		t.Errorf("state: %+v", s)
	}
	for _, bad := range []string{"", "file:", "ftp://x", "anchors.jsonl", "https://user:pass@host/"} {
		if _, err := audit.NewAnchorer(audit.AnchorerOptions{Destinations: []string{bad}}); err == nil {
			t.Errorf("%q was taken as a destination", bad)
		} else if strings.Contains(err.Error(), "pass") {
			t.Errorf("the error shows the destination: %v", err)
		}
	}
}
