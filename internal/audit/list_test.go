package audit_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/fault"
)

// account adds a person and gives the id.
func (o *office) account(email string) uuid.UUID {
	o.t.Helper()
	id := uuid.New()
	_, err := o.db.Jobs.Exec(o.t.Context(), `INSERT INTO account (id, email, name) VALUES ($1, $2, $3)`, id, email, strings.ToUpper(email[:3]))
	must(o.t, err)
	return id
}

// lead adds a lead that a rep with this address holds.
func (o *office) lead(email string) uuid.UUID {
	o.t.Helper()
	id, rep := uuid.Must(uuid.NewV7()), uuid.New()
	must(o.t, o.db.Jobs.QueryRow(o.t.Context(), `INSERT INTO rep (id, email, name) VALUES ($1, $2, 'R') ON CONFLICT (email) DO UPDATE SET name = 'R' RETURNING id`, rep, email).Scan(&rep))
	_, err := o.db.Jobs.Exec(o.t.Context(), `INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage, rep_id)
		VALUES ($1, 'c', 'demo', 'high', 1, now(), 'claimed', $2)`, id, rep)
	must(o.t, err)
	return id
}

func TestStore_ListNamesPeopleAndRecordsTheLook(t *testing.T) {
	t.Parallel()
	o := open(t)
	store := audit.NewStore(o.db.Gorm, o.clock)
	lee, vera := o.account("lee@example.com"), o.account("vera@example.com")
	token := uuid.New()
	_, err := o.db.Jobs.Exec(t.Context(), `INSERT INTO api_token (id, name, token_hash, scopes) VALUES ($1, 'dialer', '\x01', '')`, token)
	must(t, err)
	id := o.lead("mia@example.com")
	o.append(audit.Entry{ActorKind: audit.Token, Actor: &token, Action: audit.PayloadRead, ObjectKind: "lead", Object: id.String()})
	o.append(audit.Entry{ActorKind: audit.Person, Actor: &lee, Action: audit.AccountChanged, ObjectKind: "account", Object: vera.String(), Detail: map[string]any{"roles": "ops"}})
	o.append(audit.Entry{ActorKind: audit.Person, Actor: &lee, Action: audit.ContactRevealed, ObjectKind: "lead", Object: id.String(), Note: "call back"})

	lines, next, err := store.List(t.Context(), vera, audit.Filter{})
	must(t, err)
	if len(lines) != 3 || next != "" || lines[0].Note != "call back" || lines[0].ActorName != "LEE" || lines[1].ObjectName != "VER" || lines[2].ActorName != "dialer" {
		t.Errorf("lines: %+v", lines)
	}
	for _, c := range []struct {
		f    audit.Filter
		want []int64
	}{
		{audit.Filter{Actions: []audit.Action{audit.AuditSeen}}, []int64{4}}, // the look above
		{audit.Filter{Actor: &lee}, []int64{3, 2}},
		{audit.Filter{ActorKind: audit.Token}, []int64{1}},
		{audit.Filter{ObjectKind: "lead", Object: id.String()}, []int64{3, 1}},
		{audit.Filter{Since: time.Now().Add(time.Hour)}, nil},
		{audit.Filter{Until: time.Now().Add(-time.Hour)}, nil},
	} {
		lines, _, err := store.List(t.Context(), vera, c.f)
		must(t, err)
		if got := seqs(lines); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, should be %v", c.f, got, c.want)
		}
	}
	looks := func() (n int) {
		must(t, o.db.Jobs.QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE action = 'audit.seen' AND actor = $1`, vera).Scan(&n))
		return n
	}
	if n := looks(); n != 7 {
		t.Errorf("%d looks are on record", n)
	}
	_, _, err = store.List(t.Context(), vera, audit.Filter{Cursor: "3"})
	must(t, err)
	if n := looks(); n != 7 {
		t.Errorf("turning pages was recorded: %d", n)
	}
	o.pass(2 * time.Hour)
	_, _, err = store.List(t.Context(), vera, audit.Filter{})
	must(t, err)
	if n := looks(); n != 8 {
		t.Errorf("%d looks are on record after an hour", n)
	}
	if _, _, err := store.List(t.Context(), vera, audit.Filter{Cursor: "x"}); !fault.Is(err, fault.Malformed) {
		t.Errorf("a foreign cursor: %v", err)
	}
	o.verified()
}

func seqs(lines []audit.Line) (all []int64) {
	for _, l := range lines {
		all = append(all, l.Seq)
	}
	return all
}

func TestStore_NoRecordOfTheLookNoList(t *testing.T) {
	t.Parallel()
	o := open(t)
	store := audit.NewStore(o.db.Gorm, o.clock)
	o.rows(3)
	_, err := o.db.Jobs.Exec(t.Context(), `ALTER TABLE audit ADD CHECK (action NOT LIKE 'audit.%')`)
	must(t, err)
	if lines, _, err := store.List(t.Context(), uuid.New(), audit.Filter{}); err == nil {
		t.Errorf("%d lines were shown", len(lines))
	}
	if _, err := store.Export(t.Context(), uuid.New(), audit.Filter{}, "a purpose"); err == nil {
		t.Error("it was exported")
	}
}

func TestStore_RepsSeeTheirOwnDoingAndWhoSawTheirLeads(t *testing.T) {
	t.Parallel()
	o := open(t)
	store := audit.NewStore(o.db.Gorm, o.clock)
	mia, ben := o.account("mia@example.com"), o.account("ben@example.com")
	hers, his := o.lead("mia@example.com"), o.lead("ben@example.com")
	for _, e := range []audit.Entry{
		{ActorKind: audit.Person, Actor: &mia, Action: audit.SignedIn},                                                   // 1
		{ActorKind: audit.Person, Actor: &ben, Action: audit.SignedIn},                                                   // 2
		{ActorKind: audit.Person, Actor: &ben, Action: audit.ContactRevealed, ObjectKind: "lead", Object: hers.String()}, // 3
		{ActorKind: audit.Person, Actor: &mia, Action: audit.ContactRevealed, ObjectKind: "lead", Object: his.String()},  // 4
		{ActorKind: audit.System, Action: audit.PayloadRead, ObjectKind: "lead", Object: hers.String()},                  // 5
		{ActorKind: audit.System, Action: audit.PayloadRead, ObjectKind: "lead", Object: his.String()},                   // 6
		{ActorKind: audit.System, Action: audit.PersonErased, ObjectKind: "lead", Object: hers.String()},                 // 7
		{ActorKind: audit.Token, Actor: &mia, Action: audit.TokenUsed},                                                   // 8: a token with the same id is somebody else
		{ActorKind: audit.Person, Action: audit.SignInRefused},                                                           // 9
	} {
		o.append(e)
	}
	lines, _, err := store.List(t.Context(), mia, audit.Filter{Own: &mia})
	must(t, err)
	if got := seqs(lines); fmt.Sprint(got) != "[5 4 3 1]" {
		t.Errorf("Mia sees %v", got)
	}
	lines, _, err = store.List(t.Context(), mia, audit.Filter{Own: &mia, Actor: &ben})
	must(t, err)
	if got := seqs(lines); fmt.Sprint(got) != "[3]" {
		t.Errorf("Mia sees %v of Ben", got)
	}
}

func TestStore_PagesAndTimesFitTogether(t *testing.T) {
	t.Parallel()
	o := open(t)
	store := audit.NewStore(o.db.Gorm, o.clock)
	o.rows(125)
	var middle time.Time
	must(t, o.db.Jobs.QueryRow(t.Context(), `SELECT at FROM audit WHERE seq = 60`).Scan(&middle))
	viewer, got, cursor := uuid.New(), []int64(nil), ""
	for {
		lines, next, err := store.List(t.Context(), viewer, audit.Filter{Until: middle, Limit: 7, Cursor: cursor})
		must(t, err)
		got = append(got, seqs(lines)...)
		if cursor = next; next == "" {
			break
		}
	}
	if len(got) != 59 || got[0] != 59 || got[58] != 1 {
		t.Errorf("before row 60: %v", got)
	}
	lines, _, err := store.List(t.Context(), viewer, audit.Filter{Since: middle, Limit: 200})
	must(t, err)
	if len(lines) != 125-59+1 || lines[len(lines)-1].Seq != 60 {
		t.Errorf("from row 60 on: %d lines down to %d", len(lines), lines[len(lines)-1].Seq)
	}
}

func TestStore_ExportSaysWhatForAndHoldsNoFormula(t *testing.T) {
	t.Parallel()
	o := open(t)
	store := audit.NewStore(o.db.Gorm, o.clock)
	viewer := o.account("vera@example.com")
	o.append(audit.Entry{ActorKind: audit.Person, Actor: &viewer, Action: audit.ContactRevealed, Note: `=HYPERLINK("http://evil.example","x")`, Object: "a,b\"c\nd"})
	if _, err := store.Export(t.Context(), viewer, audit.Filter{}, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("an export without a purpose: %v", err)
	}
	lines, err := store.Export(t.Context(), viewer, audit.Filter{}, "yearly review")
	must(t, err)
	var text bytes.Buffer
	must(t, audit.WriteCSV(&text, lines))
	rows, err := csv.NewReader(&text).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[1][10] != `'=HYPERLINK("http://evil.example","x")` || rows[1][7] != "a,b\"c\nd" {
		t.Errorf("rows: %q", rows)
	}
	var note, detail string
	must(t, o.db.Jobs.QueryRow(t.Context(), `SELECT note, detail FROM audit WHERE action = 'audit.exported' AND actor = $1`, viewer).Scan(&note, &detail))
	if note != "yearly review" || detail != `{"entries":1}` {
		t.Errorf("on record: %q %q", note, detail)
	}
}

func TestWriteCSV_NoCellIsAFormula(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{
		"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\u200b=1", "\ufeff=1", "＝1", "＋1", "－1", "＠x", " ＝1", "−1", "\tx", "\rx",
		"=cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0",
	} {
		if got := audit.Harmless(cell); got != "'"+cell {
			t.Errorf("%q stays %q", cell, got)
		}
	}
	for _, cell := range []string{"", "plain", "1-1", "a=b", " x", "{\"n\":1}", "2026-11-23T10:00:00.000000Z", "é", "'"} {
		if got := audit.Harmless(cell); got != cell {
			t.Errorf("%q becomes %q", cell, got)
		}
	}
}
