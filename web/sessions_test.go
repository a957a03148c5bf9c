package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
	"leadline/web"
)

// second is another server for the same site, with another matrix or other handlers.
func (s *site) second(text string, replace map[string]fiber.Handler) *site {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	other := *s
	other.deps.PublicURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	other.url = other.deps.PublicURL.String()
	other.deps.Handlers.PublicURL = other.url
	server, err := web.NewWith(other.deps, text, replace)
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	s.t.Cleanup(func() {
		s.client.CloseIdleConnections()
		limit, release := context.WithTimeout(context.WithoutCancel(s.t.Context()), 10*time.Second)
		defer release()
		if err := server.Shutdown(limit); err != nil {
			s.t.Error(err)
		}
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	return &other
}

// aging is a site whose accounts have a clock of their own: moving it makes them ask the database again, as they do after a second.
func aging(t *testing.T) (s *site, forget func()) {
	t.Helper()
	var moved atomic.Int64
	var accounts *account.Store
	s = setup(t, func(d *web.Deps) {
		accounts = account.NewStore(d.Handlers.DB.Gorm, func() time.Time { return time.Now().Add(time.Duration(moved.Load())) })
		d.Accounts, d.Handlers.Accounts = accounts, accounts
	})
	s.accounts = accounts
	return s, func() { moved.Add(int64(time.Second)) }
}

func (s *site) exec(sql string) {
	s.t.Helper()
	if _, err := s.db.Console.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatal(err)
	}
}

// attack is a request that must not reach a handler which changes something.
type attack struct {
	name    string
	method  string // empty: the route's
	query   string
	body    string
	headers []string
}

// forgeries are requests with everything right but one thing. own is the token that would be right.
func forgeries(s *site, own, others, ended string) []attack {
	host := strings.TrimPrefix(s.url, "http://")
	good := []string{"Sec-Fetch-Site", "same-origin", "Origin", s.url, "Content-Type", typeForm}
	with := func(headers ...string) []string { return append(slices.Clone(good), headers...) }
	token := func(headers ...string) []string {
		return append([]string{"X-CSRF-Token", own, "Content-Type", typeForm}, headers...)
	}
	return []attack{
		{name: "cross-site", headers: token("Sec-Fetch-Site", "cross-site")},
		{name: "cross-site with our origin", headers: token("Sec-Fetch-Site", "cross-site", "Origin", s.url)},
		{name: "same-site", headers: token("Sec-Fetch-Site", "same-site")},
		{name: "unknown site", headers: token("Sec-Fetch-Site", "SAME-ORIGIN, cross-site")},
		{name: "no headers", headers: token()},
		{name: "origin null", headers: token("Origin", "null")},
		{name: "evil origin", headers: token("Origin", "https://evil.example")},
		{name: "sibling subdomain", headers: token("Origin", "http://sibling."+host)},
		{name: "our name in front", headers: token("Origin", s.url+".evil.example")},
		{name: "our name behind @", headers: token("Origin", "http://evil.example@"+host)},
		{name: "another port", headers: token("Origin", "http://127.0.0.1:1")},
		{name: "another scheme", headers: token("Origin", "https://"+host)},
		{name: "origin with a path", headers: token("Origin", s.url+"/live")},
		{name: "a name made to point here", headers: token("Origin", "http://evil.example", "Host", "evil.example")},
		{name: "two origins", headers: token("Origin", s.url+" "+"https://evil.example")},
		{name: "text/plain body", body: "csrf=" + own, headers: with("X-CSRF-Token", "", "Content-Type", "text/plain")},
		{name: "text/plain body, right header", body: "csrf=" + own, headers: with("X-CSRF-Token", own, "Content-Type", "text/plain")},
		{name: "JSON body", body: `{"csrf":"` + own + `"}`, headers: with("X-CSRF-Token", "", "Content-Type", typeJSON)},
		{name: "multipart body", body: "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n" + own + "\r\n--b--\r\n", headers: with("X-CSRF-Token", "", "Content-Type", "multipart/form-data; boundary=b")},
		{name: "body of no type", body: "csrf=" + own, headers: []string{"Sec-Fetch-Site", "same-origin", "X-CSRF-Token", ""}},
		{name: "override header", method: http.MethodGet, headers: with("X-CSRF-Token", own, "X-HTTP-Method-Override", "POST")},
		{name: "other override headers", method: http.MethodGet, headers: with("X-CSRF-Token", own, "X-HTTP-Method", "POST", "X-Method-Override", "POST")},
		{name: "override field", method: http.MethodGet, query: "?_method=POST&csrf=" + own, headers: with("X-CSRF-Token", own)},
		{name: "HEAD", method: http.MethodHead, headers: with("X-CSRF-Token", own)},
		{name: "missing token", headers: with("X-CSRF-Token", "")},
		{name: "token in the address", query: "?csrf=" + own, headers: with("X-CSRF-Token", "")},
		{name: "empty field", body: "csrf=", headers: with("X-CSRF-Token", "")},
		{name: "half a token", headers: with("X-CSRF-Token", own[:20])},
		{name: "other case", headers: with("X-CSRF-Token", strings.ToUpper(own))},
		{name: "other person's token", headers: with("X-CSRF-Token", others)},
		{name: "other person's token in the field", body: "csrf=" + others, headers: with("X-CSRF-Token", "")},
		{name: "token of an ended session", headers: with("X-CSRF-Token", ended)},
		{name: "token of an ended session in the field", body: "csrf=" + ended, headers: with("X-CSRF-Token", "")},
	}
}

// Every route that changes something, by every way to make a signed-in browser call it. A handler that is reached counts.
func TestCSRF_NothingForgedIsAccepted(t *testing.T) {
	s := setup(t)
	var reached atomic.Int32
	replace := map[string]fiber.Handler{}
	mutating := slices.DeleteFunc(web.Table(), func(r web.Row) bool {
		return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Kind != "role" && r.Kind != "page"
	})
	for _, row := range mutating {
		replace[row.Method+" "+row.Path] = func(c *fiber.Ctx) error {
			reached.Add(1)
			return c.SendStatus(http.StatusNoContent)
		}
	}
	site := s.second(web.Text(), replace)
	ended := site.csrf(site.signIn("mia@example.com", account.Roles...))
	s.exec(`DELETE FROM session`)
	cookie := site.signIn("mia@example.com", account.Roles...)
	own, others := site.csrf(cookie), site.csrf(site.signIn("ben@example.com", account.Roles...))
	if own == "" || others == "" || ended == "" || own == others || own == ended {
		t.Fatal("the tokens do not differ")
	}
	tried := 0
	for _, row := range mutating {
		path := concrete(row.Path)
		for _, a := range forgeries(site, own, others, ended) {
			if row.Kind == "page" && !slices.Contains(a.headers, "Host") && slices.Contains(a.headers, "same-origin") && a.method == "" {
				continue // asks for no session, so there is no token
			}
			method := row.Method
			if a.method != "" {
				method = a.method
			}
			before := reached.Load()
			res := site.do(method, path+a.query, a.body, append([]string{"Cookie", cookie}, a.headers...)...)
			tried++
			if reached.Load() != before {
				t.Errorf("%s: %s %s was accepted", a.name, method, row.Path)
			}
			if a.method == "" && res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %s %s answered %d", a.name, method, row.Path, res.StatusCode)
			}
		}
		before := reached.Load()
		site.do(row.Method, path, "", "Cookie", cookie, "X-CSRF-Token", own, "Sec-Fetch-Site", "same-origin")
		site.do(row.Method, path, "csrf="+own, "Cookie", cookie, "X-CSRF-Token", "", "Origin", site.url, "Content-Type", typeForm)
		if reached.Load() != before+2 {
			t.Errorf("%s %s does not work from our own pages", row.Method, row.Path)
		}
	}
	t.Logf("%d requests to %d routes", tried, len(mutating))
}

func TestCSRF_SigningOutNeedsAFormOfTheSession(t *testing.T) {
	s := setup(t)
	cookie := s.signIn("mia@example.com", account.RoleRep)
	out := func(token string) answer {
		return s.postForm("/signout", "csrf="+token, "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "X-CSRF-Token", "", "Accept", "text/html")
	}
	own := s.csrf(cookie)
	expect(t, "without", out(""), http.StatusForbidden)
	stale := out(s.csrf(s.signIn("ben@example.com", account.RoleRep)))
	expect(t, "of another", stale, http.StatusForbidden)
	if !strings.Contains(stale.body, "reload the page and do it again") {
		t.Errorf("the page does not say what to do:\n%s", stale.body)
	}
	expect(t, "with its own", out(own), http.StatusSeeOther)
	again := out(own)
	expect(t, "with no session left", again, http.StatusSeeOther)
	if !strings.Contains(again.Header.Get("Set-Cookie"), "leadline=;") {
		t.Errorf("the cookie stays: %q", again.Header.Get("Set-Cookie"))
	}
}

func TestCSRF_AStalePageIsToldToReload(t *testing.T) {
	s := setup(t)
	cookie := s.signIn("mia@example.com", account.RoleRep)
	part := s.postForm("/me/presence", "presence=away&csrf=old", "Cookie", cookie, "X-CSRF-Token", "old", "Sec-Fetch-Site", "same-origin", "HX-Request", "true")
	expect(t, "part of a page", part, http.StatusForbidden)
	message := parse(t, part).Find(`[data-testid="error-message"]`)
	if !strings.Contains(message.Text(), "Reload this page and do it again.") || strings.Contains(part.body, "<html") {
		t.Errorf("it says:\n%s", part.body)
	}
}

// offSite tells whether a browser would leave for another host or run something. Browsers strip tabs and line ends and read a
// backslash as a slash.
func offSite(base, to string) bool {
	to = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(to, func(r rune) bool { return r <= ' ' }))
	to = strings.ReplaceAll(to, "\\", "/")
	ours, err := url.Parse(base)
	if err != nil {
		return true
	}
	u, err := ours.Parse(to)
	return err != nil || u.Scheme != ours.Scheme || u.Host != ours.Host || u.User != nil
}

// detours are addresses that mean another site, or could to some reader.
func detours() []string {
	var all []string
	hosts := []string{"evil.example", "evil.example:8080", "0x7f.1", "[::1]", "evil。example", "еvil.example", "live.evil.example", "evil.example/live", "evil.example?/live", "evil.example#/live"}
	starts := []string{
		"//", "///", "////", "/\\", "\\\\", "\\/", "/\\/", "/\t/", "\t//", "/\n/", "\r\n//", "/\r/", " //", "\u00a0//", "/%2f", "/%2F/", "%2f%2f", "/%5c", "%5c%5c", "/%09/",
		"/.//", "/..//", "/./\\", "http://", "https://", "HtTp://", "http:", "http:/", "http:\\\\", "ftp://", "javascript://", "data:text/html,//", "blob:http://", "//live@", "//127.0.0.1@",
		"http://127.0.0.1@", "/live@", "/live//", "/live\\", "/live/../..//", "/leads//", "/leads/..//", "/leads/\\", "/leads/%2f%2f", "/me/..//", "/live%00//", "/live;//", "/live:", "/live.", "@",
	}
	for _, start := range starts {
		for _, host := range hosts {
			all = append(all, start+host)
		}
	}
	return append(all,
		"javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "/live\r\nSet-Cookie: a=b", "/live\nLocation: http://evil.example", "/live\x00", "/live%0d%0aSet-Cookie:a=b",
		"/signout", "/live/socket", "/live/delta", "/leads/x/claim", "/v1/leads", "/metrics", "/me/presence/x", "/setup/x", "/signin/link/x", "/static/x", "/f/demo", "live", "./live", "../live", "/LIVE", "/live/", "/live#//evil.example",
		"/live?a=b;c", "/live?%zz", "/leads/", "/leads/"+strings.Repeat("a", 2000), "", "/", "?", "#", "/live?next=//evil.example\r\nX: y")
}

func TestSignIn_LeadsToPagesOfOursAlone(t *testing.T) {
	s := setup(t)
	ours := map[string]string{
		"/live": "/live", "/audit": "/audit", "/me/devices": "/me/devices", "/leads/0190-x": "/leads/0190-x",
		"/leads/x?tab=why": "/leads/x?tab=why", "/audit?b=2&a=%2F%2Fevil.example": "/audit?a=%2F%2Fevil.example&b=2",
	}
	landing := func(to string) string {
		page := s.do(http.MethodGet, "/signin?next="+url.QueryEscape(to), "", "Accept", "text/html")
		expect(t, fmt.Sprintf("next=%q", to), page, http.StatusOK)
		return parse(t, page).Find(`input[name="next"]`).AttrOr("value", "")
	}
	for to, want := range ours {
		if got := landing(to); got != want {
			t.Errorf("next=%q leads to %q, want %q", to, got, want)
		}
	}
	away := detours()
	for _, to := range away {
		got := landing(to)
		if got != "" && (offSite(s.url, got) || !slices.Contains([]string{"/live", "/audit"}, strings.SplitN(got, "?", 2)[0])) {
			t.Errorf("next=%q leads to %q", to, got)
		}
	}
	t.Logf("%d addresses", len(away))
	if len(away) < 400 {
		t.Error("too few addresses were tried")
	}
	if _, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "sam@example.com", Roles: []string{"rep"}, Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(away); i += 25 { // the form itself, which does not show what it was asked
		in := s.postForm("/signin", "email=sam%40example.com&password=correct+horse&next="+url.QueryEscape(away[i]), "Sec-Fetch-Site", "same-origin")
		if to := in.Header.Get("Location"); in.StatusCode != http.StatusSeeOther || offSite(s.url, to) || to != "/live" {
			t.Errorf("signed in with next=%q: %d to %q", away[i], in.StatusCode, to)
		}
	}
}

func TestSession_GetsANewTokenWithAPageAfterAnHour(t *testing.T) {
	s, forget := aging(t)
	cookie := s.signIn("mia@example.com", account.RoleViewer)
	page := func(cookie string, headers ...string) answer {
		return s.do(http.MethodGet, "/leads/none", "", append([]string{"Cookie", cookie, "Accept", "text/html"}, headers...)...)
	}
	if got := page(cookie).Header.Get("Set-Cookie"); got != "" {
		t.Errorf("a fresh session is given a cookie: %q", got)
	}
	s.exec(`UPDATE session SET created_at = created_at - interval '61 minutes'`)
	forget()
	for name, res := range map[string]answer{
		"a part of a page": page(cookie, "HX-Request", "true"),
		"data":             page(cookie, "Accept", "application/json"),
		"a prefetch":       page(cookie, "Sec-Purpose", "prefetch"),
		"a form":           s.postForm("/me/presence", "presence=away", "Cookie", cookie, "Sec-Fetch-Site", "same-origin"),
	} {
		if got := res.Header.Get("Set-Cookie"); got != "" {
			t.Errorf("%s brings a new token: %q", name, got)
		}
	}
	first, second := page(cookie), page(cookie)
	set := first.Header.Get("Set-Cookie")
	fresh, rest, _ := strings.Cut(set, ";")
	if fresh == "" || fresh == cookie || !strings.HasPrefix(fresh, "leadline=") || !strings.Contains(rest, "HttpOnly") || strings.Contains(strings.ToLower(rest), "expires") {
		t.Fatalf("the new cookie is %q", set)
	}
	if got, _, _ := strings.Cut(second.Header.Get("Set-Cookie"), ";"); got != "" && got != fresh {
		t.Error("two pages at once bring different tokens")
	}
	if s.csrf(fresh) != s.csrf(cookie) || s.csrf(fresh) == "" {
		t.Error("forms of open pages stop working")
	}
	s.exec(`UPDATE session SET rotated_at = rotated_at - interval '61 seconds'`)
	forget()
	for _, shown := range []string{cookie, fresh} {
		expect(t, "after the old token was used late", page(shown, "Accept", "application/json"), http.StatusUnauthorized)
	}
}

func TestSession_IsKeptByWhatPeopleDoAndNotByPolls(t *testing.T) {
	s, forget := aging(t)
	cookie := s.signIn("mia@example.com", account.RoleViewer)
	idle := func() bool {
		var old bool
		if err := s.db.Console.QueryRow(t.Context(), `SELECT last_seen_at < clock_timestamp() - interval '19 minutes' FROM session`).Scan(&old); err != nil {
			t.Fatal(err)
		}
		return old
	}
	for name, try := range map[string]struct {
		counts bool
		call   func()
	}{
		"a poll": {false, func() { s.do(http.MethodGet, "/leads/none", "", "Cookie", cookie, "Accept", "application/json") }},
		"a part of a page": {false, func() {
			s.do(http.MethodGet, "/leads/none", "", "Cookie", cookie, "Accept", "text/html", "HX-Request", "true")
		}},
		"what is refused": {false, func() {
			s.postForm("/me/presence", "", "Cookie", cookie, "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
		}},
		"a page": {true, func() { s.do(http.MethodGet, "/leads/none", "", "Cookie", cookie, "Accept", "text/html") }},
	} {
		s.exec(`UPDATE session SET last_seen_at = clock_timestamp() - interval '20 minutes'`)
		forget()
		try.call()
		if idle() == try.counts {
			t.Errorf("%s: counts as activity: %v", name, !try.counts)
		}
	}
}

func TestSession_StrictRoutesAskAgainAfterHalfAnHour(t *testing.T) {
	s, forget := aging(t)
	var lines []string
	for _, line := range strings.Split(web.Text(), "\n") {
		if strings.HasPrefix(line, "GET ") && slices.Contains(strings.Fields(line), "/leads/:id") {
			line = strings.Replace(line, "page  ", "fresh ", 1)
		}
		lines = append(lines, line)
	}
	strict := s.second(strings.Join(lines, "\n"), nil)
	if _, err := s.accounts.Add(t.Context(), account.NewAccount{Email: "both@example.com", Roles: []string{"rep", "admin"}, Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	in := strict.postForm("/signin", "email=both%40example.com&password=correct+horse&trusted=yes", "Sec-Fetch-Site", "same-origin")
	if !strings.Contains(strings.ToLower(in.Header.Get("Set-Cookie")), "expires=") {
		t.Errorf("a trusted device forgets its cookie with the browser: %q", in.Header.Get("Set-Cookie"))
	}
	cookie, _, _ := strings.Cut(in.Header.Get("Set-Cookie"), ";")
	expect(t, "at once", strict.do(http.MethodGet, "/leads/none", "", "Cookie", cookie, "Accept", "text/html"), http.StatusNotFound)
	s.exec(`UPDATE session SET last_seen_at = clock_timestamp() - interval '31 minutes', fresh_at = clock_timestamp() - interval '31 minutes'`)
	forget()
	expect(t, "not strict", s.do(http.MethodGet, "/leads/none", "", "Cookie", cookie, "Accept", "application/json"), http.StatusNotFound)
	again := strict.do(http.MethodGet, "/leads/none?tab=why", "", "Cookie", cookie, "Accept", "text/html")
	expect(t, "half an hour later", again, http.StatusSeeOther)
	if again.Header.Get("Location") != "/signin?next="+url.QueryEscape("/leads/none?tab=why") {
		t.Errorf("sent to %q", again.Header.Get("Location"))
	}
	expect(t, "a script", strict.do(http.MethodGet, "/leads/none", "", "Cookie", cookie), http.StatusUnauthorized)
}

// Every answer carries what makes browsers careful, whoever asked and whatever came of it.
func TestServer_EveryAnswerCarriesItsHeaders(t *testing.T) {
	s := setup(t, func(d *web.Deps) {
		secure := *d.PublicURL
		secure.Scheme = "https"
		d.PublicURL, d.Handlers.PublicURL = &secure, secure.String()
	})
	secureCookie := "__Host-" + s.signIn("all@example.com", account.Roles...)
	token := s.token(account.Scopes...)
	seen := map[int]int{}
	check := func(what, path string, html bool, res answer) {
		t.Helper()
		seen[res.StatusCode]++
		h := res.Header
		visitors := strings.HasPrefix(path, "/f/") || strings.HasPrefix(path, "/v1/forms/") && html
		want := map[string]string{"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=31536000; includeSubDomains", "Server": "", "X-Powered-By": ""}
		want["Referrer-Policy"], want["Cross-Origin-Opener-Policy"], want["Cross-Origin-Resource-Policy"] = "no-referrer", "same-origin", "same-origin"
		switch {
		case visitors:
			want["Referrer-Policy"], want["Cross-Origin-Opener-Policy"], want["Cross-Origin-Resource-Policy"] = "strict-origin-when-cross-origin", "", ""
		case strings.HasPrefix(path, "/v1/forms/"):
			want["Cross-Origin-Resource-Policy"] = ""
		case path == "/leadline.js" && res.StatusCode < 400:
			want["Cross-Origin-Resource-Policy"] = "cross-origin"
		}
		kept := strings.HasPrefix(path, "/static/") || path == "/leadline.js" || strings.HasPrefix(path, "/v1/forms/")
		if !kept || res.StatusCode >= 400 {
			want["Cache-Control"] = "no-store"
		}
		for name, value := range want {
			if h.Get(name) != value {
				t.Errorf("%s (%d): %s is %q, want %q", what, res.StatusCode, name, h.Get(name), value)
			}
		}
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors ") || !strings.Contains(policy, "base-uri 'none'") ||
			strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "script-src") && !strings.Contains(policy, "upgrade-insecure-requests") {
			t.Errorf("%s (%d): policy %q", what, res.StatusCode, policy)
		}
		if !strings.Contains(h.Get("Permissions-Policy"), "camera=()") {
			t.Errorf("%s (%d): no Permissions-Policy", what, res.StatusCode)
		}
	}
	for _, row := range web.Table() {
		if row.Kind == "socket" {
			continue
		}
		path := concrete(row.Path)
		for _, html := range []bool{true, false} {
			accept := "application/json"
			if html {
				accept = "text/html"
			}
			what := row.Method + " " + row.Path + " " + accept
			check(what+" by nobody", path, html, s.do(row.Method, path, "", "Accept", accept))
			if row.Path == "/metrics" || row.Path == "/live" || row.Path == "/live/delta" { // these need parts this server has not
				continue
			}
			check(what+" signed in", path, html, s.do(row.Method, path, "", "Accept", accept, "Cookie", secureCookie, "Sec-Fetch-Site", "same-origin", "X-CSRF-Token", "wrong"))
			check(what+" by a program", path, html, s.do(row.Method, path, "", "Accept", accept, "Authorization", token))
			check(what+" encoded", path, html, s.do(row.Method, path, "x", "Accept", accept, "Content-Encoding", "gzip"))
		}
	}
	for what, res := range map[string]answer{
		"unknown address": s.do(http.MethodGet, "/no/such/page", "", "Accept", "text/html"),
		"wrong method":    s.do(http.MethodDelete, "/signin", "", "Accept", "text/html"),
		"long header":     s.do(http.MethodGet, "/healthz", "", "X-Long", strings.Repeat("x", 9000)),
		"long body":       s.do(http.MethodPost, "/signin", strings.Repeat("x", 40_000), "Content-Type", typeForm, "Sec-Fetch-Site", "same-origin"),
	} {
		check(what, "/", true, res)
	}
	for _, status := range []int{401, 403, 404, 413, 415, 431} {
		if seen[status] == 0 {
			t.Errorf("no answer with status %d was looked at; seen: %v", status, seen)
		}
	}
}
