package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/account"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/privacy"
	"leadline/web"
)

// Two teams, a rep without one, and a pool each. Every name of a rep can be found again in an answer: zqr and a name.
const twoTeams = `
version: 1
teams: [{slug: north}, {slug: south}]
forms: [{slug: demo, name: Demo request, intent: high}]
reps:
  - {email: zqrnora@example.com, name: Zqrnora, team: north, timezone: UTC}
  - {email: zqrnils@example.com, name: Zqrnils, team: north, timezone: UTC}
  - {email: zqrsven@example.com, name: Zqrsven, team: south, timezone: UTC}
  - {email: zqrsixten@example.com, name: Zqrsixten, team: south, timezone: UTC}
  - {email: zqrsolo@example.com, name: Zqrsolo, timezone: UTC}
  - {email: zqridle@example.com, name: Zqridle, team: north, timezone: UTC, active: false}
pools:
  - {slug: north, strategy: pull, members: [{rep: zqrnora@example.com}, {rep: zqrnils@example.com}, {rep: zqridle@example.com}]}
  - {slug: south, strategy: pull, members: [{rep: zqrsven@example.com}, {rep: zqrsixten@example.com}]}
  - {slug: lone, strategy: pull, members: [{rep: zqrsolo@example.com}]}
rules: [{name: Everything, band: default, when: {}, then: {pool: lone}}]
`

var (
	repsOfTeam = map[string][]string{"north": {"nora", "nils"}, "south": {"sven", "sixten"}, "": {"solo"}}
	teamOfRep  = map[string]string{"nora": "north", "nils": "north", "sven": "south", "sixten": "south"}
	poolOfTeam = map[string]string{"north": "north", "south": "south"}
)

// planted is a lead with facts that are true of it alone: zqk, its number and what the fact is.
type planted struct {
	n       int
	id      uuid.UUID
	alias   uuid.UUID
	stage   lead.Stage
	pool    string
	holder  string // a rep, or empty
	offered string // a rep it was ever offered to alone, or empty
}

func (p planted) mark(fact string) string { return fmt.Sprintf("zqk%02d%s", p.n, fact) }

func (p planted) phone() string { return fmt.Sprintf("+49305550%02d1234", p.n) }

var plants = []planted{
	{stage: lead.StageClaimed, pool: "north", holder: "nora", offered: "nora"},
	{stage: lead.StageContacted, pool: "north", holder: "nils"},
	{stage: lead.StageWaiting, pool: "north"},
	{stage: lead.StageOffered, pool: "north", offered: "nora"},
	{stage: lead.StageClaimed, pool: "south", holder: "sven"},
	{stage: lead.StageWaiting, pool: "south"},
	{stage: lead.StageOffered, pool: "south", offered: "sven"},
	{stage: lead.StageContacted, pool: "south", holder: "sixten", offered: "nora"}, // nora was too slow
	{stage: lead.StageClaimed, pool: "lone", holder: "nils"},                       // came to the north by hand
	{stage: lead.StageWaiting, pool: "lone"},
	{stage: lead.StageNew},
	{stage: lead.StageHeld},
}

// sender is somebody or something that sends requests.
type sender struct {
	name   string
	roles  []string
	rep    string // of the reps above
	scopes []string
	void   bool // an ended session, a disabled account, a revoked token
	cookie string
	token  string
	csrf   string

	account string
}

func (s *sender) person() bool { return s.cookie != "" }

// world is a site with plants and senders.
type world struct {
	*site
	plants  []planted
	senders []*sender
	byID    map[string]int // every id and reference of a plant
}

func newWorld(t *testing.T, build func(web.Deps) (*web.Server, error)) *world {
	t.Helper()
	var hub *live.Hub
	w := &world{byID: map[string]int{}}
	w.site = setupWith(t, twoTeams, build, func(d *web.Deps) {
		hub = live.New(live.Options{
			DB: d.Handlers.DB, Log: d.Log, Now: time.Now, Pools: func(email string) []string { return d.Handlers.Playbook.Current().Table.PoolsOf(email) },
		})
		d.Handlers.Hub = hub
	})
	w.plant()
	w.hire()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- hub.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-hub.Ready()
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Console.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%v\n%s", err, sql)
	}
}

// plant writes the leads and all that belongs to them, and keeps a copy to restore them from.
func (w *world) plant() {
	for i, p := range plants {
		p.n, p.id, p.alias = i+1, uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		w.plants = append(w.plants, p)
		w.byID[p.id.String()], w.byID[p.alias.String()] = i, i
		w.byID[lead.Reference(p.id)] = i
		repID := func(name string) string { return "(SELECT id FROM rep WHERE email = 'zqr" + name + "@example.com')" }
		w.exec(`INSERT INTO lead (id, correlation_id, form, intent, product, country, postal_code, source, node, dispatch_lease, stage, pool, rep_id, attempt, claimed_at)
			VALUES ($1, $2, 'demo', 'high', $3, 'DE', $4, 'ads', 1, clock_timestamp() + interval '1 day', $5, $6, `+repID(p.holder)+`, 1, CASE WHEN $7 <> '' THEN clock_timestamp() END)`,
			p.id, p.mark("corr"), p.mark("product"), p.mark("postal"), string(p.stage), p.pool, p.holder)
		w.exec(`INSERT INTO contact (lead_id, name, email, phone, company, notes, fields, consent, context) VALUES ($1, $2, $3, $4, $5, $6, $7, '{"phone": true}', $8)`,
			p.id, p.mark("name")+" "+p.mark("surname"), p.mark("mail")+"@acme.example", p.phone(), p.mark("company"), p.mark("notes"),
			fmt.Sprintf(`{"team": %q}`, p.mark("answer")), fmt.Sprintf(`{"page_url": "https://www.example.com/?e=%s", "referrer": "https://x.example/#%s", "utm_term": %q, "utm_campaign": %q, "device": %q}`,
				p.mark("query"), p.mark("fragment"), p.mark("term"), p.mark("utm")+"@acme.example", p.mark("device")))
		w.exec(`INSERT INTO touch (id, lead_id, kind, payload) VALUES ($1, $2, 'repeat', '{}')`, p.alias, p.id)
		w.send(p)
		if p.stage == lead.StageHeld {
			w.exec(`INSERT INTO hold (lead_id, form, score, reasons) VALUES ($1, 'demo', 90, '{links}')`, p.id)
		}
		if p.stage == lead.StageNew || p.stage == lead.StageHeld {
			continue
		}
		candidate := p.holder
		if candidate == "" {
			candidate = p.offered
		}
		trace, _ := json.Marshal(map[string]any{"candidates": []map[string]string{{"rep": "zqr" + candidate + "@example.com", "outcome": "chosen", "reason": p.mark("reason")}}})
		w.exec(`INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ($1, 1, $2, $3, $4)`, p.id, p.mark("rule"), p.pool, string(trace))
		if p.offered != "" {
			w.exec(`INSERT INTO offer (lead_id, attempt, kind, pool, rep_id, state, cause, deadline) VALUES ($1, $2, 'exclusive', $3, `+repID(p.offered)+`, $4, 'first',
				CASE WHEN $4 = 'open' THEN clock_timestamp() + interval '1 hour' END)`, p.id, map[bool]int{true: 1, false: 0}[p.stage == lead.StageOffered], p.pool,
				map[bool]string{true: "open", false: "timed_out"}[p.stage == lead.StageOffered])
		}
		w.exec(`SELECT append_events(ARRAY[$1]::uuid[], ARRAY['routed'], ARRAY[$2], ARRAY[`+repID(p.holder)+`]::uuid[], ARRAY[1], ARRAY[jsonb_build_object('rule', $3::text)])`,
			p.id, p.pool, p.mark("event"))
	}
	for _, table := range []string{"lead", "contact", "offer"} {
		w.exec(`CREATE TABLE kept_` + table + ` AS SELECT * FROM ` + table)
	}
}

// send keeps what the visitor sent.
func (w *world) send(p planted) {
	document, err := lead.PayloadDocument(&lead.Submission{BodyType: typeJSON, Body: privacy.Text(p.mark("payload") + p.phone())}, uuid.Nil)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := w.ring.Envelope(w.t.Context(), document, p.id[:])
	if err != nil {
		w.t.Fatal(err)
	}
	w.exec(`INSERT INTO payload (submission, data_key, wrapped, sealed) VALUES ($1, $2, $3, $4)`, p.id, e.KeyID, e.Wrapped, e.Sealed)
}

// restore undoes what a request did to the plants.
func (w *world) restore() {
	for _, table := range []string{"lead", "contact", "offer"} {
		w.exec(`DELETE FROM ` + table)
		w.exec(`INSERT INTO ` + table + ` SELECT * FROM kept_` + table)
	}
	w.exec(`DELETE FROM reveal`)
	w.exec(`SELECT append_events(array_agg(id), array_agg('amended'::text), array_agg(pool), array_agg(NULL::uuid), array_agg(0), array_agg('{}'::jsonb)) FROM kept_lead`)
	w.deps.Handlers.Hub.Wake()
}

// hire adds everybody who sends requests.
func (w *world) hire() {
	w.senders = []*sender{{name: "nobody"}}
	add := func(s *sender) {
		s.account = s.name + "@example.com"
		if s.rep != "" {
			s.account = "zqr" + s.rep + "@example.com"
		}
		w.enter(s)
		w.senders = append(w.senders, s)
	}
	rep := []string{account.RoleRep}
	for _, name := range []string{"nora", "nils", "sven", "sixten", "solo"} {
		add(&sender{name: "rep " + name, roles: rep, rep: name})
	}
	add(&sender{name: "ghost", roles: rep}) // a rep's account whose rep is not in the team list
	for _, role := range []string{account.RoleOps, account.RoleAdmin, account.RoleViewer} {
		add(&sender{name: role, roles: []string{role}})
	}
	add(&sender{name: "watcher", roles: []string{account.RoleViewer, account.RoleOps}})
	add(&sender{name: "roleless"})
	add(&sender{name: "disabled", roles: account.Roles, void: true})
	w.exec(`UPDATE account SET disabled_at = clock_timestamp() WHERE email = 'disabled@example.com'`)
	add(&sender{name: "ended", roles: account.Roles, void: true})
	w.exec(`DELETE FROM session WHERE account_id = (SELECT id FROM account WHERE email = 'ended@example.com')`)

	tokens := [][]string{{}, {account.ScopeLeadsRead, account.ScopeLeadsReveal}}
	for _, scope := range account.Scopes {
		tokens = append(tokens, []string{scope})
	}
	for _, scopes := range tokens {
		w.senders = append(w.senders, &sender{name: "token " + strings.Join(scopes, "+"), scopes: scopes, token: w.token(scopes...)})
	}
	w.senders = append(w.senders,
		&sender{name: "revoked token", void: true, scopes: account.Scopes, token: w.token(account.Scopes...)},
		&sender{name: "invented token", void: true, scopes: account.Scopes, token: "Bearer ll_" + strings.Repeat("A", 43)})
	w.exec(`UPDATE api_token SET revoked_at = clock_timestamp() WHERE id = (SELECT id FROM api_token ORDER BY created_at DESC LIMIT 1)`)
}

// enter signs a person in, anew if need be.
func (w *world) enter(s *sender) {
	s.cookie = w.signIn(s.account, s.roles...)
	if !s.void { // asking for it would keep the session in the cache for a second longer
		s.csrf = w.csrf(s.cookie)
	}
}

// sees tells what a sender may know of a lead: that it is there, and who it is. This is the rule in plain Go, apart from the query.
func (s *sender) sees(p planted, holder string) (there, whole bool) {
	switch {
	case s.void:
		return false, false
	case slices.Contains(s.scopes, account.ScopeLeadsRead):
		return true, slices.Contains(s.scopes, account.ScopeLeadsReveal)
	case slices.Contains(s.scopes, account.ScopeLeadsAct):
		return true, false
	case slices.ContainsFunc(s.roles, func(r string) bool { return r != account.RoleRep }):
		return true, false
	case s.rep == "":
		return false, false
	}
	team := teamOfRep[s.rep]
	pool := poolOfTeam[team]
	if s.rep == "solo" {
		pool = "lone"
	}
	mine := holder == s.rep
	mates := team != "" && holder != "" && teamOfRep[holder] == team
	return mine || p.offered == s.rep || mates || p.pool == pool && pool != "", mine
}

// own tells whether a lead is the sender's in the narrow sense.
func (s *sender) own(p planted) bool { return s.rep != "" && (p.holder == s.rep || p.offered == s.rep) }

// names gives the reps whose names a sender may read.
func (w *world) names(s *sender) []string {
	var out []string
	if s.void {
		return nil
	}
	if s.rep != "" {
		out = append(out, s.rep)
		out = append(out, repsOfTeam[teamOfRep[s.rep]]...)
	}
	for _, p := range w.plants {
		if there, _ := s.sees(p, p.holder); there {
			out = append(out, p.holder, p.offered)
		}
	}
	return out
}
