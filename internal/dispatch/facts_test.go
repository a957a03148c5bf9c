package dispatch_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"leadline/internal/routing"
)

// TestFacts_WhatStandsBesideALeadRoutesIt gives rules what is known of a lead beyond its own row, and looks into the traces: a phone
// number is never in one.
func TestFacts_WhatStandsBesideALeadRoutesIt(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia")
	to := func(pool string) routing.Target { return routing.Target{Pool: pool} }
	d.configureRules(1, []routing.Rule{
		{Name: "Swiss numbers", When: routing.Condition{PhoneCountry: []string{"CH"}}, Then: to("swiss")},
		{Name: "May be called", When: routing.Condition{Consent: []string{"phone"}, Campaign: []string{"spring"}}, Then: to("calls")},
		{Name: "Looked at", When: routing.Condition{Spam: []string{routing.SpamReleased}}, Then: to("looked")},
		{Name: "All", Band: routing.Default, Then: to("rest")},
	}, pool("rest", long, "mia"), pool("swiss", long, "mia"), pool("calls", long, "mia"), pool("looked", long, "mia"))
	p := d.join()
	plain, swiss, calls, looked, odd := d.submit(p, 1)[0], d.submit(p, 1)[0], d.submit(p, 1)[0], d.submit(p, 1)[0], d.submit(p, 1)[0]
	contact := func(id uuid.UUID, phone, consent, context string) {
		d.exec(`INSERT INTO contact (lead_id, phone, consent, context) VALUES ($1, $2, $3, $4)
			ON CONFLICT (lead_id) DO UPDATE SET phone = excluded.phone, consent = excluded.consent, context = excluded.context`, id, phone, consent, context)
	}
	contact(swiss, "+41446681800", `{"phone": false, "email": true}`, `{}`)
	contact(calls, "+4930901820", `{"phone": true, "sms": true}`, `{"utm_campaign": "Spring"}`)
	d.exec(`INSERT INTO hold (lead_id, form, score, reasons, state) VALUES ($1, 'demo', 90, '{words}', 'released')`, looked)
	contact(odd, "12", `[1]`, `"text"`)
	d.start(p)
	for id, want := range map[uuid.UUID]struct{ rule, facts string }{
		plain:  {"All", `"spam":"clean"`},
		swiss:  {"Swiss numbers", `"phone_country":"CH"`},
		calls:  {"May be called", `"consent":"phone,sms"`},
		looked: {"Looked at", `"spam":"released"`},
		odd:    {"All", `"spam":"clean"`},
	} {
		d.eventually("a decision", func() bool { return ask[bool](d, `SELECT EXISTS (SELECT FROM decision WHERE lead_id = $1)`, id) })
		var compact strings.Builder
		var trace map[string]any
		if err := json.Unmarshal([]byte(ask[string](d, `SELECT trace::text FROM decision WHERE lead_id = $1`, id)), &trace); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&compact).Encode(trace); err != nil {
			t.Fatal(err)
		}
		if trace["rule"] != want.rule || !strings.Contains(compact.String(), want.facts) {
			t.Errorf("want rule %q by %s: %s", want.rule, want.facts, compact.String())
		}
		for _, number := range []string{"446681800", "30901820"} {
			if strings.Contains(compact.String(), number) {
				t.Errorf("a trace holds a phone number: %s", compact.String())
			}
		}
	}
}
