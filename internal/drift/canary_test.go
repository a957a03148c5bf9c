package drift_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// TestCanary_NothingThatAVisitorSentIsKept plants values in every place of refused and odd submissions, and looks for them in all that
// drift writes, mails, logs and counts.
func TestCanary_NothingThatAVisitorSentIsKept(t *testing.T) {
	t.Parallel()
	d := setup(t, true)
	var marks []string
	for i := range 50 {
		mark := func(field string) string {
			m := fmt.Sprintf("zqk%02d%s", i, field)
			marks = append(marks, m, fmt.Sprintf("77%02d9%04d", i, i))
			return m + " " + fmt.Sprintf("77%02d9%04d", i, i)
		}
		text := func(field string) privacy.Text { return privacy.Text(mark(field)) }
		raw := lead.Raw{
			Name: text("name") + privacy.Text(strings.Repeat("y", 300)), Email: text("email") + "@", Phone: text("phone"), Company: text("company") + privacy.Text(strings.Repeat("y", 300)),
			Notes: text("notes") + privacy.Text(strings.Repeat("y", 5000)), Country: mark("country"), Region: mark("region") + strings.Repeat("y", 300),
			PostalCode: mark("postal") + strings.Repeat("y", 300), Product: mark("product") + strings.Repeat("y", 300), Intent: mark("intent") + strings.Repeat("y", 300),
			Fields: map[string]privacy.Text{
				"team_size": text("size"), mark("member"): text("value"), "e_mail": text("misspelt") + "@acme.example",
			},
			Unknown: []lead.UnknownField{{Name: mark("unknown"), Value: text("sample")}},
			Context: lead.Context{PageURL: mark("page"), UTMTerm: mark("term")}, ClientKey: mark("key"), CorrelationID: mark("correlation"),
			BodyType: mark("type"), Body: text("body"),
		}
		refuse(d.service, raw)
		d.service.Note(demo, &lead.Raw{Email: "a@acme.example", Fields: raw.Fields}, nil)
		d.service.NoteUnreadable(demo, mark("media")+"/x", fault.New(fault.Unsupported, "Send JSON."))
		d.service.NoteUnreadable(demo, "application/json; x="+mark("json"), notJSON)
	}
	d.write(d.service)
	d.work()
	for _, g := range d.list() { // the record and a fault in the log too
		if err := d.store.Resolve(t.Context(), g.ID); err != nil {
			t.Fatal(err)
		}
	}
	d.control("POST", "/_control/faults", `{"vendor":"smtp","status":554}`)
	refuse(d.service, lead.Raw{Email: "zqk99email@", Phone: "zqk99phone"})
	d.exec(`UPDATE drift_notice SET day = day - 1`)
	d.write(d.service)
	d.work()

	sinks := map[string]string{"log": d.log.String()}
	for _, table := range []string{"drift_group", "drift_day", "drift_mail", "drift_notice", "audit", "river_job"} {
		var text string
		if err := d.db.Jobs.QueryRow(t.Context(), `SELECT coalesce(string_agg(x::text, E'\n'), '') FROM `+table+` x`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		sinks[table] = text
	}
	for i, m := range d.mails() {
		sinks[fmt.Sprintf("mail %d", i)] = m.Raw + m.Text
	}
	res := httptest.NewRecorder()
	d.metrics.Handler().ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	sinks["metrics"] = res.Body.String()
	if len(sinks) < 10 || !strings.Contains(sinks["drift_group"], "not_an_option") || !strings.Contains(sinks["mail 0"], "xxx") || !strings.Contains(sinks["log"], "554") {
		t.Fatal("the sinks were empty: nothing was proved")
	}
	for sink, text := range sinks {
		for _, mark := range marks {
			if strings.Contains(strings.ToLower(text), mark) {
				t.Errorf("%s holds %q", sink, mark)
			}
		}
		if strings.Contains(text, "zqk") {
			t.Errorf("%s holds what a visitor sent:\n%s", sink, text)
		}
	}
}
