package dispatch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/routing"
)

// stages makes rules live in which mia and max of the pool "all" take turns, noa is in no pool, and globex.example is noa's account.
func (d *desk) stages(version int64, s routing.Stages) {
	d.t.Helper()
	table, problems := routing.Compile(version, []*routing.Pool{pool("all", long, "mia", "max")},
		[]routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "all"}}}, nil,
		[]routing.List{{Slug: "key-accounts", Companies: []string{"Globex Inc."}, Domains: []string{"globex.example"}, Owner: email("noa")}})
	if table == nil {
		d.t.Fatal(problems)
	}
	snap := dispatch.Snapshot{Table: table.WithStages(s)}
	d.snapshot.Store(&snap)
}

// sender is who sends a lead.
type sender struct{ person, domain, class string }

// sends commits a lead of somebody as intake does.
func (d *desk) sends(p *process, s sender) uuid.UUID {
	d.t.Helper()
	id := uuid.Must(uuid.NewV7())
	d.exec(`INSERT INTO lead_person (lead_id, person) VALUES ($1, $2)`, id, []byte(s.person))
	d.exec(`INSERT INTO lead (id, correlation_id, form, intent, email_domain, domain_class, node, dispatch_lease)
		VALUES ($1::uuid, $1::uuid::text, 'demo', 'high', $2, $3, $4, clock_timestamp() + interval '5 seconds')`, id, s.domain, s.class, p.node.ID())
	p.Wake(1)
	return id
}

// had gives a lead that somebody sent before into the hands of a rep, at a stage.
func (d *desk) had(p *process, s sender, rep, stage string) uuid.UUID {
	d.t.Helper()
	id := uuid.Must(uuid.NewV7())
	d.exec(`INSERT INTO lead_person (lead_id, person) VALUES ($1, $2)`, id, []byte(s.person))
	d.exec(`INSERT INTO lead (id, correlation_id, form, intent, email_domain, domain_class, node, dispatch_lease, stage, pool, rep_id, attempt, claimed_at, closed_at)
		VALUES ($1::uuid, $1::uuid::text, 'pricing', 'high', $2, $3, $4, clock_timestamp(), $5, 'all', $6, 1, clock_timestamp(),
			CASE WHEN $5 IN ('claimed', 'contacted') THEN NULL ELSE clock_timestamp() - interval '10 days' END)`,
		id, s.domain, s.class, p.node.ID(), stage, d.reps[rep])
	return id
}

func (d *desk) line(id uuid.UUID, stage routing.Stage) string {
	d.t.Helper()
	return ask[string](d, `SELECT concat_ws(' ', s->>'found', s->>'by', split_part(s->>'rep', '@', 1)) FROM decision, jsonb_array_elements(trace->'stages') s
		WHERE lead_id = $1 AND s->>'stage' = $2`, id, string(stage))
}

func TestOwner_GetsTheLeadBeforeAnyRule(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "max", "noa", "kim")
	d.stages(1, routing.Stages{Owner: routing.Owner{Match: routing.OwnerKinds, Within: 30 * 24 * time.Hour}})
	p := d.join()
	acme, gmail := "acme.example", "gmail.com"
	d.had(p, sender{"anna", acme, "business"}, "kim", "contacted")
	d.had(p, sender{"bob", "bob.example", "business"}, "kim", "booked")
	d.had(p, sender{"cleo", gmail, "free"}, "kim", "claimed")
	d.had(p, sender{"gone", "gone.example", "business"}, "kim", "closed")
	d.exec(`UPDATE lead SET closed_at = closed_at - interval '30 days' WHERE email_domain = 'gone.example'`)
	d.addRep("left")
	d.exec(`UPDATE rep SET active = false WHERE id = $1`, d.reps["left"])
	d.had(p, sender{"left", "left.example", "business"}, "left", "contacted")
	d.start(p)
	for _, c := range []struct {
		name string
		from sender
		to   string // empty: a turn of the pool
		line string
	}{
		{"whoever has the person's open lead", sender{"anna", "elsewhere.example", "business"}, "kim", "found person kim"},
		{"whoever had the person's last lead", sender{"bob", "elsewhere.example", "business"}, "kim", "found contact kim"},
		{"whose account the company is", sender{"new", "de.globex.example", "business"}, "noa", "found account noa"},
		{"whoever has an open lead of the company", sender{"colleague", acme, "business"}, "kim", "found company kim"},
		{"nobody by free mail", sender{"stranger", gmail, "free"}, "", "nobody"},
		{"nobody when it is too long ago", sender{"gone", "elsewhere.example", "business"}, "", "nobody"},
		{"nobody who has left", sender{"left", "elsewhere.example", "business"}, "", "inactive person left"},
	} {
		id := d.sends(p, c.from)
		d.settled([]uuid.UUID{id})
		got := ask[string](d, `SELECT o.rung || ':' || split_part(r.email, '@', 1) FROM offer o JOIN rep r ON r.id = o.rep_id WHERE o.lead_id = $1`, id)
		if want := "person:" + c.to; c.to != "" && got != want || c.to == "" && got != "turn:mia" && got != "turn:max" {
			t.Errorf("%s: went to %s", c.name, got)
		}
		if line := d.line(id, routing.StageOwner); line != c.line {
			t.Errorf("%s: the trace says %q, want %q", c.name, line, c.line)
		}
		if line := d.line(id, routing.StageDefault); line != "won all" {
			t.Errorf("%s: the rule that takes over is not in the trace: %q", c.name, line)
		}
	}
	d.replays()
}

func TestOwner_IsNotLookedForUnlessTheConfigurationAsks(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "max", "noa", "kim")
	d.stages(1, routing.Stages{})
	p := d.join()
	d.had(p, sender{"anna", "globex.example", "business"}, "kim", "contacted")
	d.start(p)
	id := d.sends(p, sender{"anna", "globex.example", "business"})
	d.settled([]uuid.UUID{id})
	if path := d.path(id); path != "turn:all:mia open" && path != "turn:all:max open" {
		t.Error(path)
	}
	for _, stage := range []routing.Stage{routing.StageRepeat, routing.StageOwner} {
		if line := d.line(id, stage); line != "off" {
			t.Errorf("%s: %q", stage, line)
		}
	}
}

func TestOwner_WhoIsAbsentIsWaitedForReplacedOrPassedByAsConfigured(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "noa", "kim")
	d.addRep("max")
	p := d.join()
	anna := sender{"anna", "acme.example", "business"}
	first := d.had(p, anna, "kim", "contacted")
	d.exec(`UPDATE rep SET presence = 'off', presence_by = 'console' WHERE id = $1`, d.reps["kim"])
	owner := func(version int64, o routing.Owner) {
		o.Match = []routing.OwnerBy{routing.ByPerson}
		d.stages(version, routing.Stages{Owner: o})
	}
	owner(1, routing.Owner{Absent: routing.AbsentPool})
	d.start(p)

	id := d.sends(p, anna)
	d.settled([]uuid.UUID{id})
	if path := d.path(id); path != "turn:all:mia open" && path != "turn:all:max open" {
		t.Errorf("the pool has it: %s", path)
	}
	told := ask[int](d, `SELECT count(*) FROM event WHERE rep_id = $1 AND (kind = 'owner_passed' AND lead_id = $2 AND data->>'code' = 'presence'
		OR kind = 'repeated' AND lead_id = $3 AND data->>'lead' = $2::text)`, d.reps["kim"], id, first)
	if told != 2 {
		t.Errorf("the owner was told by %d of 2 events\n%s", told, d.story())
	}

	owner(2, routing.Owner{Absent: routing.AbsentSubstitute, Substitutes: map[string]string{email("kim"): email("noa")}})
	id = d.sends(p, anna)
	d.reaches(id, "person:all:noa open")

	owner(3, routing.Owner{Absent: routing.AbsentWait, Wait: 1500 * time.Millisecond})
	id = d.sends(p, anna)
	d.reaches(id, "person:all:kim open")
	d.eventually("the pool to get it once the wait is over", func() bool {
		return slices.Contains([]string{"person:all:kim timed_out, turn:all:mia open", "person:all:kim timed_out, turn:all:max open"}, d.path(id))
	})
	if missed := ask[int](d, `SELECT missed FROM rep WHERE id = $1`, d.reps["kim"]); missed != 0 {
		t.Errorf("somebody who is not there has missed %d offers", missed)
	}
	if why := ask[string](d, `SELECT reason FROM offer WHERE lead_id = $1 AND attempt = 1`, id); why != "its owner did not come back in time" {
		t.Error(why)
	}

	id = d.sends(p, anna)
	d.reaches(id, "person:all:kim open")
	d.exec(`UPDATE rep SET active = false WHERE id = $1`, d.reps["kim"])
	p.PresenceChanged()
	d.eventually("somebody else once the owner has left", func() bool {
		return slices.Contains([]string{"person:all:kim withdrawn, turn:all:mia open", "person:all:kim withdrawn, turn:all:max open"}, d.path(id))
	})
}

func TestOwner_OfAWaitingLeadGetsItWhenTheyAreBack(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "max", "noa", "kim")
	d.exec(`UPDATE rep SET presence = 'off', presence_by = 'console'`)
	d.stages(1, routing.Stages{Owner: routing.Owner{Match: []routing.OwnerBy{routing.ByPerson}}})
	p := d.join()
	anna := sender{"anna", "acme.example", "business"}
	d.had(p, anna, "kim", "contacted")
	d.start(p)
	id := d.sends(p, anna)
	d.reaches(id, " | waiting in all")
	d.exec(`UPDATE rep SET presence = 'available', presence_by = 'api' WHERE id = $1`, d.reps["kim"])
	p.PresenceChanged()
	d.reaches(id, "person:all:kim open")
}

func TestRepeat_IsAttachedToTheOpenLeadAndFollowsIt(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "max", "noa", "kim")
	d.stages(1, routing.Stages{Attach: true})
	p := d.run()
	anna := sender{"anna", "acme.example", "business"}
	first := d.sends(p, anna)
	d.settled([]uuid.UUID{first})
	second := d.sends(p, anna)
	d.reaches(second, " | closed in all")
	if line, want := d.line(second, routing.StageRepeat), "attached "+first.String(); line != want {
		t.Errorf("the trace says %q, want %q", line, want)
	}
	mia := ask[uuid.UUID](d, `SELECT rep_id FROM offer WHERE lead_id = $1`, first)
	if _, err := p.Claim(t.Context(), dispatch.ClaimRequest{LeadID: first, RepID: mia, By: "api"}); err != nil {
		t.Fatal(err)
	}
	if holder := ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1 AND disposition = 'joined'`, second); holder != mia {
		t.Errorf("who took the lead is %s, what is attached to it belongs to %s", mia, holder)
	}
	third := d.sends(p, anna)
	d.eventually("the third to be attached to the first, in the same hands", func() bool {
		return ask[bool](d, `SELECT EXISTS (SELECT FROM lead l JOIN lead_joined j ON j.lead_id = l.id WHERE l.id = $1 AND j.to_lead = $2 AND l.rep_id = $3)`, third, first, mia)
	})
	told := ask[string](d, `SELECT string_agg(data->>'lead', ' ' ORDER BY seq) FROM event WHERE lead_id = $1 AND kind = 'repeated'`, first)
	if want := fmt.Sprintf("%s %s", second, third); told != want {
		t.Errorf("the open lead was renewed by %q, want %q", told, want)
	}

	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: first, RepID: mia, Disposition: "booked"}); err != nil {
		t.Fatal(err)
	}
	fourth := d.sends(p, anna)
	d.settled([]uuid.UUID{fourth})
	if line := d.line(fourth, routing.StageRepeat); line != "nobody" {
		t.Errorf("once the lead is closed the next is one of its own: %q", line)
	}
	if n, err := p.Unowned(t.Context()); err != nil || n != 0 {
		t.Errorf("%d leads have nobody: %v", n, err)
	}
	d.replays()
}
