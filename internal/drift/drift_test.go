package drift_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/audit"
	"leadline/internal/drift"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/sandbox"
)

func TestNote_NamesEachThingThatDiffers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  lead.Raw
		want []string
	}{
		"nothing":       {lead.Raw{Email: "a@acme.example", Fields: map[string]privacy.Text{"team_size": "1-10", "intent": "demo"}}, nil},
		"wrong values":  {lead.Raw{Email: "nonsense", Phone: "030 1", Fields: map[string]privacy.Text{"team_size": "99-999"}}, []string{"email/format", "phone/country_code", "fields.team_size/not_an_option"}},
		"nobody":        {lead.Raw{}, []string{"email/required"}},
		"misspelt":      {lead.Raw{Email: "a@acme.example", Fields: map[string]privacy.Text{"team_sise": "1-10"}}, []string{"unknown/team_sise"}},
		"too many":      {lead.Raw{Email: "a@acme.example", Unknown: manyUnknown(70)}, []string{"unknown/u0"}},
		"a person's":    {lead.Raw{Email: "a@acme.example", Fields: map[string]privacy.Text{"Anna Kovacs": "x"}}, []string{"unknown/xxxxx xxxxx"}},
		"missing email": {lead.Raw{Fields: map[string]privacy.Text{"e_mail": "a@acme.example"}}, []string{"email/required", "unknown/e_mail"}},
	} {
		_, err := lead.Normalise(demo, c.raw)
		got := drift.Causes(demo, &c.raw, err)
		if len(got) > 32 {
			t.Errorf("%s: %d findings", name, len(got))
		}
		for _, want := range c.want {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s in %v", name, want, got)
			}
		}
		if c.want == nil && got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	other := errors.New("the database is away")
	if got := drift.Causes(demo, &lead.Raw{Email: "nonsense"}, other); got != nil {
		t.Errorf("trouble of our own was taken for drift: %v", got)
	}
}

func TestNote_CostsACleanSubmissionNothing(t *testing.T) {
	d := drift.NewService(drift.Options{})
	raw := sends("1-10")
	if n := testing.AllocsPerRun(1000, func() { d.Note(demo, &raw, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWrite_CountsByDayAndKeepsAFewShapes(t *testing.T) {
	t.Parallel()
	d := setup(t, false)
	second := d.another(nil)
	for i := range 6 {
		refuse(d.service, sends(fmt.Sprintf("%d-%s", i, strings.Repeat("9", i))))
		refuse(second, sends("xl"))
	}
	d.write(d.service)
	d.write(second)
	refuse(d.service, sends("99-999"))
	d.service.NoteUnreadable(demo, "application/json; charset=utf-8", notJSON)
	d.service.NoteUnreadable(demo, "anna@acme.example", fault.New(fault.Unsupported, "Send JSON."))
	d.write(d.service)

	g := d.group("fields.team_size/not_an_option")
	if g.Total != 13 || g.Today() != 13 || g.Week() != 13 || g.Kind != drift.Refused || len(g.Samples) != 3 || g.Last.Before(g.First) || time.Since(g.First) > time.Minute {
		t.Errorf("got %+v", g)
	}
	if got := d.group("body/not_json"); got.Kind != drift.Unparseable || got.Total != 1 {
		t.Errorf("got %+v", got)
	}
	if got := d.group("body/type"); !slices.Equal(got.Samples, []string{"xxxxx@xxxxx.xxxxxxxx"}) {
		t.Errorf("samples %q", got.Samples)
	}
	if d.service.Open() != 3 {
		t.Errorf("%d groups are open", d.service.Open())
	}
	d.exec(`UPDATE drift_day SET day = day - 8 WHERE group_id = $1`, g.ID)
	refuse(d.service, sends("xl"))
	d.write(d.service)
	if g := d.group(g.Cause); g.Total != 14 || g.Today() != 1 || g.Week() != 1 || g.Days[drift.DaysShown-9] != 13 {
		t.Errorf("got %+v", g)
	}
}

// Somebody who makes up names of fields fills neither memory nor database, and pushes out nothing that the form's own fields show.
func TestWrite_BoundsWhatStrangersCanFill(t *testing.T) {
	t.Parallel()
	d := setup(t, false)
	second := d.another(nil)
	send := func(s *drift.Service, from, to int) {
		for i := from; i < to; i++ {
			raw := lead.Raw{Email: "a@acme.example", Fields: map[string]privacy.Text{fmt.Sprintf("f%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676): "x"}}
			s.Note(demo, &raw, nil)
		}
	}
	send(d.service, 0, 3000)
	if n := d.service.Pending(); n > drift.MaxGroups+1 {
		t.Errorf("%d groups wait in memory", n)
	}
	d.write(d.service)
	for round := range 4 {
		send(second, round*150, round*150+150)
		d.write(second)
	}
	refuse(d.service, sends("xl"))
	d.write(d.service)
	groups := d.list()
	var total int64
	for _, g := range groups {
		if g.Kind == drift.Unknown {
			total += g.Total
		}
	}
	if len(groups) != drift.MaxGroups+2 || total != 3600 {
		t.Errorf("%d groups, %d counted", len(groups), total)
	}
	if d.group("other/unknown").Total == 0 || d.group("fields.team_size/not_an_option").Total != 1 {
		t.Error("what does not fit is not counted, or pushed out what the form's own fields show")
	}
}

func TestRun_KeepsCountsWhileTheDatabaseIsAwayAndWritesThemAtTheEnd(t *testing.T) {
	t.Parallel()
	d := setup(t, false)
	d.exec(`ALTER TABLE drift_group RENAME TO drift_group_away`)
	refuse(d.service, sends("xl"))
	if err := d.service.Write(t.Context()); err == nil {
		t.Fatal("nothing was missed")
	}
	refuse(d.service, sends("xxl"))
	d.exec(`ALTER TABLE drift_group_away RENAME TO drift_group`)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.service.Run(ctx) }()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if g := d.list(); len(g) != 1 || g[0].Total != 2 || !slices.Equal(g[0].Samples, []string{"xx", "xxx"}) {
		t.Errorf("got %+v", g)
	}
}

func TestAnnounce_TellsEachOwnerOnceForEachGroupAndDay(t *testing.T) {
	t.Parallel()
	d := setup(t, true)
	refuse(d.service, sends("xl"))
	d.service.NoteUnreadable(demo, "application/json", notJSON)
	if err := d.service.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Several processes at the same moment.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := d.service.Announce(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	d.work()
	mails := d.mails()
	if len(mails) != 2 {
		t.Fatalf("%d mails", len(mails))
	}
	for i, owner := range demo.Owners {
		m := mails[slices.IndexFunc(mails, func(m sandbox.Mail) bool { return m.To[0] == owner })]
		for _, want := range []string{"not among its options", "not one JSON object", "xx", "https://leads.example.com/drift?form=demo"} {
			if !strings.Contains(m.Text, want) {
				t.Errorf("mail %d lacks %q:\n%s", i, want, m.Text)
			}
		}
		if m.Headers["auto-submitted"] != "auto-generated" || !strings.HasSuffix(m.MessageID, "@example.com") || m.Subject != "The form demo is sent 2 things it does not expect" {
			t.Errorf("headers %v", m.Headers)
		}
	}

	refuse(d.service, sends("xl")) // the same again today: silence
	d.write(d.service)
	refuse(d.service, lead.Raw{Email: "nonsense"}) // something new: one mail about it alone
	d.write(d.service)
	d.work()
	if mails = d.mails(); len(mails) != 4 || mails[3].Subject != "The form demo is sent something it does not expect" {
		t.Fatalf("%d mails", len(mails))
	}
	d.exec(`UPDATE drift_notice SET day = day - 1`) // the next day
	refuse(d.service, sends("xl"))
	d.write(d.service)
	d.work()
	if mails = d.mails(); len(mails) != 6 || strings.Contains(mails[5].Subject, "1 things") {
		t.Fatalf("%d mails", len(mails))
	}
	told := d.group("fields.team_size/not_an_option").Told
	if len(told) != 2 || told[0].Owner != "ada@acme.example" || told[0].State != "sent" || time.Since(told[0].At) > time.Minute {
		t.Errorf("told %+v", told)
	}
}

func TestAnnounce_GathersWhenNewThingsTurnUpAllTheTime(t *testing.T) {
	t.Parallel()
	d := setup(t, true)
	for i := range drift.MailsAtOnce + 5 {
		raw := lead.Raw{Email: "a@acme.example", Fields: map[string]privacy.Text{fmt.Sprintf("f%c%c", 'a'+i%26, 'a'+i/26): "x"}}
		d.service.Note(demo, &raw, nil)
		d.write(d.service)
	}
	d.work()
	if n := len(d.mails()); n != 2*drift.MailsAtOnce {
		t.Errorf("%d mails", n)
	}
	d.exec(`UPDATE drift_mail SET created_at = created_at - interval '61 minutes'`)
	d.write(d.service)
	d.work()
	mails := d.mails()
	if len(mails) != 2*drift.MailsAtOnce+2 || !strings.Contains(mails[len(mails)-1].Subject, "5 things") {
		t.Errorf("%d mails, the last about %q", len(mails), mails[len(mails)-1].Subject)
	}
}

func TestAnnounce_WithoutAMailServerNotesThatNobodyWasTold(t *testing.T) {
	t.Parallel()
	d := setup(t, false)
	refuse(d.service, sends("xl"))
	d.write(d.service)
	d.write(d.service)
	told := d.group("fields.team_size/not_an_option").Told
	if len(told) != 2 || told[0].State != "not_sent" || len(d.queue) != 0 || d.service.Configured() {
		t.Errorf("told %+v, jobs %v", told, d.queue)
	}
}

func TestSend_RetriesByClassUnderOneMessageID(t *testing.T) {
	t.Parallel()
	d := setup(t, true)
	d.control("POST", "/_control/faults", `{"vendor":"smtp","status":451}`)
	refuse(d.service, sends("xl"))
	d.write(d.service)
	const group = "fields.team_size/not_an_option"
	for _, want := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
		if got := d.work(); !slices.Equal(got, []time.Duration{want, want}) {
			t.Fatalf("waits %v, want %s", got, want)
		}
	}
	if told := d.group(group).Told[0]; told.State != "waiting" || told.Reason() != "the mail server answered 451" {
		t.Errorf("told %+v", told)
	}
	d.control("POST", "/_control/faults", `{"vendor":"smtp","drop":true}`) // taken, and the answer lost
	d.work()
	d.control("DELETE", "/_control/faults", "")
	if got := d.work(); !slices.Equal(got, []time.Duration{0, 0}) {
		t.Fatalf("waits %v", got)
	}
	mails := d.mails()
	if len(mails) != 4 || mails[0].MessageID != mails[2].MessageID || mails[1].MessageID != mails[3].MessageID || mails[0].MessageID == mails[1].MessageID {
		t.Errorf("%d mails", len(mails))
	}
	if later, err := d.service.Send(t.Context(), 1); later != 0 || err != nil || len(d.mails()) != 4 {
		t.Errorf("a mail that was sent was sent again: %s %v", later, err)
	}

	d.control("POST", "/_control/faults", `{"vendor":"smtp","status":554}`)
	refuse(d.service, lead.Raw{Email: "nonsense"})
	d.write(d.service)
	if got := d.work(); !slices.Equal(got, []time.Duration{0, 0}) {
		t.Fatalf("waits %v", got)
	}
	if told := d.group("email/format").Told[0]; told.State != "refused" || told.Code != "554" {
		t.Errorf("told %+v", told)
	}

	d.control("POST", "/_control/faults", `{"vendor":"smtp","status":421}`)
	refuse(d.service, lead.Raw{})
	d.write(d.service)
	d.exec(`UPDATE drift_mail SET created_at = created_at - interval '25 hours' WHERE state = 'waiting'`)
	d.work()
	if told := d.group("email/required").Told[0]; told.State != "gave_up" || len(d.queue) != 0 {
		t.Errorf("told %+v", told)
	}
}

func TestResolve_IsOnRecordAndUndoneByTheNextOccurrence(t *testing.T) {
	t.Parallel()
	d := setup(t, true)
	refuse(d.service, sends("xl"))
	d.write(d.service)
	g := d.list()[0]
	for range 2 {
		if err := d.store.Resolve(t.Context(), g.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.store.Resolve(t.Context(), g.ID+1); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	d.write(d.service)
	all, err := d.store.List(t.Context(), drift.Filter{Resolved: true})
	if err != nil || len(all) != 1 || all[0].ResolvedAt == nil || len(d.list()) != 0 || d.service.Open() != 0 {
		t.Errorf("resolved: %+v, %v", all, err)
	}
	var entries int
	var detail string
	err = d.db.Jobs.QueryRow(t.Context(), `SELECT count(*), max(detail) FROM audit WHERE action = $1`, string(audit.DriftResolved)).Scan(&entries, &detail)
	if err != nil || entries != 1 || detail != `{"form":"demo","kind":"refused"}` {
		t.Errorf("%d entries, %s, %v", entries, detail, err)
	}
	refuse(d.service, sends("99"))
	d.write(d.service)
	if open := d.list(); len(open) != 1 || open[0].Total != 2 || !slices.Equal(open[0].Samples, []string{"99"}) || d.service.Open() != 1 {
		t.Errorf("open: %+v", open)
	}
}

// manyUnknown are names that nobody knows.
func manyUnknown(n int) []lead.UnknownField {
	names := make([]lead.UnknownField, n)
	for i := range names {
		names[i] = lead.NewUnknownField(fmt.Sprintf("u%d", i), "x")
	}
	return names
}
