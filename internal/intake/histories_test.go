package intake_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/intake"
	"leadline/internal/lead"
)

// size is how much of something is tried: the usual number, and the full one with TORTURE=full.
func size(usual, full int) int {
	if os.Getenv("TORTURE") == "full" {
		return full
	}
	return usual
}

// differences collects what is not as it should be, from many goroutines.
type differences struct {
	mu      sync.Mutex
	n       int
	failed  int // of n: submissions that were not answered at all
	unknown int // histories that were given up; no difference
	first   []string
}

func (d *differences) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n++; d.n <= 3 {
		d.first = append(d.first, fmt.Sprintf(format, args...))
	}
}

func (d *differences) fail(format string, args ...any) {
	d.add(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed++
}

func (d *differences) report(t testing.TB, what string) {
	t.Helper()
	if d.n > 0 {
		t.Errorf("%s: %d differences, such as\n%s", what, d.n, strings.Join(d.first, "\n"))
	}
}

// starts are moments just before which histories begin: the ends of minutes, buckets, days, years and summer times.
var starts = []time.Time{
	time.Date(2026, 11, 26, 9, 41, 0, 0, time.UTC), time.Date(2026, 11, 26, 9, 50, 0, 0, time.UTC), time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC),
	time.Date(2026, 11, 26, 23, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC),
	time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2016, 12, 31, 23, 59, 59, 0, time.UTC),
}

const (
	historySteps = 20
	historyRound = 128 // histories that share a clock
)

// history is what one form's visitors do, and what should come of it.
type history struct {
	form          *lead.Form
	rng           *rand.Rand
	people, keys  int
	left          int // submissions still to come
	expected      *model
	answers       map[*entry]intake.Accepted // what was said first
	asked         click
	want          *entry
	replay, quiet bool
	got           intake.Accepted
	err           error
	lost          bool // nobody knows what became of a submission: nothing can be said about what follows
}

// next chooses what is sent now, if anything, and asks the model about it.
func (h *history) next(now time.Time) {
	if h.quiet = h.left == 0 || h.lost || h.rng.IntN(4) == 0; h.quiet {
		return
	}
	h.left--
	h.asked = click{form: h.form, person: h.rng.IntN(h.people), process: h.rng.IntN(2), notes: []string{"", "one", "two"}[h.rng.IntN(3)]}
	switch k := h.rng.IntN(h.keys + 1); {
	case k < h.keys:
		h.asked.key = key(k)
	case h.rng.IntN(2) == 0:
		h.asked.key = "no\nkey"
	}
	h.want, h.replay = h.expected.submit(now, h.asked)
}

// check compares the answer with the model's.
func (h *history) check(d *differences, at string) {
	if h.quiet {
		return
	}
	tell := func(what string) {
		d.add("%s: person %d, key %q to process %d: %s; got %+v", at, h.asked.person, h.asked.key, h.asked.process, what, h.got)
	}
	if h.lost = code(h.err) == "unknown_outcome"; h.lost { // a machine so slow that callers left
		d.unknown++
		return
	}
	if h.err != nil {
		d.fail("%s: %v", at, h.err)
		return
	}
	if !h.replay {
		for _, other := range h.answers {
			if other.SubmissionID == h.got.SubmissionID {
				tell("an id of another submission")
				return
			}
		}
		h.answers[h.want] = h.got
	}
	first := h.answers[h.want]
	if h.got.Duplicate != h.replay || h.got.LeadID != h.answers[h.want.lead].SubmissionID {
		tell(fmt.Sprintf("want lead %v, replay %v", h.answers[h.want.lead].SubmissionID, h.replay))
		return
	}
	if h.got.SubmissionID != first.SubmissionID || h.got.CorrelationID != first.CorrelationID || !h.got.AcceptedAt.Equal(first.AcceptedAt) {
		tell(fmt.Sprintf("a replay says other things than %+v", first))
	}
}

// tryHistories lets a design answer generated histories of 1-5 keys, 1-3 people and 1-20 submissions, with gaps on both sides of the
// window to the microsecond, and compares answers and rows with the model. Histories of a round take their steps at the same times
// but know nothing of each other.
func tryHistories(b *bench, submit design, seed uint64, n int) *differences {
	b.t.Helper()
	var d differences
	for from := 0; from < n; from += historyRound {
		rng := rand.New(rand.NewPCG(seed, uint64(from)))
		window := []time.Duration{time.Minute, 10 * time.Minute, time.Hour}[rng.IntN(3)]
		gaps := []time.Duration{
			0, 0, time.Microsecond, 300 * time.Millisecond, 2 * time.Second, window / 2, window - time.Microsecond, window - time.Microsecond, window, window,
			window + time.Microsecond, 2 * window, 24 * time.Hour, -time.Second, -window,
		}
		now := starts[rng.IntN(len(starts))].Add(-gaps[rng.IntN(len(gaps))])
		var all []*history
		for i := from; i < min(from+historyRound, n); i++ {
			own := rand.New(rand.NewPCG(seed, uint64(i)<<32|1))
			all = append(all, &history{
				form: formFor("history", i, window), rng: own, people: 1 + own.IntN(3), keys: 1 + own.IntN(5), left: 1 + own.IntN(20),
				expected: newModel(window), answers: map[*entry]intake.Accepted{},
			})
		}
		for step := range historySteps * 4 / 3 {
			b.stopClock(now)
			var together sync.WaitGroup
			for _, h := range all {
				if h.next(now); !h.quiet {
					together.Go(func() { h.got, h.err = submit(context.Background(), h.asked) })
				}
			}
			together.Wait()
			for _, h := range all {
				h.check(&d, fmt.Sprintf("seed %d, %s, step %d at %v", seed, h.form.Slug, step, now))
			}
			now = now.Add(gaps[rng.IntN(len(gaps))])
		}
		b.compareRows(&d, all)
		if d.n > 0 || from/historyRound%16 == 15 { // keep the database small
			b.exec(`TRUNCATE lead, contact, touch, payload, client_key, fingerprint, event`)
		}
		if d.n > 0 {
			break
		}
	}
	return &d
}

// compareRows compares what is stored with what the model says should be.
func (b *bench) compareRows(d *differences, all []*history) {
	b.t.Helper()
	var forms []string
	want := map[uuid.UUID]string{}
	for _, h := range all {
		if h.lost {
			continue
		}
		forms = append(forms, h.form.Slug)
		for e, answer := range h.answers {
			if e.lead == e {
				want[answer.SubmissionID] = fmt.Sprintf("%s: %q, %d repeats, %d amendments", h.form.Slug, e.held, e.repeats, e.amended)
			}
		}
	}
	rows, err := b.db.Jobs.Query(b.t.Context(), `
		SELECT l.id, format('%s: "%s", %s repeats, %s amendments', l.form, c.notes, count(*) FILTER (WHERE t.kind = 'repeat'), count(*) FILTER (WHERE t.kind = 'amend'))
		FROM lead l LEFT JOIN contact c ON c.lead_id = l.id LEFT JOIN touch t ON t.lead_id = l.id
		WHERE l.form = ANY($1) GROUP BY l.id, c.notes`, forms)
	if err != nil {
		b.t.Fatal(err)
	}
	var (
		id   uuid.UUID
		text string
		n    int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &text}, func() error {
		if n++; want[id] != text {
			d.add("lead %v holds %s, want %s", id, text, want[id])
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if n != len(want) {
		d.add("%d leads stored, want %d", n, len(want))
	}
}
