package web_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/lead"
	"leadline/web"
)

// How many requests the prober sends: the usual number, and with TORTURE=full at least this one.
const (
	probesUsual = 2_500
	probesFull  = 20_000
)

// probe is one request.
type probe struct {
	from    *sender
	method  string
	pattern string // of the path
	row     *web.Row
	object  string // what stands for :id, or empty
	plant   int    // which lead that is; -1: none
	byRef   bool

	query, body, kind string
	part, html        bool
	foreign           bool // made by another site's page
	bare              bool // without the token of the session's forms
}

// prober sends requests to a world and collects what an answer should not have held.
type prober struct {
	*world
	rng     *rand.Rand
	rows    map[string]*web.Row // by method and path
	missing map[string]string   // the one answer to what is not there, by how it is asked for
	found   []string
	sent    int
	by      map[int]int // answers by status
}

func newProber(w *world, seed uint64) *prober {
	p := &prober{world: w, rng: rand.New(rand.NewPCG(seed, 3)), rows: map[string]*web.Row{}, missing: map[string]string{}, by: map[int]int{}}
	for _, row := range web.Table() {
		p.rows[row.Method+" "+row.Path] = &row
	}
	return p
}

var probed = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// lines gives each line of the matrix × sender × object once.
func (p *prober) lines() []probe {
	var out []probe
	for _, row := range web.Table() {
		if !slices.Contains(probed, row.Method) {
			continue // OPTIONS is for browsers on other sites
		}
		methods := []string{row.Method}
		if row.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			for _, from := range p.senders {
				base := probe{from: from, method: method, pattern: row.Path, row: &row, plant: -1}
				if !strings.Contains(row.Path, ":id") {
					out = append(out, base)
					continue
				}
				for i, l := range p.plants {
					for _, object := range []string{l.id.String(), l.alias.String(), lead.Reference(l.id)} {
						one := base
						one.object, one.plant, one.byRef = object, i, len(object) == 9
						out = append(out, one)
					}
				}
				for _, object := range []string{"unknown", "unknown", "7777-7777", "x"} {
					one := base
					one.object = object
					out = append(out, one)
				}
			}
		}
	}
	p.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// others gives each path × sender × method that has no line: nothing may answer there.
func (p *prober) others() []probe {
	var out []probe
	lines := p.lines()
	seen := map[string]bool{}
	for _, one := range lines {
		for _, method := range probed {
			key := method + " " + one.pattern + " " + one.from.name
			if seen[key] || p.rows[method+" "+one.pattern] != nil || method == http.MethodHead && p.rows[http.MethodGet+" "+one.pattern] != nil {
				continue
			}
			seen[key] = true
			one.method, one.row = method, nil
			out = append(out, one)
		}
	}
	p.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// some picks n probes: each line with each sender, a tenth for what has no line, and the rest by chance.
func (p *prober) some(n int) []probe {
	seen := map[string]bool{}
	var first, rest []probe
	for _, one := range p.lines() {
		key := one.method + " " + one.pattern + " " + one.from.name
		if one.method == one.row.Method && !seen[key] {
			seen[key] = true
			first = append(first, one)
			continue
		}
		rest = append(rest, one)
	}
	first = append(first, p.others()[:n/10]...)
	return append(first, rest...)[:n]
}

// every gives all of them, the lines again and again, dressed differently, until there are n.
func (p *prober) every(n int) []probe {
	out := p.others()
	for {
		lines := p.lines()
		out = append(out, lines...)
		if n -= len(lines); n <= 0 {
			return out
		}
	}
}

// dress gives a probe the parts that nobody may depend on.
func (p *prober) dress(one probe) probe {
	pick := func(of ...string) string { return of[p.rng.IntN(len(of))] }
	if one.object == "unknown" {
		one.object = uuid.Must(uuid.NewV7()).String()
	}
	one.query = pick("", "", "?part=1", "?since=1", "?id="+p.plants[p.rng.IntN(len(p.plants))].id.String(), "?limit=200", "?view=console", "?stage=claimed&_method=DELETE")
	one.part, one.html, one.foreign, one.bare = p.rng.IntN(3) == 0, p.rng.IntN(2) == 0, p.rng.IntN(20) == 0, p.rng.IntN(20) == 0
	form := "attempt=0&disposition=connected&reason=called+back+for+a+colleague&presence=available&place=pool-x&email=a%40b.example&password=none"
	one.kind, one.body = typeForm, form
	switch {
	case one.from.token != "" && p.rng.IntN(8) > 0:
		one.kind, one.body = "application/json", pick(`{"rep":"zqrnora@example.com"}`, `{"disposition":"connected"}`, `{"rep":"zqrsven@example.com","attempt":1}`, `{"presence":"off"}`, `{}`)
	case p.rng.IntN(8) == 0:
		one.kind, one.body = pick("text/plain", "application/json", ""), pick("", "{}", form)
	}
	return one
}

func (p *prober) path(one probe) string {
	return strings.NewReplacer(":slug", "demo", ":id", one.object, ":token", "none", ":email", "zqrnora%40example.com", ":name", "app.css", ":absence", "none").Replace(one.pattern)
}

// send sends a probe and gives the answer with everything in it that could betray something.
func (p *prober) send(one probe) (status int, text string, header http.Header) {
	req, err := http.NewRequestWithContext(p.t.Context(), one.method, p.url+p.path(one)+one.query, strings.NewReader(one.body))
	if err != nil {
		p.t.Fatal(err)
	}
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("Cookie", one.from.cookie)
	set("Authorization", one.from.token)
	set("X-CSRF-Token", map[bool]string{false: one.from.csrf}[one.bare])
	set("Content-Type", one.kind)
	set("Accept", map[bool]string{true: "text/html", false: "application/json"}[one.html])
	set("HX-Request", map[bool]string{true: "true"}[one.part])
	set("Origin", map[bool]string{true: "https://evil.example", false: p.url}[one.foreign])
	set("Sec-Fetch-Site", map[bool]string{true: "cross-site", false: "same-origin"}[one.foreign])
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatalf("%s: %v", one.tell(), err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("%s: %v", one.tell(), err)
	}
	var all strings.Builder
	for name, values := range res.Header {
		if name != "Location" && name != "Hx-Redirect" { // they repeat the address that was asked for
			all.WriteString(name + ": " + strings.Join(values, "\n") + "\n")
		}
	}
	all.Write(body)
	return res.StatusCode, all.String(), res.Header
}

func (one probe) tell() string {
	return fmt.Sprintf("%s %s for plant %d (%s%s) by %s, %q", one.method, one.pattern, one.plant+1, one.object, one.query, one.from.name, one.kind)
}

func (p *prober) note(one probe, format string, args ...any) {
	p.found = append(p.found, one.tell()+": "+fmt.Sprintf(format, args...))
}

// try sends one probe and judges the answer.
func (p *prober) try(one probe) {
	one = p.dress(one)
	status, text, header := p.send(one)
	p.sent++
	p.by[status]++
	changed := one.method != http.MethodGet && one.method != http.MethodHead && status < 400
	if want, ok := p.judge(one, status, header); !ok {
		p.note(one, "answered %d, want %s", status, want)
	}
	if status == http.StatusNotFound && strings.Contains(one.pattern, "/leads/:id") && (one.row.Kind == "role" || one.row.Kind == "token") {
		p.alike(one, text)
	}
	holders := p.holders(changed)
	p.leaks(one, text, holders, changed)
	if changed && one.row != nil && strings.Contains(one.pattern, "lead") || changed && one.pattern == "/live/next" {
		p.restore()
	}
	if changed && one.from.person() && !one.from.void && (one.pattern == "/signout" || strings.HasPrefix(one.pattern, "/signin")) {
		p.enter(one.from)
	}
}

// judge compares a status with what the matrix says, in words when it differs.
func (p *prober) judge(one probe, status int, header http.Header) (want string, ok bool) {
	is := func(of ...int) bool { return slices.Contains(of, status) }
	if one.row == nil {
		return "405", is(http.StatusMethodNotAllowed)
	}
	unsafe := one.method != http.MethodGet && one.method != http.MethodHead
	switch one.row.Kind {
	case "anyone":
		return "anything but a failure", status < 500 || is(http.StatusServiceUnavailable)
	case "page":
		if one.foreign && unsafe {
			return "403 for another site", is(http.StatusForbidden)
		}
		return "anything but a failure", status < 500 || is(http.StatusServiceUnavailable)
	case "monitor":
		return "200", is(http.StatusOK) // the prober is a program on this machine
	case "token":
		return p.judgeToken(one, is)
	}
	if one.foreign && (unsafe || one.row.Kind == "socket") {
		return "403 for another site", is(http.StatusForbidden)
	}
	if !one.from.person() || one.from.void {
		sentAway := is(http.StatusSeeOther) && strings.HasPrefix(header.Get("Location"), "/signin")
		return "401, or the sign-in page", is(http.StatusUnauthorized) || sentAway
	}
	if !slices.ContainsFunc(one.row.Roles, func(r string) bool { return slices.Contains(one.from.roles, r) }) {
		return "403", is(http.StatusForbidden)
	}
	if unsafe && one.body != "" && one.kind != typeForm {
		return "415", is(http.StatusUnsupportedMediaType)
	}
	if unsafe && one.bare {
		return "403 without the token of the form", is(http.StatusForbidden)
	}
	if !strings.Contains(one.pattern, "/leads/") && one.object != "" { // not a lead's id
		return "404", is(http.StatusNotFound)
	}
	if slices.Contains(one.from.roles, account.RoleRep) && one.from.rep == "" { // a rep's account without a rep
		return "403, 404 or an empty page", is(http.StatusForbidden, http.StatusNotFound) || one.object == "" && is(http.StatusOK, http.StatusSeeOther, http.StatusUnprocessableEntity, http.StatusUpgradeRequired)
	}
	if one.object == "" {
		return "an answer", is(http.StatusOK, http.StatusSeeOther, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusUpgradeRequired)
	}
	if !p.reaches(one) {
		return "404", is(http.StatusNotFound)
	}
	if forHolders.MatchString(one.pattern) && p.plants[one.plant].holder != one.from.rep && is(http.StatusForbidden) {
		return "", true // it was offered to this rep, so it is no secret, but somebody else has it
	}
	return "an answer", is(http.StatusOK, http.StatusSeeOther, http.StatusConflict, http.StatusUnprocessableEntity)
}

// forHolders are the routes that are for the rep who has the lead.
var forHolders = regexp.MustCompile(`^/leads/:id/(outcome|pause|resume)$`)

// reaches tells whether a person's request is about a lead within the cell of the matrix.
func (p *prober) reaches(one probe) bool {
	if one.plant < 0 {
		return false
	}
	plant := p.plants[one.plant]
	for _, role := range one.from.roles {
		reach, _, _ := strings.Cut(one.row.Cells[role], "/")
		there, _ := one.from.sees(plant, plant.holder)
		if reach == "all" || reach == "team" && there || reach == "own" && one.from.own(plant) {
			return true
		}
	}
	return false
}

func (p *prober) judgeToken(one probe, is func(...int) bool) (want string, ok bool) {
	switch {
	case one.from.token == "" || one.from.void:
		return "401", is(http.StatusUnauthorized)
	case !slices.Contains(one.from.scopes, one.row.Scope):
		return "403", is(http.StatusForbidden)
	}
	malformed := is(http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	if strings.HasSuffix(one.pattern, "/:absence") || strings.HasPrefix(one.pattern, "/v1/pools/") { // let in; nothing of that name is there
		return "404", is(http.StatusNotFound)
	}
	if one.object == "" {
		nothingThere := is(http.StatusConflict) && strings.HasSuffix(one.pattern, "/canary/promote")
		return "an answer", is(http.StatusOK) || malformed || nothingThere
	}
	if !strings.Contains(one.pattern, "/leads/") { // not a lead's id
		return "404", is(http.StatusNotFound) || malformed && one.method != http.MethodGet
	}
	if one.plant < 0 || one.byRef {
		return "404", is(http.StatusNotFound) || malformed && one.method == http.MethodPost
	}
	otherRep := is(http.StatusForbidden) && strings.HasSuffix(one.pattern, "/outcome") // the outcome of one rep's lead in the name of another
	return "an answer", is(http.StatusOK, http.StatusConflict) || malformed || otherRep
}

var correlationInside = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|Date: [^\n]*\n|Content-Length: \d+\n`)

// alike holds all answers about what is not there against each other: nobody can tell a foreign lead from one that never was.
func (p *prober) alike(one probe, text string) {
	lines := strings.Split(correlationInside.ReplaceAllString(text, ""), "\n")
	slices.Sort(lines)
	text = strings.Join(lines, "\n")
	how := fmt.Sprint(one.row.Kind, one.html, one.part, one.method == http.MethodHead, one.from.rep != "" && one.method != http.MethodGet)
	if before, ok := p.missing[how]; ok && before != text {
		p.note(one, "a missing lead is answered differently:\n%s\nand before:\n%s", text, before)
		return
	}
	p.missing[how] = text
}

var (
	markInside  = regexp.MustCompile(`zqk(\d\d)([a-z]+)`)
	phoneInside = regexp.MustCompile(`305550(\d\d)1234`)
	idInside    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9A-Z]{4}-[0-9A-Z]{4}\b`)
	nameInside  = regexp.MustCompile(`zqr([a-z]+)`)
)

// marks that say that a lead is there and where it went, not who it is.
var plain = []string{"corr", "product", "rule", "reason", "event"}

// leaks looks for what the sender may not know.
func (p *prober) leaks(one probe, text string, holders []string, changed bool) {
	low := strings.ToLower(text)
	may := func(n int) (there, whole bool) {
		if strings.HasSuffix(one.pattern, "/payloads") && n == one.plant && !one.from.void && slices.Contains(one.from.scopes, account.ScopePayloadsRead) {
			return true, true
		}
		there, whole = one.from.sees(p.plants[n], holders[n])
		revealed := changed && n == one.plant && strings.HasSuffix(one.pattern, "/reveal") && slices.ContainsFunc([]string{account.RoleOps, account.RoleAdmin}, func(r string) bool { return slices.Contains(one.from.roles, r) })
		return there, whole || revealed
	}
	for _, m := range markInside.FindAllStringSubmatch(low, -1) {
		n, _ := strconv.Atoi(m[1])
		there, whole := may(n - 1)
		if !there || !whole && !slices.Contains(plain, m[2]) {
			p.note(one, "the answer holds the %s of plant %d", m[2], n)
		}
	}
	for _, m := range phoneInside.FindAllStringSubmatch(strings.NewReplacer(" ", "", "-", "").Replace(text), -1) {
		n, _ := strconv.Atoi(m[1])
		if _, whole := may(n - 1); !whole {
			p.note(one, "the answer holds the phone number of plant %d", n)
		}
	}
	for _, id := range idInside.FindAllString(text, -1) {
		n, known := p.byID[id]
		if !known || strings.Contains(p.path(one)+one.query, id) {
			continue
		}
		if there, _ := may(n); !there {
			p.note(one, "the answer names plant %d", n+1)
		}
	}
	names := p.names(one.from)
	everybody := len(one.from.scopes) > 0 || slices.ContainsFunc(one.from.roles, func(r string) bool { return r != account.RoleRep })
	for _, m := range nameInside.FindAllStringSubmatch(low, -1) {
		if !slices.Contains(names, m[1]) && (one.from.void || !everybody) {
			p.note(one, "the answer names the rep %s", m[1])
		}
	}
}

// holders tells who holds the plants, now or as planted.
func (p *prober) holders(now bool) []string {
	out := make([]string, len(p.plants))
	for i, l := range p.plants {
		out[i] = l.holder
		if now {
			var email string
			err := p.db.Console.QueryRow(p.t.Context(), `SELECT coalesce(r.email, '') FROM lead l LEFT JOIN rep r ON r.id = l.rep_id WHERE l.id = $1`, l.id).Scan(&email)
			if err != nil {
				p.t.Fatal(err)
			}
			out[i] = strings.TrimSuffix(strings.TrimPrefix(email, "zqr"), "@example.com")
		}
	}
	return out
}

// Every route, by everybody, about leads of their own, their team's and others': the answer is what the matrix says, and holds
// nothing that the sender may not know. TORTURE=full asks everything.
func TestMatrix_HoldsAgainstEveryProbe(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("PROBE_SEED"), 10, 64); err == nil {
		seed = s
	}
	p := newProber(newWorld(t, web.New), seed)
	least, probes := probesUsual, p.some(probesUsual)
	if os.Getenv("TORTURE") == "full" {
		least, probes = probesFull, p.every(probesFull)
	}
	began := time.Now()
	for _, one := range probes {
		p.try(one)
		if len(p.found) >= 20 {
			break
		}
	}
	t.Logf("%d probes in %s, %d findings, answers by status %v; PROBE_SEED=%d repeats them", p.sent, time.Since(began).Round(time.Millisecond), len(p.found), p.by, seed)
	for _, f := range p.found {
		t.Error(f)
	}
	if p.sent < least && len(p.found) == 0 {
		t.Errorf("only %d probes were sent, want %d", p.sent, least)
	}
	for _, status := range []int{200, 303, 401, 403, 404, 405} {
		if p.by[status] == 0 {
			t.Errorf("no probe was answered %d: the prober does not reach what it should", status)
		}
	}
}

// The prober finds what is wrong: a cell too wide, a handler that forgets its scope, a handler that shows too much.
func TestMatrix_ProberFindsWrongCellsAndWrongHandlers(t *testing.T) {
	wrongCell := func(from, to string) func(web.Deps) (*web.Server, error) {
		text := strings.Replace(web.Text(), from, to, 1)
		if text == web.Text() {
			t.Fatalf("the matrix has no line %q", from)
		}
		return func(d web.Deps) (*web.Server, error) { return web.NewWith(d, text, nil) }
	}
	wrongHandler := func(route string, make func(d web.Deps) fiber.Handler) func(web.Deps) (*web.Server, error) {
		return func(d web.Deps) (*web.Server, error) {
			return web.NewWith(d, web.Text(), map[string]fiber.Handler{route: make(d)})
		}
	}
	forgetful := func(c *fiber.Ctx) {
		g := handlers.GrantOf(c)
		g.Leads = lead.Everything()
		handlers.SetGrant(c, g)
	}
	for _, wrong := range []struct {
		name, route string // what to probe: the route that is wrong
		build       func(web.Deps) (*web.Server, error)
	}{
		{"reps see every lead", "GET /leads/:id", wrongCell("GET      /leads/:id                       page    -       team ", "GET      /leads/:id                       page    -       all  ")},
		{"viewers may reveal", "POST /leads/:id/reveal", wrongCell("POST     /leads/:id/reveal                fresh   -       -     all/r  all/r  -    ", "POST     /leads/:id/reveal                fresh   -       -     all/r  all/r  all/r")},
		{"any token may list", "GET /v1/leads", wrongCell("leads:read         list", "metrics:read       list")},
		{"a lead for anyone", "GET /leads/:id/card", wrongCell("GET      /leads/:id/card                  page    -       team  -      -      -  ", "GET      /leads/:id/card                  page    yes     yes   yes    yes    yes")},
		{"a handler without scope", "GET /leads/:id", wrongHandler("GET /leads/:id", func(d web.Deps) fiber.Handler {
			h := handlers.NewConsole(d.Handlers)
			return func(c *fiber.Ctx) error { forgetful(c); return h.Lead(c) }
		})},
		{"a handler that unmasks", "GET /leads/:id", wrongHandler("GET /leads/:id", func(d web.Deps) fiber.Handler {
			h := handlers.NewConsole(d.Handlers)
			return func(c *fiber.Ctx) error {
				if err := h.Lead(c); err != nil {
					return err
				}
				if id, err := uuid.Parse(c.Params("id")); err == nil {
					seen, _ := d.Handlers.Leads.Contact(c.UserContext(), lead.Everything(), id, lead.Sight{Masked: true})
					c.Set("X-Name", seen.Name.Plain())
				}
				return nil
			}
		})},
		{"a handler that tells foreign from missing", "POST /leads/:id/claim", wrongHandler("POST /leads/:id/claim", func(d web.Deps) fiber.Handler {
			h := handlers.NewConsole(d.Handlers)
			return func(c *fiber.Ctx) error {
				err := h.Claim(c)
				if id, bad := uuid.Parse(c.Params("id")); err != nil && bad == nil {
					if _, there := d.Handlers.Leads.ByID(c.UserContext(), lead.Everything(), id); there == nil {
						c.Set("X-Hint", "foreign")
					}
				}
				return err
			}
		})},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			p := newProber(newWorld(t, wrong.build), 7)
			for _, one := range p.lines() {
				if one.row.Method+" "+one.pattern == wrong.route && len(p.found) == 0 {
					p.try(one)
				}
			}
			if len(p.found) == 0 {
				t.Errorf("%d probes found nothing", p.sent)
			} else {
				t.Logf("found by probe %d: %s", p.sent, p.found[0])
			}
		})
	}
}
