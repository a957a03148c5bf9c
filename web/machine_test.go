package web_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/machine"
	"leadline/internal/playbook"
	"leadline/internal/privacy"
	"leadline/web"
)

// machines is the configuration of the other tests with clients in it. partner posts to two forms, other to one of them, broken has no key
// that works.
const machines = config + `
clients:
  - {slug: partner, forms: [demo, limited], keys: ["env:PARTNER", "env:PARTNER_NEXT"]}
  - {slug: other, forms: [demo], keys: ["env:OTHER"], limit: 3/1m}
  - {slug: elsewhere, forms: [limited], keys: ["env:ELSEWHERE"]}
`

// testKey is a key that everybody may know.
func testKey(name string) privacy.Secret {
	return privacy.Secret("whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(name, 32)[:32])))
}

var testKeys = map[string]string{
	"PARTNER": testKey("partner").Plain(), "PARTNER_NEXT": testKey("next").Plain(), "OTHER": testKey("other").Plain(), "ELSEWHERE": testKey("elsewhere").Plain(),
}

// known lets a server read the clients' keys from an environment.
func known(t *testing.T, env map[string]string) func(*web.Deps) {
	return func(d *web.Deps) {
		live := playbook.NewLive(d.Handlers.DB, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, slog.New(slog.DiscardHandler))
		if err := live.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Handlers.Playbook = live
	}
}

func setupMachines(t *testing.T, change ...func(*web.Deps)) *site {
	t.Helper()
	return setupWith(t, machines, web.New, append([]func(*web.Deps){known(t, testKeys)}, change...)...)
}

// signed are the headers of a message as a client sends them.
func signed(t testing.TB, key privacy.Secret, id string, at time.Time, body string) []string {
	t.Helper()
	k, err := machine.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"Content-Type", typeJSON, machine.HeaderID, id, machine.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10),
		machine.HeaderSignature, k.Sign(id, at, []byte(body)),
	}
}

// send posts a message that is signed now.
func (s *site) send(client, id, body string, more ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, leads, body, append(signed(s.t, testKey(client), id, time.Now(), body), more...)...)
}

// patiently sends the same until there is an answer that is not "again in a moment", as clients are told to.
func patiently(send func() answer) (res answer) {
	for range 20 {
		if res = send(); res.StatusCode != http.StatusConflict && res.StatusCode != http.StatusServiceUnavailable {
			break
		}
	}
	return res
}

// count asks the database for a number.
func (s *site) count(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.db.Console.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// taken tells whether a submission was stored, now or before.
func taken(res answer) bool {
	return res.StatusCode == http.StatusCreated || res.StatusCode == http.StatusOK
}

func person(name string) string { return `{"email":"` + name + `@acme.example","product":"platform"}` }

// The rows of the decision table, one after the other in one database: each has its own people.
func TestMachine_DecidesAsTheTableSays(t *testing.T) {
	s := setupMachines(t)
	first := s.send("partner", "m-1", person("ann"))
	expect(t, "5: new", first, http.StatusCreated)
	ann := first.json(t)
	if first.Header.Get("Idempotent-Replayed") != "" || ann["duplicate"] != false {
		t.Errorf("5: %v %s", first.Header, first.body)
	}
	l, c, err := s.stored(uuid.MustParse(ann["lead_id"].(string)))
	if err != nil || c.Context.Machine != "partner" || l.Form != "demo" {
		t.Errorf("5: stored %+v of %+v: %v", c.Context, l, err)
	}

	replay := s.send("partner", "m-1", person("ann"))
	expect(t, "1: same key, same answers", replay, http.StatusOK)
	again := replay.json(t)
	if replay.Header.Get("Idempotent-Replayed") != "true" || again["duplicate"] != true || again["lead_id"] != ann["lead_id"] || again["receipt"] != ann["receipt"] ||
		again["accepted_at"] != ann["accepted_at"] || again["correlation_id"] != ann["correlation_id"] {
		t.Errorf("1: %v %s", replay.Header, replay.body)
	}

	reused := func(what string, res answer) {
		t.Helper()
		expect(t, what, res, http.StatusUnprocessableEntity)
		if doc := res.json(t); doc["code"] != "key_reused" || doc["help"] == nil || res.Header.Get("Idempotent-Replayed") != "" || strings.Contains(res.body, ann["lead_id"].(string)) {
			t.Errorf("%s: %s", what, res.body)
		}
	}
	reused("2: other answers", s.send("partner", "m-1", `{"email":"ann@acme.example","product":"analytics"}`))
	reused("3: other person", s.send("partner", "m-1", person("bob")))
	if n := s.count(`SELECT count(*) FROM lead`); n != 1 || s.count(`SELECT count(*) FROM touch`) != 0 || s.count(`SELECT count(*) FROM lead WHERE product = 'platform'`) != 1 {
		t.Errorf("2, 3: something changed: %d leads", n)
	}

	joined := s.send("partner", "m-2", person("ann"))
	expect(t, "4: other key, same person", joined, http.StatusOK)
	if got := joined.json(t); got["lead_id"] != ann["lead_id"] || got["duplicate"] != true || joined.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("4: %s", joined.body)
	}
	replay = s.send("partner", "m-2", person("ann"))
	expect(t, "4, again", replay, http.StatusOK)
	if got := replay.json(t); got["lead_id"] != ann["lead_id"] || replay.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("4, again: %s", replay.body)
	}

	for name, headers := range map[string][]string{
		"too long": {"Idempotency-Key", strings.Repeat("x", 256)}, "empty": {"Idempotency-Key", ""}, "no ASCII": {"Idempotency-Key", "schlüssel"},
	} {
		res := s.send("partner", "m-bad-"+strings.ReplaceAll(name, " ", "-"), person("cid"), headers...)
		expect(t, "6: "+name, res, http.StatusBadRequest)
		if doc := res.json(t); doc["code"] != "invalid_key" || doc["help"] == nil {
			t.Errorf("6: %s: %s", name, res.body)
		}
	}

	wrong := s.send("partner", "m-3", `{"product":"platform"}`)
	expect(t, "8: nobody to reach", wrong, http.StatusUnprocessableEntity)
	if doc := wrong.json(t); doc["errors"] == nil {
		t.Errorf("8: %s", wrong.body)
	}
	expect(t, "8, corrected under the same key", s.send("partner", "m-3", person("dan")), http.StatusCreated)
	if n := s.count(`SELECT count(*) FROM lead`); n != 2 {
		t.Errorf("%d leads", n)
	}
}

// Row seven: somebody holds the key in a transaction that does not end.
func TestMachine_AnswersConflictWhileItsKeyIsInUseElsewhere(t *testing.T) {
	s := setupMachines(t)
	for _, c := range []struct{ name, id, form, key string }{
		{"the message", "m-1", "@partner", lead.StoredKey("m-1")},
		{"the key", "m-2", "demo", "@partner/" + lead.StoredKey("m-2")},
	} {
		tx, err := s.db.Jobs.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		if _, err := tx.Exec(t.Context(), `INSERT INTO client_key (form, key, submission, fingerprint, digest) VALUES ($1, $2, gen_random_uuid(), '', '')`, c.form, c.key); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		res := s.send("partner", c.id, person(c.id))
		expect(t, c.name, res, http.StatusConflict)
		if took := time.Since(started); res.Header.Get("Retry-After") == "" || took < 200*time.Millisecond {
			t.Errorf("%s: after %s with %v", c.name, took, res.Header)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, c.name+", once it is free", s.send("partner", c.id, person(c.id)), http.StatusCreated)
	}
}

// A partner must not find out who wrote to us some other way, nor reach what they sent; and no sender's key is another's.
func TestMachine_LearnsNothingOfOthers(t *testing.T) {
	s := setupMachines(t)
	const key = "the-very-same-key-for-all-of-them"
	visitor := s.postJSON(leads, person("eve"), "Idempotency-Key", key)
	expect(t, "visitor", visitor, http.StatusCreated)
	partner := s.send("partner", "m-1", person("eve"), "Idempotency-Key", key)
	expect(t, "partner", partner, http.StatusCreated)
	other := s.send("other", "m-1", person("eve"), "Idempotency-Key", key)
	expect(t, "other", other, http.StatusCreated)
	a, b, c := visitor.json(t), partner.json(t), other.json(t)
	if a["lead_id"] == b["lead_id"] || b["lead_id"] == c["lead_id"] || a["lead_id"] == c["lead_id"] || b["duplicate"] != false || c["duplicate"] != false {
		t.Errorf("%v\n%v\n%v", a, b, c)
	}
	if n := s.count(`SELECT count(*) FROM lead`); n != 1 {
		t.Errorf("%d leads", n)
	}
	fresh := s.send("partner", "m-2", person("new"))
	for name, got := range fresh.Header {
		if name != "Date" && name != "X-Correlation-Id" && name != "Location" && strings.Join(got, "") != strings.Join(partner.Header[name], "") {
			t.Errorf("%s differs: %v and %v", name, got, partner.Header[name])
		}
	}
	// Its id opens what it sent, and nothing that somebody else did.
	receipt := "Receipt " + b["receipt"].(string)
	own := leads + "/" + b["lead_id"].(string)
	if res := s.do(http.MethodGet, own, "", "Authorization", receipt); res.StatusCode != http.StatusOK || res.json(t)["state"] != "finding" {
		t.Errorf("status: %d %s", res.StatusCode, res.body)
	}
	expect(t, "amend", s.do(http.MethodPatch, own, `{"name":"Mallory"}`, "Content-Type", typeJSON, "Authorization", receipt), http.StatusNoContent)
	if _, contact, err := s.stored(uuid.MustParse(a["lead_id"].(string))); err != nil || contact.Name != "" || contact.Context.Machine != "" {
		t.Errorf("the visitor's lead: %+v, %v", contact, err)
	}
	// What it sent first it may complete.
	sent := fresh.json(t)
	receipt = "Receipt " + sent["receipt"].(string)
	own = leads + "/" + sent["lead_id"].(string)
	expect(t, "amend its own", s.do(http.MethodPatch, own, `{"name":"Nina"}`, "Content-Type", typeJSON, "Authorization", receipt), http.StatusNoContent)
	if _, contact, err := s.stored(uuid.MustParse(sent["lead_id"].(string))); err != nil || contact.Name != "Nina" {
		t.Errorf("its lead: %+v, %v", contact, err)
	}
	// A browser that guesses a client's key, as it is stored or sent, meets nothing.
	for _, guess := range []string{"@partner/" + key, "m-2", key + "x"} {
		expect(t, "guess "+guess, s.postJSON(leads, person("guess"), "Idempotency-Key", guess), http.StatusCreated)
	}
}

func TestMachine_RefusesWithoutSayingWhatWasWrong(t *testing.T) {
	now := time.Now()
	s := setupMachines(t, func(d *web.Deps) { d.Handlers.Now = func() time.Time { return now } })
	body := person("ann")
	good := signed(t, testKey("partner"), "m-1", now, body)
	without := func(name string) []string {
		var out []string
		for i := 0; i < len(good); i += 2 {
			if good[i] != name {
				out = append(out, good[i], good[i+1])
			}
		}
		return out
	}
	with := func(name, value string) []string { return append(without(name), name, value) }
	first := ""
	for name, headers := range map[string][]string{
		"no id": without(machine.HeaderID), "no time": without(machine.HeaderTimestamp), "no signature": without(machine.HeaderSignature),
		"another version": with(machine.HeaderSignature, strings.Replace(good[7], "v1,", "v1a,", 1)), "empty": with(machine.HeaderSignature, ""),
		"a full stop in the id": signed(t, testKey("partner"), "m.1", now, body), "a blank in the id": signed(t, testKey("partner"), "m 1", now, body),
		"a long id": signed(t, testKey("partner"), strings.Repeat("x", 256), now, body), "an unknown key": signed(t, testKey("stranger"), "m-1", now, body),
		"a client of another form": signed(t, testKey("elsewhere"), "m-1", now, body), "too old": signed(t, testKey("partner"), "m-1", now.Add(-310*time.Second), body),
		"too new": signed(t, testKey("partner"), "m-1", now.Add(310*time.Second), body), "many signatures": with(machine.HeaderSignature, strings.Repeat("v1,x ", 8)+good[7]),
	} {
		res := s.do(http.MethodPost, leads, body, headers...)
		expect(t, name, res, http.StatusUnauthorized)
		doc := res.json(t)
		delete(doc, "correlation_id")
		if said := fmt.Sprint(doc); first == "" {
			first = said
		} else if said != first {
			t.Errorf("%s: says %s, another says %s", name, said, first)
		}
		if res.Header.Get("WWW-Authenticate") == "" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v", name, res.Header)
		}
	}
	if n := s.count(`SELECT count(*) FROM lead`) + s.count(`SELECT count(*) FROM client_key`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	for name, headers := range map[string][]string{
		"290 s old":                signed(t, testKey("partner"), "m-old", now.Add(-290*time.Second), body),
		"290 s ahead":              signed(t, testKey("partner"), "m-ahead", now.Add(290*time.Second), body),
		"the next key":             signed(t, testKey("next"), "m-next", now, body),
		"the longest id":           signed(t, testKey("partner"), strings.Repeat("x", 255), now, body),
		"beside others":            with(machine.HeaderSignature, "v1a,x v2,y v1,z "+good[7]),
		"from a page that may not": append(signed(t, testKey("partner"), "m-page", now, body), "Origin", "https://evil.example"),
	} {
		if res := s.do(http.MethodPost, leads, body, headers...); !taken(res) {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.body)
		}
	}
	metrics := s.do(http.MethodGet, "/metrics", "").body
	for _, want := range []string{`leadline_intake_signature_total{outcome="accepted"} 6`, `leadline_intake_signature_total{outcome="refused"} 13`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

func TestMachine_TakesEveryFormatAsItCame(t *testing.T) {
	s := setupMachines(t)
	multi := "--b\r\nContent-Disposition: form-data; name=\"product\"\r\n\r\nplatform\r\n--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nm@acme.example\r\n--b--\r\n"
	for kind, body := range map[string]string{typeForm: "email=f%40acme.example&product=platform", "multipart/form-data; boundary=b": multi, typeJSON: " " + person("j") + "\n"} {
		headers := append(signed(t, testKey("partner"), "m-"+strconv.Itoa(len(body)), time.Now(), body), "Content-Type", kind)
		expect(t, kind, s.do(http.MethodPost, leads, body, headers...), http.StatusCreated)
	}
}

func TestMachine_KeepsEachClientToItsRateAndNobodyToTheNetworks(t *testing.T) {
	now := time.Now()
	s := setupMachines(t, func(d *web.Deps) { d.Handlers.Now = func() time.Time { return now } })
	for n := range 3 {
		expect(t, "other", s.send("other", fmt.Sprintf("m-%d", n), person(fmt.Sprintf("o%d", n))), http.StatusCreated)
	}
	fourth := s.send("other", "m-3", person("o3"))
	expect(t, "other, once more", fourth, http.StatusTooManyRequests)
	if fourth.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for n := range 5 { // the form limits networks to two a minute
		body := `{"email":"l` + strconv.Itoa(n) + `@acme.example"}`
		res := s.do(http.MethodPost, "/v1/forms/limited/leads", body, signed(t, testKey("partner"), "l-"+strconv.Itoa(n), now, body)...)
		expect(t, "partner", res, http.StatusCreated)
	}
	for n := range 3 { // guesses do count
		res := s.do(http.MethodPost, "/v1/forms/limited/leads", person("x"), signed(t, testKey("stranger"), "x", now, person("x"))...)
		if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[n < 2]; res.StatusCode != want {
			t.Errorf("guess %d: %d", n, res.StatusCode)
		}
	}
	if metrics := s.do(http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, `leadline_intake_signature_total{outcome="throttled"} 1`) {
		t.Error("what was too much is not counted")
	}
}

// Whoever has seen a signed request may send it again, elsewhere, or with other headers that the signature does not cover.
func TestMachine_AReplayMakesNoSecondLead(t *testing.T) {
	s := setupMachines(t)
	for name, key := range map[string][]string{"plain": nil, "keyed": {"Idempotency-Key", "order-17"}} {
		body := person(name)
		plain := signed(t, testKey("partner"), "m-"+name, time.Now(), body)
		headers := slices.Concat(plain, key)
		expect(t, name, s.do(http.MethodPost, leads, body, headers...), http.StatusCreated)
		if _, err := s.db.Console.Exec(t.Context(), `UPDATE fingerprint SET last_seen = last_seen - interval '1 hour'`); err != nil {
			t.Fatal(err) // the window is over: the person alone does not make it one lead
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				res := patiently(func() answer { return s.do(http.MethodPost, leads, body, headers...) })
				if res.StatusCode != http.StatusOK || res.Header.Get("Idempotent-Replayed") != "true" {
					t.Errorf("%s: %d %s", name, res.StatusCode, res.body)
				}
			})
		}
		all.Wait()
		for what, res := range map[string]answer{
			"under another key": s.do(http.MethodPost, leads, body, slices.Concat(plain, []string{"Idempotency-Key", "mallory"})...),
			"to another form":   s.do(http.MethodPost, "/v1/forms/limited/leads", body, headers...),
		} {
			expect(t, name+", "+what, res, http.StatusUnprocessableEntity)
		}
		if key != nil {
			expect(t, name+", without it", s.do(http.MethodPost, leads, body, plain...), http.StatusUnprocessableEntity)
		}
		res := s.do(http.MethodPost, leads, body, slices.Concat(headers, []string{"Content-Type", typeForm})...)
		expect(t, name+", as another format", res, http.StatusUnprocessableEntity)
		if n := s.count(`SELECT count(*) FROM contact WHERE email = $1`, name+"@acme.example") + s.count(`SELECT count(*) FROM touch`); n != 1 {
			t.Errorf("%s: %d leads and touches", name, n)
		}
	}
}

func TestMachine_ErasedPeopleLeaveNoMessageBehind(t *testing.T) {
	s := setupMachines(t)
	expect(t, "sent", s.send("partner", "m-1", person("ann")), http.StatusCreated)
	if n := s.count(`SELECT count(*) FROM client_key k JOIN fingerprint f ON f.fp = k.fingerprint`); n != 2 {
		t.Errorf("%d of 2 rows of the ledger belong to the person", n)
	}
}
