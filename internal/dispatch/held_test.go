package dispatch_test

import (
	"testing"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/routing"
)

func TestHold_KeepsALeadFromRoutingUntilSomebodyReleasesIt(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configureRules(1, []routing.Rule{
		{Name: "Competitors", Band: routing.Override, When: routing.Condition{Country: []string{"AT"}}, Then: routing.Target{Hold: true}},
		{Name: "All", Band: routing.Default, Then: routing.Target{Pool: "rest"}},
	}, pool("rest", long, "mia"))
	p := d.run()
	kept, other := d.submitFrom(p, 1, "AT")[0], d.submitFrom(p, 1, "DE")[0]
	d.reaches(other, "turn:rest:mia open")
	d.reaches(kept, " | held in ")
	if why := ask[string](d, `SELECT array_to_string(reasons, ',') || ' ' || state FROM hold WHERE lead_id = $1`, kept); why != lead.HeldByRule+" open" {
		t.Errorf("in the queue it stands as %q", why)
	}
	if n := ask[int](d, `SELECT (SELECT count(*) FROM delivery WHERE lead_id = $1) + (SELECT count(*) FROM decision WHERE lead_id = $1)`, kept); n != 0 {
		t.Error("somebody outside heard of it, or it counts as routed")
	}
	if found := ask[string](d, `SELECT s->>'found' || ' ' || (s->>'by') FROM decision_step, jsonb_array_elements(record->'stages') s
		WHERE lead_id = $1 AND s->>'stage' = 'override'`, kept); found != "held Competitors" {
		t.Errorf("the trace says %q", found)
	}
	if n, err := p.Unowned(t.Context()); err != nil || n != 0 {
		t.Errorf("%d leads have nobody: %v", n, err)
	}

	d.exec(`WITH h AS (UPDATE hold SET state = 'released' WHERE lead_id = $1)
		UPDATE lead SET stage = 'new', node = $2, dispatch_lease = clock_timestamp() + interval '5 seconds' WHERE id = $1`, kept, p.node.ID())
	p.Wake(1)
	d.settled([]uuid.UUID{kept, other})
	if rule := ask[string](d, `SELECT rule FROM decision WHERE lead_id = $1`, kept); rule != "All" {
		t.Errorf("released, it goes by %q", rule)
	}
	if line := d.line(kept, routing.StageGate); line != "released "+lead.HeldByRule {
		t.Errorf("the gate says %q", line)
	}
	d.replays()
}
