package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"leadline/internal/account"
)

// revealed tells whether an answer holds the person's details.
func revealed(a answer) bool {
	return strings.Contains(a.body, "Kovacs") || strings.Contains(a.body, "901820") || strings.Contains(a.body, "anna.kovacs") || strings.Contains(a.body, "We lose leads at night")
}

func TestReveal_ShowsTheContactForAWhileToTheOneWhoSaidWhy(t *testing.T) {
	o := openOffice(t)
	mia := o.rep("mia@example.com")
	screen := mia.console("")
	screen.until("a frame", func(frame) bool { return true })
	id := o.submit("DE", "Anna Kovacs")
	screen.until("the offer", func(f frame) bool { return f.shows("offer-" + id) })
	ops, other, viewer := o.person("ops@example.com", account.RoleOps), o.person("admin@example.com", account.RoleAdmin), o.person("viewer@example.com", account.RoleViewer)
	page := "/leads/" + id
	reveal := func(p *person, reason string, part bool) answer {
		return p.post(page+"/reveal", "reason="+url.QueryEscape(reason), part)
	}

	before := ops.get(page)
	if revealed(before) || before.find(t, "reveal").Length() != 1 || before.find(t, "reveal").Find(`input[name="csrf"]`).Length() != 1 {
		t.Errorf("masked page: %s", before.body)
	}
	if viewer.get(page).find(t, "reveal").Length() != 0 || mia.get(page).find(t, "reveal").Length() != 0 {
		t.Error("somebody who may not reveal is asked why")
	}
	for _, reason := range []string{"", "ab", "  a  ", strings.Repeat("x", 301), "\x00\x00\x00\x00"} {
		if a := reveal(ops, reason, true); a.status != http.StatusUnprocessableEntity {
			t.Errorf("the reason %.10q was answered %d", reason, a.status)
		}
	}
	if a := reveal(viewer, "I would like to know", true); a.status != http.StatusForbidden {
		t.Errorf("a viewer's reveal was answered %d", a.status)
	}
	if a := reveal(mia, "I would like to know", true); a.status != http.StatusForbidden {
		t.Errorf("a rep's reveal was answered %d", a.status)
	}
	if n := o.count(`SELECT count(*) FROM audit WHERE action = 'contact.revealed'`); n != 0 || revealed(ops.get(page)) {
		t.Errorf("%d reveals are on record, none was made", n)
	}

	const reason = "Anna called back & Mia is ill"
	shown := reveal(ops, reason, true)
	if shown.status != http.StatusOK || !revealed(shown) || !strings.Contains(shown.find(t, "revealed").Text(), "hides again at") {
		t.Fatalf("revealed: %d %s", shown.status, shown.body)
	}
	if !revealed(ops.get(page)) || revealed(other.get(page)) || revealed(viewer.get(page)) || revealed(mia.get(page)) {
		t.Error("the details are shown to the wrong people")
	}
	told := "ops@example.com looked at the contact details"
	for name, p := range map[string]*person{"the rep it is offered to": mia, "a viewer": viewer, "an admin": other} {
		if text := p.get(page).find(t, "timeline").Text(); !strings.Contains(text, told+": "+reason) {
			t.Errorf("%s is not told: %s", name, text)
		}
	}
	ben := o.rep("ben@example.com")
	if text := ben.get(page).find(t, "timeline").Text(); !strings.Contains(text, told) || strings.Contains(text, "Mia is ill") {
		t.Errorf("another rep of the pool reads %s", text)
	}
	if n := o.count(`SELECT count(*) FROM audit a JOIN event e ON (e.data->>'audit_seq')::bigint = a.seq AND e.kind = 'revealed' JOIN reveal r ON r.audit_seq = a.seq
		WHERE a.action = 'contact.revealed' AND a.object = $1 AND a.note = $2 AND a.actor_kind = 'person' AND r.until > clock_timestamp() + interval '4 minutes'
			AND r.until <= clock_timestamp() + interval '5 minutes'`, id, reason); n != 1 {
		t.Errorf("%d full records of the reveal", n)
	}

	o.sql(`UPDATE reveal SET until = clock_timestamp()`)
	if a := ops.get(page + "?part=1"); revealed(a) || a.find(t, "reveal").Length() != 1 {
		t.Error("the details stay after their time")
	}
	if a := reveal(ops, "once more, the line dropped", false); a.status != http.StatusSeeOther || a.header.Get("Location") != page || !revealed(ops.get(page)) {
		t.Errorf("without scripts: %d", a.status)
	}

	o.sql(`UPDATE audit SET note = NULL, note_salt = NULL WHERE action = 'contact.revealed'`)
	if text := mia.get(page).find(t, "timeline").Text(); !strings.Contains(text, told+": reason erased") {
		t.Errorf("after an erasure: %s", text)
	}
}

func TestReveal_WithoutARecordNothingIsShown(t *testing.T) {
	o := openOffice(t)
	id := o.submit("DE", "Anna Kovacs")
	ops := o.person("ops@example.com", account.RoleOps)
	o.sql(`ALTER FUNCTION append_audit(text, uuid, text, text, text, text, text, text) RENAME TO away`)
	a := ops.post("/leads/"+id+"/reveal", "reason=a+good+reason", true)
	if a.status != http.StatusInternalServerError || revealed(a) || revealed(ops.get("/leads/"+id)) {
		t.Errorf("answered %d", a.status)
	}
	if n := o.count(`SELECT (SELECT count(*) FROM reveal) + (SELECT count(*) FROM event WHERE kind = 'revealed')`); n != 0 {
		t.Errorf("%d traces of a reveal that was not recorded", n)
	}
}

func (o *office) sql(query string, args ...any) {
	o.t.Helper()
	_, err := o.db.Console.Exec(o.t.Context(), query, args...)
	must(o.t, err)
}

func (o *office) count(query string, args ...any) (n int) {
	o.t.Helper()
	must(o.t, o.db.Console.QueryRow(o.t.Context(), query, args...).Scan(&n))
	return n
}
