package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/rep"
	"leadline/web"
)

// concrete makes an address that a route's pattern matches; nothing of it exists.
func concrete(pattern string) string {
	return strings.NewReplacer(":slug", "none", ":id", "00000000-0000-7000-8000-000000000000", ":token", "none", ":email", "nobody%40example.com", ":name", "none.css").Replace(pattern)
}

// Whoever may not use a route is turned away before its handler runs; whoever may is not. Generated from the table itself.
func TestRoutes_LetInExactlyWhoTheTableNames(t *testing.T) {
	s := setup(t)
	if _, err := s.deps.Handlers.Reps.Upsert(t.Context(), []rep.Rep{{Email: "rep@example.com", Name: "Rep", Timezone: "UTC", Active: true}}); err != nil {
		t.Fatal(err)
	}
	cookies := map[string]string{"nobody": ""}
	for _, role := range account.Roles {
		cookies[role] = s.signIn(role+"@example.com", role)
	}
	tokens := map[string]string{"": ""}
	for _, scope := range account.Scopes {
		tokens[scope] = s.token(scope)
	}
	for _, row := range web.Table() {
		path := concrete(row.Path)
		switch row.Kind {
		case "role", "socket":
			for who, cookie := range cookies {
				res := s.do(row.Method, path, "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", s.url)
				switch {
				case who == "nobody":
					expect(t, row.Method+" "+row.Path+" by nobody", res, http.StatusUnauthorized)
				case !slices.Contains(row.Roles, who):
					expect(t, row.Method+" "+row.Path+" by "+who, res, http.StatusForbidden)
				case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
					t.Errorf("%s %s turns %s away: %d", row.Method, row.Path, who, res.StatusCode)
				}
			}
		case "token":
			for scope, token := range tokens {
				if scope == row.Scope {
					continue // what happens then is the handler's business
				}
				status := http.StatusForbidden
				if scope == "" {
					status = http.StatusUnauthorized
				}
				res := s.do(row.Method, path, "", "Authorization", token)
				expect(t, row.Method+" "+row.Path+" with scope "+scope, res, status)
				if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("%s %s: no WWW-Authenticate", row.Method, row.Path)
				}
			}
		case "anyone", "page", "monitor":
		default:
			t.Errorf("%s %s names nobody who may", row.Method, row.Path)
		}
	}
}

func TestRoutes_RefuseWhatOtherSitesMakeABrowserSend(t *testing.T) {
	s := setup(t)
	cookie := s.signIn("both@example.com", account.Roles...)
	for _, row := range web.Table() {
		unsafe := row.Method != http.MethodGet && row.Method != http.MethodHead
		if row.Kind != "socket" && (!unsafe || row.Kind != "role" && row.Kind != "page") {
			continue
		}
		for name, headers := range map[string][]string{
			"cross-site":  {"Sec-Fetch-Site", "cross-site"},
			"same-site":   {"Sec-Fetch-Site", "same-site"},
			"no header":   {},
			"null origin": {"Origin", "null"},
			"evil origin": {"Origin", "https://evil.example"},
			"suffix":      {"Origin", s.url + ".evil.example"},
		} {
			res := s.do(row.Method, concrete(row.Path), "", append([]string{"Cookie", cookie, "Content-Type", "text/plain"}, headers...)...)
			expect(t, name+" "+row.Method+" "+row.Path, res, http.StatusForbidden)
		}
	}
}

func TestSignIn_ByPasswordAndOut(t *testing.T) {
	s := setup(t)
	if _, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "sam@example.com", Name: "Sam", Roles: []string{"rep"}, Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	page := s.do(http.MethodGet, "/leads/x?tab=why", "", "Accept", "text/html")
	expect(t, "signed out", page, http.StatusSeeOther)
	if page.Header.Get("Location") != "/signin?next="+url.QueryEscape("/leads/x?tab=why") {
		t.Errorf("sent to %s", page.Header.Get("Location"))
	}
	expect(t, "sign-in page", s.do(http.MethodGet, page.Header.Get("Location"), "", "Accept", "text/html"), http.StatusOK)

	wrong := s.postForm("/signin", "email=sam%40example.com&password=wrong+horse", "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	expect(t, "wrong", wrong, http.StatusUnauthorized)
	unknown := s.postForm("/signin", "email=who%40example.com&password=wrong+horse", "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	if strings.ReplaceAll(unknown.body, "who@", "sam@") != wrong.body {
		t.Error("an unknown address is answered differently")
	}

	in := s.postForm("/signin", "email=SAM%40example.com&password=correct+horse&next=/leads/x", "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	expect(t, "right", in, http.StatusSeeOther)
	if in.Header.Get("Location") != "/leads/x" {
		t.Errorf("sent to %s", in.Header.Get("Location"))
	}
	set := in.Header.Get("Set-Cookie")
	for _, want := range []string{"leadline=", "path=/", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(set, want) {
			t.Errorf("cookie %q lacks %s", set, want)
		}
	}
	cookie, _, _ := strings.Cut(set, ";")
	expect(t, "start page", s.do(http.MethodGet, "/", "", "Cookie", cookie), http.StatusSeeOther)
	expect(t, "out", s.postForm("/signout", "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin"), http.StatusSeeOther)
	expect(t, "afterwards", s.do(http.MethodGet, "/", "", "Cookie", cookie), http.StatusUnauthorized)
}

func TestSignIn_NeverLeadsToAnotherSite(t *testing.T) {
	s := setup(t)
	if _, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "sam@example.com", Roles: []string{"rep"}, Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{
		"//evil.example", "/\\evil.example", "https://evil.example", "/live\\@evil.example", "javascript:alert(1)", "/%2f/evil.example", "//evil.example/live",
		"/live\r\nSet-Cookie: a=b", "\t//evil.example", "/\t/evil.example", "evil.example", "/leads/../../evil", "@evil.example/live",
	} {
		in := s.postForm("/signin", "email=sam%40example.com&password=correct+horse&next="+url.QueryEscape(to), "Sec-Fetch-Site", "same-origin")
		got, err := url.Parse(in.Header.Get("Location"))
		if err != nil || got.Host != "" || got.Scheme != "" || !strings.HasPrefix(got.Path, "/l") {
			t.Errorf("next=%q leads to %q", to, in.Header.Get("Location"))
		}
	}
}

func TestSignIn_ByLinkNeedsAPress(t *testing.T) {
	s := setup(t)
	added, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "new@example.com", Roles: []string{"viewer"}})
	if err != nil {
		t.Fatal(err)
	}
	link, err := s.accounts.NewLink(t.Context(), added.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a mail program looks first
		expect(t, "looking", s.do(http.MethodGet, "/signin/link/"+link, "", "Accept", "text/html"), http.StatusOK)
	}
	expect(t, "from another site", s.postForm("/signin/link/"+link, "", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	used := s.postForm("/signin/link/"+link, "", "Sec-Fetch-Site", "same-origin")
	expect(t, "pressed", used, http.StatusSeeOther)
	if !strings.HasPrefix(used.Header.Get("Set-Cookie"), "leadline=") {
		t.Errorf("cookie %q", used.Header.Get("Set-Cookie"))
	}
	again := s.postForm("/signin/link/"+link, "", "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	expect(t, "pressed again", again, http.StatusNotFound)
	if !strings.Contains(again.body, "used already") {
		t.Errorf("the page does not say why:\n%s", again.body)
	}
}

func TestSignIn_WrongRoleIsToldWhoCanHelp(t *testing.T) {
	s := setup(t)
	s.signIn("lee@example.com", account.RoleAdmin)
	viewer := s.signIn("viewer@example.com", account.RoleViewer)
	res := s.postForm("/me/presence", "presence=away", "Cookie", viewer, "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	expect(t, "viewer", res, http.StatusForbidden)
	if !strings.Contains(res.body, "You need the rep role for this. Lee Admin can give it to you.") {
		t.Errorf("the page says:\n%s", res.body)
	}
}

func TestServer_OverHTTPSInsistsOnIt(t *testing.T) {
	s := setup(t, func(d *web.Deps) {
		secure := *d.PublicURL
		secure.Scheme = "https"
		d.PublicURL, d.Handlers.PublicURL = &secure, secure.String()
	})
	if handlers.SessionCookie("https://x") != "__Host-leadline" {
		t.Error("the cookie's name")
	}
	if _, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "sam@example.com", Roles: []string{"rep"}, Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	in := s.postForm("/signin", "email=sam%40example.com&password=correct+horse", "Sec-Fetch-Site", "same-origin")
	set := in.Header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "__Host-leadline=") || !strings.Contains(strings.ToLower(set), "; secure") || strings.Contains(strings.ToLower(set), "domain") {
		t.Errorf("cookie %q", set)
	}
	if in.Header.Get("Strict-Transport-Security") == "" || !strings.Contains(in.Header.Get("Content-Security-Policy"), "wss://") {
		t.Errorf("headers %v", in.Header)
	}
}

func TestServer_SetsCarefulHeaders(t *testing.T) {
	s := setup(t)
	app := s.do(http.MethodGet, "/signin", "")
	if got := app.Header.Get("Content-Security-Policy"); got != "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self' ws://"+s.deps.PublicURL.Host+
		"; manifest-src 'self'; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; report-uri /csp-report" {
		t.Errorf("policy %q", got)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "Server": ""} {
		if got := app.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	form := s.do(http.MethodGet, "/f/demo", "")
	if !strings.Contains(form.Header.Get("Content-Security-Policy"), "frame-ancestors 'self' https://www.example.com;") || form.Header.Get("Referrer-Policy") != "strict-origin-when-cross-origin" {
		t.Errorf("form headers %v", form.Header)
	}
	if small := s.do(http.MethodGet, "/f/demo", "", "Accept-Encoding", "gzip, br"); small.Header.Get("Content-Encoding") != "br" || len(small.body) > 5*1024 {
		t.Errorf("the form weighs %d bytes, encoding %q", len(small.body), small.Header.Get("Content-Encoding"))
	}
	for _, page := range []answer{app, form} {
		if strings.Contains(page.body, " style=") || strings.Contains(page.body, "<style") || strings.Contains(page.body, " onclick=") || strings.Contains(page.body, "<script>") {
			t.Error("something inline, which the policy blocks")
		}
	}
	missing := s.do(http.MethodGet, "/nothing/here", "", "Accept", "text/html")
	expect(t, "unknown address", missing, http.StatusNotFound)
	if !strings.Contains(missing.body, "There is nothing here") {
		t.Errorf("page:\n%s", missing.body)
	}
	expect(t, "headers too long", s.do(http.MethodGet, "/healthz", "", "X-Long", strings.Repeat("x", 9000)), http.StatusRequestHeaderFieldsTooLarge)
}

func TestServer_ServesTheScriptToAllSites(t *testing.T) {
	s := setup(t)
	plain := s.do(http.MethodGet, "/leadline.js", "", "Accept-Encoding", "br, gzip")
	expect(t, "plain name", plain, http.StatusOK)
	if plain.Header.Get("Access-Control-Allow-Origin") != "*" || plain.Header.Get("Content-Encoding") != "br" || len(plain.body) > 3*1024 {
		t.Errorf("%v, %d bytes", plain.Header, len(plain.body))
	}
	src, _ := parse(t, s.do(http.MethodGet, "/f/demo", "")).Find("script").Attr("src")
	hashed := s.do(http.MethodGet, src, "")
	expect(t, src, hashed, http.StatusOK)
	if !strings.Contains(hashed.Header.Get("Cache-Control"), "immutable") || hashed.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", hashed.Header)
	}
	expect(t, "unchanged", s.do(http.MethodGet, src, "", "If-None-Match", hashed.Header.Get("ETag")), http.StatusNotModified)
}

func TestServer_TellsMachinesHowItIs(t *testing.T) {
	s := setup(t)
	expect(t, "alive", s.do(http.MethodGet, "/healthz", ""), http.StatusOK)
	expect(t, "ready", s.do(http.MethodGet, "/readyz", ""), http.StatusOK)
	expect(t, "metrics on this machine", s.do(http.MethodGet, "/metrics", ""), http.StatusOK)
	expect(t, "metrics through a proxy", s.do(http.MethodGet, "/metrics", "", "X-Forwarded-For", "203.0.113.9"), http.StatusUnauthorized)
	expect(t, "metrics with a token", s.do(http.MethodGet, "/metrics", "", "X-Forwarded-For", "203.0.113.9", "Authorization", s.token("metrics:read")), http.StatusOK)
	s.db.Console.Close()
	away := s.do(http.MethodGet, "/readyz", "")
	expect(t, "not ready", away, http.StatusServiceUnavailable)
	if away.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	expect(t, "still alive", s.do(http.MethodGet, "/healthz", ""), http.StatusOK)
}

func TestAPI_ShowsContactsOnlyToTokensThatMay(t *testing.T) {
	s := setup(t)
	created := s.postJSON(leads, `{"name":"Ada Lovelace","email":"ada.l@acme.example","phone":"+49 30 901820","notes":"secret plan","product":"platform"}`)
	expect(t, "created", created, http.StatusCreated)
	path := "/v1/leads/" + created.json(t)["lead_id"].(string)

	dim := s.do(http.MethodGet, path, "", "Authorization", s.token("leads:read"))
	expect(t, "read", dim, http.StatusOK)
	for _, secret := range []string{"Lovelace", "ada.l", "901820", "secret plan"} {
		if strings.Contains(dim.body, secret) {
			t.Errorf("a token without leads:reveal sees %q", secret)
		}
	}
	clear := s.do(http.MethodGet, path, "", "Authorization", s.token("leads:read", "leads:reveal")).json(t)
	if clear["name"] != "Ada Lovelace" || clear["email"] != "ada.l@acme.example" || clear["phone"] != "+4930901820" || clear["notes"] != "secret plan" {
		t.Errorf("got %v", clear)
	}
	for _, member := range []string{"lead_id", "reference", "correlation_id", "form", "stage", "crm_state", "rep", "pool", "attempt", "decision", "deliveries", "timeline", "clocks"} {
		if _, ok := clear[member]; !ok {
			t.Errorf("no member %s", member)
		}
	}
	if clear["rep"] != nil || clear["decision"] != nil || clear["stage"] != "new" {
		t.Errorf("before dispatch: %v", clear)
	}

	for n := range 3 {
		s.postJSON(leads, `{"email":"more`+string(rune('a'+n))+`@acme.example","product":"platform"}`)
	}
	seen := map[string]bool{}
	cursor := ""
	for page := 0; page < 5; page++ {
		list := s.do(http.MethodGet, "/v1/leads?form=demo&limit=3&cursor="+cursor, "", "Authorization", s.token("leads:read")).json(t)
		for _, l := range list["leads"].([]any) {
			seen[l.(map[string]any)["lead_id"].(string)] = true
		}
		next, ok := list["next_cursor"].(string)
		if !ok {
			break
		}
		cursor = next
	}
	if len(seen) != 4 {
		t.Errorf("paged through %d leads, want 4", len(seen))
	}
	expect(t, "bad since", s.do(http.MethodGet, "/v1/leads?since=yesterday", "", "Authorization", s.token("leads:read")), http.StatusBadRequest)
	expect(t, "no such lead", s.do(http.MethodGet, "/v1/leads/nonsense", "", "Authorization", s.token("leads:read")), http.StatusNotFound)
}
