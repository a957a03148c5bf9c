package dispatch_test

import (
	"testing"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/routing"
)

func TestPass_TheReasonSaysWhetherTheTurnCounts(t *testing.T) {
	t.Parallel()
	for reason, want := range map[routing.Decline]string{routing.WrongLanguage: "returned", routing.OnACall: "spent"} {
		d := setup(t, "mia", "ben")
		d.configure(1, pool("first", long, "mia", "ben"))
		p := d.run()
		id := d.submit(p, 1)[0]
		d.settled([]uuid.UUID{id})
		first := ask[string](d, `SELECT split_part(r.email, '@', 1) FROM offer o JOIN rep r ON r.id = o.rep_id WHERE o.attempt = 1`)
		if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: id, RepID: d.reps[first], Attempt: 1, Reason: "lunch"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a reason that does not exist: %v", err)
		}
		credit := func() float64 {
			return ask[float64](d, `SELECT credits[array_position(members, $1)] FROM pool_state WHERE pool = 'first'`, d.reps[first])
		}
		before := credit()
		if err := p.Pass(t.Context(), dispatch.PassRequest{LeadID: id, RepID: d.reps[first], Attempt: 1, Reason: reason, By: "api"}); err != nil {
			t.Fatal(err)
		}
		told := ask[string](d, `SELECT concat(data->>'code', ' ', data->>'turn') FROM event WHERE lead_id = $1 AND kind = 'offer_ended'`, id)
		if told != string(reason)+" "+want || ask[string](d, `SELECT declined FROM offer WHERE attempt = 1`) != string(reason) {
			t.Errorf("%s: the story says %q", reason, told)
		}
		if gained := credit() - before; gained != map[string]float64{"returned": 1, "spent": 0}[want] {
			t.Errorf("%s: the credit changed by %v", reason, gained)
		}
		rows := ask[int](d, `SELECT count(*) FROM credit_entry WHERE lead_id = $1 AND rep_id = $2 AND kind = 'declined' AND amount = 1 AND reason = $3`, id, d.reps[first], string(reason))
		if rows != map[string]int{"returned": 1, "spent": 0}[want] {
			t.Errorf("%s: the ledger has %d rows", reason, rows)
		}
	}
}
