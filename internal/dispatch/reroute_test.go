package dispatch_test

import (
	"testing"

	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/dispatch"
	"leadline/internal/rep"
)

// take lets a rep claim a lead.
func (d *desk) take(p *process, id uuid.UUID, name string) {
	d.t.Helper()
	if _, err := p.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: d.reps[name]}); err != nil {
		d.t.Fatal(err)
	}
}

func TestReroute_WhoeverIsDeactivatedKeepsOnlyLeadsTheyHaveTouched(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben")
	d.configure(1, pool("first", long, "mia", "ben"))
	d.exec(`UPDATE rep SET presence = 'off' WHERE email = $1`, email("ben"))
	p, peer := d.run(), d.run()
	ids := d.submit(p, 6) // all of them mia's
	d.settled(ids)
	for _, id := range ids[:4] {
		d.take(p, id, "mia")
	}
	if err := p.Outcome(t.Context(), dispatch.OutcomeRequest{LeadID: ids[0], RepID: d.reps["mia"], Disposition: "connected"}); err != nil {
		t.Fatal(err)
	}
	d.exec(`UPDATE rep SET presence = 'available' WHERE email = $1`, email("ben"))

	if _, err := rep.NewStore(d.db.Gorm).SetActive(t.Context(), email("mia"), false); err != nil {
		t.Fatal(err)
	}
	p.PresenceChanged()
	peer.PresenceChanged()
	for _, id := range ids[1:4] {
		d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
	}
	for _, id := range ids[4:] {
		d.reaches(id, "turn:first:mia withdrawn, turn:first:ben open")
	}
	d.sound()
	if holder := ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1`, ids[0]); holder != d.reps["mia"] {
		t.Errorf("a lead that was called went to %s", holder)
	}
	if n := ask[int](d, `SELECT count(*) FROM lead WHERE id = ANY($1) AND (rep_id IS NOT NULL OR claimed_at IS NOT NULL OR revision <> 3)`, ids[1:4]); n != 0 {
		t.Errorf("%d leads still say that somebody has them, or the CRM would not hear of it", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM event WHERE lead_id = ANY($1) AND kind = 'offered' AND data->>'cause' = 'deactivated' AND rep_id = $2`,
		ids[1:], d.reps["ben"]); n != 5 {
		t.Errorf("%d of 5 offers say that they came of a deactivation", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = $1 AND object = ANY($2::text[])`, audit.LeadRerouted, ids[1:4]); n != 3 {
		t.Errorf("%d of 3 leads are in the record", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = $1 AND object = $2`, audit.RepDeactivated, d.reps["mia"].String()); n != 1 {
		t.Errorf("the deactivation is %d times in the record", n)
	}
}

func TestReroute_TheLastOneLeavesTheirLeadsInTheQueue(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	d.configure(1, pool("first", long, "mia"))
	p := d.run()
	id := d.submit(p, 1)[0]
	d.settled([]uuid.UUID{id})
	d.take(p, id, "mia")
	if _, err := rep.NewStore(d.db.Gorm).SetActive(t.Context(), email("mia"), false); err != nil {
		t.Fatal(err)
	}
	p.PresenceChanged()
	d.reaches(id, "turn:first:mia accepted | waiting in first")
	d.addRep("ben")
	d.configure(2, pool("first", long, "mia", "ben"))
	d.reaches(id, "turn:first:mia accepted, turn:first:ben open")
}
