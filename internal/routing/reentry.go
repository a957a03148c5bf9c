package routing

import (
	"math"
	"slices"
	"time"
)

// Reentry says where in the order of turns somebody resumes who had no part in turns for long while others had.
type Reentry struct {
	Policy ReentryPolicy
	After  time.Duration // how long makes it long; shorter absences leave everybody where they were
	Most   int           // catch_up: turns that may be caught up
	Within time.Duration // catch_up: over how long these are spread
}

// ReentryPolicy is a way to resume.
type ReentryPolicy string

// The policies. Each bounds what a month away can do to anybody's next turn.
const (
	ResumeAtMean ReentryPolicy = "mean"     // neither ahead of the others nor behind
	CatchUp      ReentryPolicy = "catch_up" // like mean, and some of the turns that passed are given by and by
	NoCatchUp    ReentryPolicy = "none"     // like mean, but whoever was behind the mean stays behind
)

// The defaults of re-entry. A week is longer than nights, weekends and holidays, whose absences everybody has alike.
const (
	DefaultReentryAfter  = 7 * 24 * time.Hour
	DefaultCatchUpMost   = 2
	DefaultCatchUpWithin = 7 * 24 * time.Hour
)

func (r Reentry) withDefaults() Reentry {
	if r.Policy == "" {
		r.Policy = ResumeAtMean
	}
	if r.After == 0 {
		r.After = DefaultReentryAfter
	}
	if r.Most == 0 {
		r.Most = DefaultCatchUpMost
	}
	if r.Within == 0 {
		r.Within = DefaultCatchUpWithin
	}
	return r
}

// resume puts those in line who are new to the pool, or were away for long, where the policy says. Whose last turn is not known (rows of
// a former release) keeps what they have.
func (r Reentry) resume(cands []Candidate, line []int, now time.Time) {
	r = r.withDefaults()
	var lastTurn time.Time
	for _, c := range cands {
		if c.Turn.SeenAt.After(lastTurn) {
			lastTurn = c.Turn.SeenAt
		}
	}
	long := func(i int) bool {
		seen := cands[i].Turn.SeenAt
		return !seen.IsZero() && lastTurn.Sub(seen) > r.After
	}
	mean, known := meanCredit(cands, line, func(i int) bool { return !long(i) })
	for _, i := range line {
		t := &cands[i].Turn
		switch {
		case !t.Joined:
			t.Credit, t.Joined = mean, true
		case known && long(i):
			if r.Policy != NoCatchUp || t.Credit > mean {
				t.Credit = mean
			}
			t.NextAt = now
		case t.NextAt.IsZero():
			t.Missed = 0 // a short absence: their own credit is all they come back with
		}
		if r.Policy == CatchUp {
			r.pay(t, now)
		}
		t.SeenAt = now
	}
	if r.Policy == CatchUp {
		r.accrue(cands, line)
	}
}

// meanCredit is the mean of those in line of whom a credit is known and who are asked for; zero and false when there is none.
func meanCredit(cands []Candidate, line []int, of func(int) bool) (mean float64, known bool) {
	n := 0
	for _, i := range line {
		if cands[i].Turn.Joined && of(i) {
			mean += cands[i].Turn.Credit
			n++
		}
	}
	return mean / float64(max(n, 1)), n > 0
}

// pay gives a turn that was missed, or what is left of one, whenever the next is due.
func (r Reentry) pay(t *Turn, now time.Time) {
	if t.NextAt.IsZero() || now.Before(t.NextAt) {
		return
	}
	part := min(t.Missed, 1)
	t.Credit += part
	t.Missed -= part
	t.NextAt = t.NextAt.Add(r.Within / time.Duration(r.Most))
	if t.Missed <= 0 {
		t.Missed, t.NextAt = 0, time.Time{}
	}
}

// accrue notes what passes those by who are not in line, up to what may ever be caught up.
func (r Reentry) accrue(cands []Candidate, line []int) {
	for i := range cands {
		t := &cands[i].Turn
		if !t.Joined || slices.Contains(line, i) {
			continue
		}
		t.Missed = math.Min(t.Missed+1/float64(len(line)+1), float64(r.Most))
	}
}
