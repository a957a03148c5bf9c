package routing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// floor is a small office in memory: a lead climbs its ladder there without a database.
type floor struct {
	t     *testing.T
	table *routing.Table
	world *routing.World
	lead  routing.Case
}

func onFloor(t *testing.T, pools ...*routing.Pool) *floor {
	t.Helper()
	table, problems := routing.Compile(1, pools, []routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: pools[0].Slug}}}, nil, nil)
	if table == nil {
		t.Fatalf("%v", problems)
	}
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	f := &floor{
		t: t, table: table, world: &routing.World{Now: now, People: map[string]*routing.Person{}},
		lead: routing.Case{New: true, Facts: routing.Facts{Form: "demo", AcceptedAt: now}},
	}
	for _, name := range []string{"ann", "bob", "cat", "dan", "eve"} {
		f.world.People[name] = &routing.Person{Rep: rep.Rep{ID: uuid.NewSHA1(uuid.Nil, []byte(name)), Email: name, Active: true, Presence: rep.Available, PresenceBy: rep.ByConsole, ReachableAt: &now}}
	}
	return f
}

func members(slug string, terms routing.OfferTerms, names ...string) *routing.Pool {
	p := &routing.Pool{Slug: slug, Offer: terms}
	for _, n := range names {
		p.Members = append(p.Members, routing.Member{Rep: n})
	}
	return p
}

// place gives the lead its next place, and says which.
func (f *floor) place() (string, routing.Outcome) {
	f.t.Helper()
	out := routing.Place(f.table, f.world, f.lead)
	f.lead.New, f.lead.Withdrawn = false, false
	switch {
	case out.Place == nil:
		return "stays", out
	case out.Place.Waiting:
		f.lead.Waits, f.lead.Pool = true, out.Place.Pool
		return "waits", out
	}
	f.lead.Attempt++
	past := routing.Past{Attempt: f.lead.Attempt, Rung: out.Place.Rung, Pool: out.Place.Pool, State: "open"}
	told := string(out.Place.Rung)
	if out.Place.Rep != nil {
		past.Rep = out.Place.Rep.ID
		told = out.Place.Rep.Email
	}
	f.lead.Waits, f.lead.Pool, f.lead.Past = false, out.Place.Pool, append(f.lead.Past, past)
	return told, out
}

// end ends the open offer in a state.
func (f *floor) end(state string) {
	f.lead.Past[len(f.lead.Past)-1].State = state
	f.lead.Withdrawn = state == "withdrawn"
}

// later lets time pass, in which every console goes on answering.
func (f *floor) later(d time.Duration) {
	now := f.world.Now.Add(d)
	f.world.Now = now
	for _, p := range f.world.People {
		p.ReachableAt = &now
	}
}

// climb lets every offer end in a state, n times.
func (f *floor) climb(state string, n int) string {
	f.t.Helper()
	var way []string
	for range n {
		at, _ := f.place()
		way = append(way, at)
		if at == "waits" || at == "stays" {
			break
		}
		f.end(state)
	}
	return strings.Join(way, " ")
}

func TestPlace_ClimbsTheLadderOfItsPool(t *testing.T) {
	t.Parallel()
	three := []string{"ann", "bob", "cat"}
	for _, c := range []struct {
		name  string
		terms routing.OfferTerms
		state string
		want  string
	}{
		{"one turn unless more are wanted", routing.OfferTerms{}, "timed_out", "ann pool waits"},
		{"two turns, then everybody", routing.OfferTerms{Turns: 2}, "timed_out", "ann bob pool waits"},
		{"never the same person twice", routing.OfferTerms{Turns: 9, Attempts: 9}, "declined", "ann bob cat pool waits"},
		{"the end after the attempts", routing.OfferTerms{Turns: 3, Attempts: 2, Manager: "eve"}, "timed_out", "ann bob dan eve waits"},
		{"what was taken back is no attempt", routing.OfferTerms{Turns: 1, Attempts: 1, Manager: "eve"}, "withdrawn", "ann bob cat pool pool pool"},
	} {
		p := members("first", c.terms, three...)
		if c.terms.Manager != "" {
			p.LastResort = "dan"
		}
		f := onFloor(t, p)
		if got := f.climb(c.state, 6); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPlace_AfterItsTotalTimeALeadGoesToTheEndOfTheLadder(t *testing.T) {
	t.Parallel()
	p := members("first", routing.OfferTerms{Total: time.Minute, Manager: "eve"}, "ann", "bob")
	f := onFloor(t, p)
	first, _ := f.place()
	f.end("timed_out")
	f.later(time.Minute)
	second, _ := f.place()
	f.end("timed_out")
	third, out := f.place()
	if got := fmt.Sprint(first, " ", second, " ", third); got != "ann eve waits" || out.Alarm != routing.AlarmUnrouted {
		t.Errorf("%s with alarm %q, want the manager after a minute, then an alarm", got, out.Alarm)
	}
	if again, out := f.place(); again != "bob" || out.Alarm != "" {
		t.Errorf("a lead that waits is offered to %s (%q), want the next who is free", again, out.Alarm)
	}
}

func TestPlace_SaysHowLongAnOfferStandsAndWhetherAScreenMustShowIt(t *testing.T) {
	t.Parallel()
	p := members("first", routing.OfferTerms{Exclusive: time.Minute, Hot: 10 * time.Second}, "ann")
	f := onFloor(t, p)
	_, normal := f.place()
	f = onFloor(t, p)
	f.lead.Facts.Intent = lead.IntentHigh
	f.world.People["ann"].PresenceBy = rep.ByAPI
	_, hot := f.place()
	if normal.Place.Terms != time.Minute || hot.Place.Terms != 10*time.Second {
		t.Errorf("a lead has %v and a hot one %v", normal.Place.Terms, hot.Place.Terms)
	}
	if normal.Place.Screen != routing.DefaultScreen || hot.Place.Screen != 0 {
		t.Errorf("a console has %v and a program %v to show it", normal.Place.Screen, hot.Place.Screen)
	}
}

func TestDecline_GivesTheTurnBackWhenTheReasonIsNotTheReps(t *testing.T) {
	t.Parallel()
	for _, d := range routing.Declines {
		f := onFloor(t, members("first", routing.OfferTerms{}, "ann", "bob"))
		f.place()
		before := f.world.Turns["first"]["ann"].Credit
		back := d.ReturnsTurn() && f.world.ReturnTurn(f.table.Pool("first"), "ann")
		if gained := f.world.Turns["first"]["ann"].Credit - before; back != (gained == 1) || !back && gained != 0 {
			t.Errorf("%s: the turn came back: %v, credit changed by %v", d, back, gained)
		}
	}
	if routing.OnACall.ReturnsTurn() || routing.OtherReason.ReturnsTurn() || !routing.LooksLikeSpam.ReturnsTurn() || routing.Decline("lunch").Known() {
		t.Error("the codes do not mean what is documented")
	}
}
