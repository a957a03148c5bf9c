package erasure_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/erasure"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
)

// situations are the states in which a person can be when they are erased.
var situations = []struct {
	name  string
	bring func(d *desk, h *human, id uuid.UUID)
}{
	{"offered", func(d *desk, h *human, id uuid.UUID) { d.offered(h, id) }},
	{"passed on", func(d *desk, h *human, id uuid.UUID) {
		rep := d.offered(h, id)
		if err := d.dispatch.Pass(d.t.Context(), dispatch.PassRequest{LeadID: id, RepID: rep, Note: "I know " + h.email, By: "console"}); err != nil {
			d.t.Fatal(err)
		}
	}},
	{"waiting", func(d *desk, h *human, id uuid.UUID) {
		d.offered(h, id)
		d.exec(`UPDATE offer SET state = 'timed_out', reason = 'not answered in time', ended_at = now() WHERE lead_id = $1`, id)
		d.exec(`UPDATE lead SET stage = 'waiting' WHERE id = $1`, id)
	}},
	{"claimed", claim},
	{"paused", func(d *desk, h *human, id uuid.UUID) {
		claim(d, h, id)
		pause := dispatch.PauseRequest{LeadID: id, Reason: dispatch.PauseOnHold, Note: "write to " + h.email, By: "console"}
		if err := d.dispatch.Pause(d.t.Context(), pause); err != nil {
			d.t.Fatal(err)
		}
	}},
	{"handed over", func(d *desk, h *human, id uuid.UUID) {
		claim(d, h, id)
		if err := d.dispatch.HandOver(d.t.Context(), dispatch.HandOverRequest{LeadID: id, Reason: "Somebody knows " + h.email}); err != nil {
			d.t.Fatal(err)
		}
	}},
	{"contacted", func(d *desk, h *human, id uuid.UUID) { outcome(d, h, id, "connected") }},
	{"booked", func(d *desk, h *human, id uuid.UUID) {
		outcome(d, h, id, "booked")
		d.exec(`UPDATE delivery SET record_id = $2, written = wanted WHERE lead_id = $1 AND destination = 'crm'`, id, h.email) // some CRMs name records so
	}},
	{"delivered", func(d *desk, h *human, id uuid.UUID) {
		d.offered(h, id)
		for _, c := range d.held(id) {
			d.record(outbox.Result{Claimed: c, Outcome: outbox.WasDelivered, RecordID: "r-1", URL: "https://crm.example/r-1?mail=" + h.email})
		}
		d.exec(`UPDATE delivery SET state = 'delivered', written = wanted, record_id = 'card' WHERE lead_id = $1 AND destination = 'chat'`, id)
	}},
	{"quarantined", func(d *desk, h *human, id uuid.UUID) {
		d.offered(h, id)
		for _, c := range d.held(id) {
			d.record(outbox.Result{Claimed: c, Outcome: outbox.WasRefused, Reason: "HTTP 400 about " + h.email})
		}
	}},
	{"in flight", func(d *desk, h *human, id uuid.UUID) {
		d.offered(h, id)
		d.exec(`UPDATE delivery SET last_error = $2, failing_since = now() WHERE lead_id = $1`, id, "slow for "+h.tag)
	}},
}

func claim(d *desk, h *human, id uuid.UUID) {
	rep := d.offered(h, id)
	if _, err := d.dispatch.Claim(d.t.Context(), dispatch.ClaimRequest{LeadID: id, RepID: rep, By: "console"}); err != nil {
		d.t.Fatal(err)
	}
}

func outcome(d *desk, h *human, id uuid.UUID, disposition string) {
	claim(d, h, id)
	rep := ask[uuid.UUID](d, `SELECT rep_id FROM lead WHERE id = $1`, id)
	err := d.dispatch.Outcome(d.t.Context(), dispatch.OutcomeRequest{LeadID: id, RepID: rep, Disposition: disposition, Reason: "spoke to " + h.tag})
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestErase_LeavesNothingOfThePersonWhateverTheStage(t *testing.T) {
	d := setup(t)
	bystander := newHuman(999)
	kept := d.arrive(bystander)
	d.talk(bystander, kept)
	var people []*human
	for i, s := range situations {
		h := newHuman(i)
		id := d.arrive(h)
		s.bring(d, h, id)
		d.talk(h, id)
		people = append(people, h)
	}
	d.stop()
	fresh := newHuman(500)
	d.arrive(fresh) // stays new
	people = append(people, fresh)
	if all := dump(t, d.db); len(hits(all, people...)) < 20*len(people) {
		t.Fatalf("the people are hardly there: %d hits", len(hits(all, people...)))
	}
	before := ask[int](d, `SELECT count(*) FROM payload`)
	for _, h := range people {
		result := d.erase(h)
		if len(result.Leads) != 3 || result.Submissions != 7 || result.Payloads != 7 || len(result.Forms) != 2 {
			t.Errorf("%s: erased %+v", h.tag, result)
		}
	}
	for _, row := range hits(dump(t, d.db), people...) {
		t.Errorf("still there: %s", row)
	}
	if text := pgDump(t, d); text != "" {
		for _, h := range people {
			for _, word := range h.words() {
				if strings.Contains(text, word) {
					t.Errorf("pg_dump still has %s", word)
				}
			}
		}
	}
	for _, h := range people {
		for _, word := range h.words() {
			if strings.Contains(strings.ToLower(d.listText()), word) {
				t.Errorf("the list names %s", word)
			}
		}
	}
	if got, want := ask[int](d, `SELECT count(*) FROM payload`), before-7*len(people); got != want {
		t.Errorf("%d payloads left, want %d", got, want)
	}
	if len(hits(dump(t, d.db), bystander)) < 20 {
		t.Error("somebody else was erased too")
	}
	d.sound(d.db)
	if n := ask[int](d, `SELECT count(*) FROM lead WHERE erased_at IS NOT NULL AND (stage NOT IN ('closed', 'booked') OR closed_at IS NULL)`); n != 0 {
		t.Errorf("%d erased leads are still worked on", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM offer o JOIN lead l ON l.id = o.lead_id WHERE l.erased_at IS NOT NULL AND o.state = 'open'`); n != 0 {
		t.Errorf("%d offers of erased leads are open", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM event WHERE kind = 'erased'`); n != 3*len(people) {
		t.Errorf("%d events", n)
	}
	if n := ask[int](d, `SELECT count(*) FROM audit WHERE action = 'person.erased' AND note = 'asked for by letter'`); n != len(people) {
		t.Errorf("%d records", n)
	}
	if info, err := os.Stat(d.list); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the list: %v %v", info, err)
	}
}

// pgDump is what a backup tool sees; empty where there is none.
func pgDump(t *testing.T, d *desk) string {
	t.Helper()
	tool, err := exec.LookPath("pg_dump")
	if err != nil {
		t.Log("there is no pg_dump here")
		return ""
	}
	text, err := exec.CommandContext(t.Context(), tool, d.db.Jobs.Config().ConnString()).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("pg_dump: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.ToLower(string(text))
}

func TestErase_NothingIsSentAnyMoreAndAWriteUnderWayBringsNothingBack(t *testing.T) {
	d := setup(t)
	sent, flying := newHuman(1), newHuman(2)
	sentID, flyingID := d.arrive(sent), d.arrive(flying)
	d.offered(sent, sentID)
	d.offered(flying, flyingID)
	d.eventually("leases", func() bool { return len(d.held(sentID)) == 2 && len(d.held(flyingID)) == 2 })
	for _, c := range d.held(sentID) {
		for _, a := range d.record(outbox.Result{Claimed: c, Outcome: outbox.WasDelivered, RecordID: "r-1", Release: true}) {
			if !a.OK {
				t.Fatal("not delivered")
			}
		}
	}
	d.exec(`UPDATE delivery SET written = wanted WHERE lead_id = $1 AND destination = 'crm'`, sentID)
	result := d.erase(sent)
	d.erase(flying)
	if result.Records["crm"] != 3 || result.Records["mirror"] != 3 {
		t.Errorf("records to delete by hand: %v", result.Records)
	}
	if n := ask[int](d, `SELECT count(*) FROM delivery WHERE lead_id = $1 AND destination = 'crm' AND state = 'delivered' AND record_id = 'r-1'`, sentID); n != 2 {
		t.Errorf("%d records of the CRM are known", n)
	}
	for _, c := range d.held(flyingID) {
		for _, a := range d.record(outbox.Result{Claimed: c, Outcome: outbox.WasDelivered, RecordID: flying.tag, URL: "https://crm.example/" + flying.tag}) {
			if a.OK {
				t.Error("the answer of a write under way was taken")
			}
		}
		_, turn, _, err := d.outbox.ClaimOne(t.Context(), d.db.Jobs, c.ID, 1)
		if err != nil || turn != outbox.Done {
			t.Errorf("a job would write: %s, %v", turn, err)
		}
	}
	if rows := hits(dump(t, d.db), flying); len(rows) > 0 {
		t.Errorf("came back: %v", rows)
	}
	if n := ask[int](d, `SELECT count(*) FROM delivery WHERE destination = 'crm' AND state IN ('pending', 'saving')`); n != 0 {
		t.Errorf("%d writes are due", n)
	}
}

func TestErase_WhoComesBackIsANewEnquiry(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	old := d.arrive(h)
	d.offered(h, old) // so that there is a decision to keep
	d.erase(h)
	back := d.send("demo", h, h.raw("1")) // the same key, the same words
	if back.Duplicate || back.LeadID == old || back.LeadID != back.SubmissionID {
		t.Fatalf("got %+v", back)
	}
	if err := d.intake.Amend(t.Context(), d.forms["demo"], old, lead.Raw{Name: "x"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a correction of what was erased: %v", err)
	}
	if n := ask[int](d, `SELECT count(*) FROM contact`); n != 1 {
		t.Errorf("%d contacts", n)
	}
	// And may ask to be erased once more.
	if result := d.erase(h); len(result.Leads) != 1 || len(hits(dump(t, d.db), h)) > 0 {
		t.Errorf("the second time: %+v", result)
	}
	if _, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: "again"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("the third time: %v", err)
	}
	d.sound(d.db)
}

// TestErase_WhileThePersonSendsOn erases somebody who does not stop sending: what was there before is gone, and nothing is stuck.
func TestErase_WhileThePersonSendsOn(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	old := d.arrive(h)
	d.offered(h, old)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 4)
	for i := range 4 {
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				raw := h.raw(strings.Repeat("x", i+1))
				raw.Notes = privacy.Text(strings.Repeat("again ", n%3))
				got, err := d.intake.Accept(context.Background(), d.forms["demo"], raw, lead.Arrival{})
				if err == nil {
					err = d.intake.Amend(context.Background(), d.forms["demo"], got.SubmissionID, lead.Raw{Name: "Other"})
				}
				if err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.NotFound) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	var erased []uuid.UUID
	for range 10 {
		result, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: "asked"})
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		erased = append(erased, result.Leads...)
	}
	cancel()
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	d.erase(h)
	if rows := hits(dump(t, d.db), h); len(rows) > 0 {
		t.Errorf("%d rows are left, such as %s", len(rows), rows[0])
	}
	if len(erased) < 4 || ask[int](d, `SELECT count(*) FROM lead WHERE id = $1 AND erased_at IS NOT NULL`, old) != 1 {
		t.Errorf("%d leads erased", len(erased))
	}
	d.sound(d.db)
}

func TestErase_FindsThePersonByLeadMailAndPhone(t *testing.T) {
	d := setup(t)
	h, other := newHuman(1), newHuman(2)
	d.arrive(h)
	colleague := other.raw("9")
	colleague.Phone = privacy.Text(h.phone) // the same switchboard, somebody else
	d.send("demo", other, colleague)
	alias := ask[uuid.UUID](d, `SELECT id FROM touch WHERE kind = 'repeat' LIMIT 1`)
	for name, r := range map[string]erasure.Request{
		"lead": {Lead: &h.leads[1]}, "alias": {Lead: &alias}, "mail": {Email: privacy.Text(" " + strings.ToUpper(h.email))},
	} {
		if found, err := d.erasure.Find(t.Context(), r); err != nil || len(found.Leads) != 3 || found.SharesPhone != 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	found, err := d.erasure.Find(t.Context(), erasure.Request{Phone: privacy.Text(h.phone)})
	if err != nil || len(found.Leads) != 1 || found.SharesPhone != 3 {
		t.Errorf("phone: %+v, %v", found, err)
	}
	for name, r := range map[string]erasure.Request{
		"none": {}, "two": {Email: "a@b.example", Phone: "+4930901820"}, "no address": {Email: "x"}, "no number": {Phone: "12"},
	} {
		if _, err := d.erasure.Find(t.Context(), r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, reason := range map[string]string{
		"nothing": " ", "mail": "letter of " + strings.ToLower(h.email), "phone": "call from 0049 30 " + h.phone[5:], "name": "anna " + h.tag + " wrote",
	} {
		if _, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: reason}); !fault.Is(err, fault.Invalid) {
			t.Errorf("reason with %s: %v", name, err)
		}
	}
	if n := ask[int](d, `SELECT count(*) FROM contact`); n != 4 {
		t.Errorf("%d contacts", n)
	}
}

func TestErase_WithoutTheListNothingIsErased(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	d.arrive(h)
	if err := os.Mkdir(d.list, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.erasure.Erase(t.Context(), erasure.Request{Email: privacy.Text(h.email), Reason: "asked"}); err == nil {
		t.Fatal("erased")
	}
	if n := ask[int](d, `SELECT count(*) FROM contact`); n != 3 {
		t.Errorf("%d contacts", n)
	}
}

func TestErase_AVersionThatCannotBeReadLosesTheFactsAndSaysSo(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	id := d.arrive(h)
	d.offered(h, id)
	d.exec(`UPDATE config_version SET body = 'version: 77'`)
	d.erase(h)
	if rows := hits(dump(t, d.db), h); len(rows) > 0 {
		t.Errorf("still there: %v", rows)
	}
	got := ask[string](d, `SELECT concat_ws(' ', trace->>'facts_reduced', trace->>'rule', trace->'facts'->>'country', trace->'facts'->>'postal_code') FROM decision WHERE lead_id = $1`, id)
	if got != "true Berlin DE" {
		t.Errorf("got %q", got)
	}
}

func TestErase_WaitsForRowsThatAreInUse(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	id := d.arrive(h)
	d.offered(h, id)
	tx, err := d.db.Console.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM lead WHERE id = $1 FOR UPDATE`, id); err != nil {
		t.Fatal(err)
	}
	release := time.AfterFunc(300*time.Millisecond, func() { _ = tx.Rollback(context.Background()) })
	defer release.Stop()
	if result := d.erase(h); len(result.Leads) != 3 {
		t.Errorf("%+v", result)
	}
}
