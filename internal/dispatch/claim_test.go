package dispatch_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

func closedNow(t *testing.T) rep.Hours {
	t.Helper()
	other := time.Now().UTC().Add(48 * time.Hour).Format("Mon")
	h, err := rep.ParseHours(other+" 00:00-24:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestClaim_FiftyRaceAndOneWins(t *testing.T) {
	t.Parallel()
	var names []string
	for n := range 50 {
		names = append(names, fmt.Sprintf("rep%02d", n))
	}
	d := setup(t, names...)
	open := pool("open", long, names...)
	open.Strategy = routing.Broadcast
	d.configure(1, open)
	p, q := d.run(), d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "pool:open open")

	var mu sync.Mutex
	var winners []string
	var losses []*fault.Error
	var wg sync.WaitGroup
	for n, name := range names {
		s := []*process{p, q}[n%2]
		wg.Go(func() {
			_, err := s.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps[name], Attempt: 1, By: "console"})
			mu.Lock()
			defer mu.Unlock()
			var f *fault.Error
			switch {
			case err == nil:
				winners = append(winners, name)
			case errors.As(err, &f) && f.Code == dispatch.CodeLostRace:
				losses = append(losses, f)
			default:
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 || len(losses) != 49 {
		t.Fatalf("%d winners and %d losers of 50", len(winners), len(losses))
	}
	for _, f := range losses {
		winner, _ := f.Extra["winner"].(map[string]string)
		by, _ := f.Extra["by_ms"].(int64)
		if winner["email"] != email(winners[0]) || by < 0 || !strings.EqualFold(strings.Fields(f.Message)[0], winners[0]) {
			t.Errorf("a loser was told %q, %v; the winner is %s", f.Message, f.Extra, winners[0])
		}
	}
	if n := ask[int](d, `SELECT count(*) FROM event WHERE kind = 'claimed'`); n != 1 {
		t.Errorf("%d claims in the stream", n)
	}
	d.sound()
}

func TestClaim_IsIdempotentForItsWinner(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	d.exec(`UPDATE rep SET missed = 1`)
	first, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps["mia"], Attempt: 1, By: "console"})
	if err != nil || first.Already {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps["mia"], Attempt: 1, By: "console"})
	if err != nil || !again.Already || !again.At.Equal(first.At) {
		t.Errorf("the second claim: %+v %v, first %+v", again, err, first)
	}
	if revision := ask[int](d, `SELECT revision FROM lead`); revision != 2 {
		t.Errorf("revision %d, want 2", revision)
	}
	if wanted := ask[int](d, `SELECT wanted FROM delivery`); wanted != 2 {
		t.Errorf("the CRM wants revision %d, want 2", wanted)
	}
	if ask[int](d, `SELECT missed FROM rep`) != 0 {
		t.Error("a claim did not forget missed offers")
	}
	if got := d.path(id); got != "turn:first:mia accepted" {
		t.Error(got)
	}
}

func TestClaim_IsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	d.exec(`UPDATE rep SET presence = 'off' WHERE email <> $1`, email("mia"))
	d.configure(1, pool("first", long, "mia", "ben"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	// No process may move the lead on while its deadline is turned back by hand.
	p.stop()
	<-p.ended

	claim := func(name string, attempt int) string {
		_, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps[name], Attempt: attempt, By: "api"})
		return code(err)
	}
	if got := claim("ben", 1); got != dispatch.CodeMovedOn {
		t.Errorf("an offer to somebody else: %s", got)
	}
	d.exec(`UPDATE offer SET deadline = clock_timestamp() - interval '1 millisecond'`)
	if got := claim("mia", 1); got != dispatch.CodeExpired {
		t.Errorf("after the deadline: %s", got)
	}
	d.exec(`UPDATE offer SET deadline = clock_timestamp() + interval '1 hour'`)
	if got := claim("mia", 7); got != dispatch.CodeMovedOn {
		t.Errorf("another attempt: %s", got)
	}
	d.exec(`UPDATE offer SET kind = 'pool', rung = 'pool', rep_id = NULL`)
	if got := claim("eve", 1); got != dispatch.CodeNotEligible {
		t.Errorf("not in the pool: %s", got)
	}
	d.exec(`UPDATE rep SET active = false WHERE email = $1`, email("ben"))
	if got := claim("ben", 1); got != dispatch.CodeNotEligible {
		t.Errorf("switched off: %s", got)
	}
	_, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: uuid.New(), RepID: d.reps["mia"]})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("no such lead: %v", err)
	}
	if got := claim("mia", 0); got != "<nil>" {
		t.Errorf("whatever is current: %s", got)
	}
}

func TestClaim_DoesNotWaitForALongTransactionForEver(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	tx, err := d.db.Jobs.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM lead WHERE id = $1 FOR UPDATE`, id); err != nil {
		t.Fatal(err)
	}
	_, err = p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps["mia"]})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want an answer that says to try again", err)
	}
}

func TestOutcome_RecordsTouchAndStageOnce(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.reaches(id, "turn:first:mia open")
	outcome := func(who, what string) error {
		return p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: d.reps[who], Disposition: what, By: "console"})
	}
	if err := outcome("mia", "connected"); code(err) != "unclaimed" {
		t.Errorf("before the claim: %v", err)
	}
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps["mia"]}); err != nil {
		t.Fatal(err)
	}
	if err := outcome("ben", "connected"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("somebody else: %v", err)
	}
	if err := outcome("mia", "lunch"); !fault.Is(err, fault.Invalid) {
		t.Errorf("no such outcome: %v", err)
	}
	state := func() string {
		return ask[string](d, `SELECT format('%s %s %s touched=%s closed=%s', stage, disposition, revision, first_touch_at IS NOT NULL, closed_at IS NOT NULL) FROM lead`)
	}
	for _, step := range []struct{ disposition, want string }{
		{"no_answer", "contacted no_answer 3 touched=t closed=f"},
		{"no_answer", "contacted no_answer 3 touched=t closed=f"},
		{"booked", "booked booked 4 touched=t closed=t"},
		{"connected", "contacted connected 5 touched=t closed=f"},
	} {
		if err := outcome("mia", step.disposition); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.disposition, got, step.want)
		}
	}
	if got := ask[string](d, `SELECT string_agg(kind, ' ' ORDER BY seq) FROM event WHERE kind IN ('touched', 'outcome')`); got != "touched outcome outcome outcome" {
		t.Errorf("events: %s", got)
	}
}
