package web_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/live"
	"leadline/web"
)

const demoForm = "product=platform&name=Anna+Berg"

// held tells why a lead is held; empty: it is not.
func (s *site) held(id string) (stage, reasons string) {
	s.t.Helper()
	err := s.db.Console.QueryRow(s.t.Context(), `SELECT l.stage, coalesce(array_to_string(h.reasons, ','), '') FROM lead l LEFT JOIN hold h ON h.lead_id = l.id WHERE l.id = $1`, id).Scan(&stage, &reasons)
	if err != nil {
		s.t.Fatal(err)
	}
	return stage, reasons
}

func (s *site) spam(email string, more ...string) answer {
	s.t.Helper()
	return s.postForm("/v1/forms/demo/leads", demoForm+"&email="+url.QueryEscape(email)+strings.Join(more, ""), "Idempotency-Key", email)
}

func TestSpam_ASuspectIsStoredHeldAndAnsweredLikeEverybody(t *testing.T) {
	s := setup(t)
	clean, suspect := s.spam("anna@acme.example"), s.spam("bot@acme.example", "&page_link=http://spam.example")
	expect(t, "a person", clean, http.StatusCreated)
	expect(t, "a program", suspect, http.StatusCreated)
	a, b := clean.json(t), suspect.json(t)
	if x, y := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)); !slices.Equal(x, y) {
		t.Errorf("answers differ: %v and %v", x, y)
	}
	if x, y := slices.Sorted(maps.Keys(clean.Header)), slices.Sorted(maps.Keys(suspect.Header)); !slices.Equal(x, y) {
		t.Errorf("headers differ: %v and %v", x, y)
	}
	if stage, why := s.held(b["lead_id"].(string)); stage != "held" || why != "hidden_field,no_token" {
		t.Errorf("stage %s, because %s", stage, why)
	}
	if stage, why := s.held(a["lead_id"].(string)); stage != "new" || why != "" {
		t.Errorf("the person: stage %s, because %s", stage, why)
	}
	status := func(of map[string]any) string {
		id, receipt := of["lead_id"].(string), of["receipt"].(string)
		got := s.do(http.MethodGet, "/v1/forms/demo/leads/"+id, "", "Authorization", "Receipt "+receipt)
		thanks := s.do(http.MethodGet, "/f/demo/thanks/"+receipt, "")
		if thanks.StatusCode != http.StatusOK || !strings.Contains(thanks.body, "We are finding the right person") {
			t.Errorf("thank-you page: %d", thanks.StatusCode)
		}
		return got.json(t)["state"].(string)
	}
	if x, y := status(a), status(b); x != "finding" || y != x {
		t.Errorf("states %s and %s", x, y)
	}
	again := s.spam("bot@acme.example", "&page_link=http://spam.example")
	expect(t, "the program again", again, http.StatusOK)
	if again.json(t)["lead_id"] != b["lead_id"] {
		t.Error("the same key made another lead")
	}
	if metrics := s.do(http.MethodGet, "/metrics", "").body; !strings.Contains(metrics, `leadline_spam_total{form="demo",verdict="hold"} 2`) {
		t.Error("the verdicts are not counted")
	}
}

func TestSpam_ACleanSubmissionOfTheSamePersonReleasesTheLead(t *testing.T) {
	s := setup(t)
	first := s.spam("anna@acme.example", "&topic_ref=x").json(t)["lead_id"].(string)
	odd := s.postForm("/v1/forms/demo/leads", demoForm+"&email=anna@acme.example&topic_ref=x", "Idempotency-Key", "second")
	expect(t, "again, as odd as before", odd, http.StatusCreated)
	if stage, _ := s.held(first); stage != "held" {
		t.Fatalf("stage %s after another odd one", stage)
	}
	expect(t, "again", s.postForm("/v1/forms/demo/leads", demoForm+"&email=anna@acme.example", "Idempotency-Key", "third"), http.StatusCreated)
	var state, kinds string
	err := s.db.Console.QueryRow(t.Context(), `SELECT (SELECT state FROM hold WHERE lead_id = $1), (SELECT string_agg(kind, ',' ORDER BY seq) FROM event WHERE lead_id = $1)`, first).Scan(&state, &kinds)
	if stage, _ := s.held(first); err != nil || stage != "new" || state != "released" || kinds != "repeated,repeated,released" {
		t.Errorf("stage %s, hold %s, events %s, %v", stage, state, kinds, err)
	}
	leads := 0
	if err := s.db.Console.QueryRow(t.Context(), `SELECT count(*) FROM lead`).Scan(&leads); err != nil || leads != 1 {
		t.Errorf("%d leads, %v", leads, err)
	}
}

// setupLive is setup with a live stream, which pages of the console ask for the time.
func setupLive(t *testing.T) *site {
	t.Helper()
	var hub *live.Hub
	s := setup(t, func(d *web.Deps) {
		hub = live.New(live.Options{DB: d.Handlers.DB, Log: d.Log, Now: time.Now, Pools: func(string) []string { return nil }})
		d.Handlers.Hub = hub
	})
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
	return s
}

// solve does a browser's work on the challenge of an answer.
func solve(t *testing.T, a answer) string {
	t.Helper()
	var doc struct {
		Challenge json.RawMessage `json:"challenge"`
	}
	var c struct {
		Parameters struct {
			Nonce, Salt, KeyPrefix string
			Cost, KeyLength        int
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc.Challenge, &c); err != nil {
		t.Fatal(err)
	}
	p := c.Parameters
	nonce, _ := hex.DecodeString(p.Nonce)
	salt, _ := hex.DecodeString(p.Salt)
	for n := uint32(0); n < 100_000; n++ {
		key, err := pbkdf2.Key(sha256.New, string(binary.BigEndian.AppendUint32(slices.Clone(nonce), n)), salt, p.Cost, p.KeyLength)
		if err != nil {
			t.Fatal(err)
		}
		if text := hex.EncodeToString(key); strings.HasPrefix(text, p.KeyPrefix) {
			return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"challenge":%s,"solution":{"counter":%d,"derivedKey":%q}}`, doc.Challenge, n, text))
		}
	}
	t.Fatal("no counter solves the challenge")
	return ""
}

func TestSpam_TheDoubtfulAreAskedForAProofAndNobodyIsRefused(t *testing.T) {
	s := setup(t)
	const doubtful = demoForm + "&email=x@mailinator.com&submission_id="
	post := func(key, solution string, headers ...string) answer {
		t.Helper()
		return s.postForm("/v1/forms/demo/leads", doubtful+key+"&altcha="+url.QueryEscape(solution), headers...)
	}
	asked := post("one", "ready")
	expect(t, "a browser that can", asked, http.StatusPreconditionRequired)
	if kind := asked.Header.Get("Content-Type"); kind != "application/problem+json" || asked.json(t)["challenge"] == nil {
		t.Errorf("%s %s", kind, asked.body)
	}
	solution := solve(t, asked)
	solved := post("one", solution)
	expect(t, "with the solution", solved, http.StatusCreated)
	if stage, _ := s.held(solved.json(t)["lead_id"].(string)); stage != "new" {
		t.Errorf("with the solution the lead is %s", stage)
	}
	expect(t, "the answer was lost: the same once more", post("one", solution), http.StatusOK)
	expect(t, "the solution for something else", post("two", solution), http.StatusPreconditionRequired)
	for key, one := range map[string]answer{
		"three": post("three", "missing"), "four": post("four", ""), "five": post("five", "ready", "Accept", "text/html"),
	} {
		if one.StatusCode != http.StatusCreated && one.StatusCode != http.StatusSeeOther {
			t.Errorf("%s was refused: %d %s", key, one.StatusCode, one.body)
		}
	}
	var spent int
	if err := s.db.Console.QueryRow(t.Context(), `SELECT count(*) FROM spent_proof`).Scan(&spent); err != nil || spent != 1 {
		t.Errorf("%d proofs spent, %v", spent, err)
	}
}

func TestSpam_ATokenIsGivenToEachPageAndKeptByNobody(t *testing.T) {
	s := setup(t)
	page := s.do(http.MethodGet, "/f/demo", "").body
	if !strings.Contains(page, `name="form_token" value="`) || strings.Count(page, `tabindex="-1" autocomplete="off"`) != 2 {
		t.Error("the hosted form is not dated or has no hidden fields")
	}
	one, two := s.do(http.MethodGet, "/v1/forms/demo?token=1", ""), s.do(http.MethodGet, "/v1/forms/demo?token=1", "")
	if one.Header.Get("Cache-Control") != "no-store" || one.body == two.body || one.json(t)["form_token"] == "" {
		t.Errorf("%v %s %s", one.Header, one.body, two.body)
	}
	hasty := s.postForm("/v1/forms/demo/leads", demoForm+"&email=hasty@acme.example&form_token="+one.json(t)["form_token"].(string))
	if _, why := s.held(hasty.json(t)["lead_id"].(string)); why != "too_fast" {
		t.Errorf("held because of %q", why)
	}
	if refused := s.do(http.MethodPost, "/v1/forms/demo/leads", "email=nonsense&form_token=kept", "Content-Type", typeForm, "Accept", "text/html"); !strings.Contains(refused.body, `name="form_token" value="kept"`) {
		t.Error("a form shown again is dated anew, so that who corrects it looks hasty")
	}
}

func TestSpam_LimitsShowTheFormAgainWithWhatWasFilledIn(t *testing.T) {
	s := setup(t)
	var last answer
	for i := range 3 {
		last = s.postForm("/v1/forms/limited/leads", fmt.Sprintf("email=p%d@acme.example&notes=Please+call", i), "Accept", "text/html")
	}
	expect(t, "the third within a minute", last, http.StatusTooManyRequests)
	if last.Header.Get("Retry-After") == "" || !strings.Contains(last.body, "Please call") {
		t.Errorf("%v\n%s", last.Header, last.body)
	}
}

func TestHeld_ReviewersReleaseDiscardAndPutBack(t *testing.T) {
	s := setupLive(t)
	ops := s.signIn("ops@example.com", "ops")
	admin := s.signIn("admin@example.com", "admin")
	var ids []string
	for i := range 3 {
		ids = append(ids, s.spam(fmt.Sprintf("secretname%d@acme.example", i), "&page_link=x").json(t)["lead_id"].(string))
	}
	page := s.do(http.MethodGet, "/held", "", "Cookie", ops)
	for _, want := range []string{"Filled in a field that people do not see", "s•••@acme.example", `data-testid="nav-held"`, "Score 100 of 100"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.Contains(page.body, "secretname") || strings.Index(page.body, ids[2]) > strings.Index(page.body, ids[0]) {
		t.Error("the page shows an address, or not the newest first")
	}
	if other := s.do(http.MethodGet, "/held?form=limited", "", "Cookie", ops); !strings.Contains(other.body, `data-testid="held-empty"`) {
		t.Error("the form does not narrow the list")
	}
	if same := s.do(http.MethodGet, "/held?reason=hidden_field", "", "Cookie", ops); strings.Count(same.body, `data-testid="held-lead"`) != 3 {
		t.Error("the reason narrows the list too much")
	}
	stage := func(id, want string) {
		t.Helper()
		if got, _ := s.held(id); got != want {
			t.Errorf("stage %s, want %s", got, want)
		}
	}
	post := func(path, body, cookie string) answer {
		return s.postForm(path, body, "Cookie", cookie, "Origin", s.url)
	}
	expect(t, "nothing chosen", post("/held/release", "", ops), http.StatusUnprocessableEntity)
	expect(t, "release one", post("/held/release", "one="+ids[0]+"&lead="+ids[1], ops), http.StatusOK)
	stage(ids[0], "new")
	stage(ids[1], "held")
	gone := post("/held/discard", "all=1&shown="+ids[1]+"&shown="+ids[2], admin)
	if expect(t, "discard all", gone, http.StatusOK); !strings.Contains(gone.body, `data-testid="held-undo"`) {
		t.Error("there is no way back")
	}
	stage(ids[1], "disqualified")
	if again := post("/held/release", "lead="+ids[1], ops); !strings.Contains(again.body, "Somebody else has decided about that already.") {
		t.Error("a decision was overturned without a word")
	}
	expect(t, "undo", post("/held/restore", "lead="+ids[1], admin), http.StatusOK)
	stage(ids[1], "held")
	if list := s.do(http.MethodGet, "/held?state=discarded", "", "Cookie", ops); !strings.Contains(list.body, ids[2]) || strings.Contains(list.body, ids[1]) {
		t.Error("the list of what was discarded is wrong")
	}
	var words, kinds string
	err := s.db.Console.QueryRow(t.Context(), `SELECT (SELECT string_agg(action, ',' ORDER BY seq) FROM audit WHERE action LIKE 'hold.%'),
		(SELECT string_agg(kind, ',' ORDER BY seq) FROM event WHERE lead_id = $1)`, uuid.MustParse(ids[1])).Scan(&words, &kinds)
	if err != nil || words != "hold.released,hold.discarded,hold.discarded,hold.restored" || kinds != "discarded,held" {
		t.Errorf("record %s, events %s, %v", words, kinds, err)
	}
}
