package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"leadline/internal/account"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"

// another signs the same person in once more, on another device.
func (p *person) another(email, agent string, trusted bool) *person {
	p.t.Helper()
	token, who, err := p.accounts.SignIn(p.t.Context(), email, "a long enough password", account.Device{Address: "203.0.113.9/32", UserAgent: agent, Trusted: trusted})
	must(p.t, err)
	return &person{p.office, token, p.accounts.CSRFToken(who.SessionID)}
}

// press posts the form of a button as a browser without scripts does: with the form's own fields alone.
func (p *person) press(page answer, button string) answer {
	p.t.Helper()
	form := page.find(p.t, button).First().Closest("form")
	field := form.Find(`input[name="csrf"]`).AttrOr("value", "")
	if field == "" {
		p.t.Fatalf("the form of %s carries no token:\n%s", button, page.body)
	}
	return p.call(http.MethodPost, form.AttrOr("action", ""), "csrf="+field, "X-CSRF-Token", "")
}

func TestDevices_AreListedAndEndedWithoutScripts(t *testing.T) {
	o := openOffice(t)
	here := o.person("mia@example.com", account.RoleRep)
	there := here.another("mia@example.com", firefox, true)
	stranger := o.person("ben@example.com", account.RoleRep)

	page := here.get("/me/devices")
	devices := page.find(t, "device")
	if page.status != http.StatusOK || devices.Length() != 2 {
		t.Fatalf("answered %d with %d devices:\n%s", page.status, devices.Length(), page.body)
	}
	other := devices.FilterFunction(func(_ int, s *goquery.Selection) bool { return strings.Contains(s.Text(), "Firefox on Linux") })
	for _, want := range []string{"203.0.113.0/24", "just now", "Stays signed in"} {
		if !strings.Contains(other.Text(), want) {
			t.Errorf("the other device does not say %q: %s", want, other.Text())
		}
	}
	if strings.Contains(other.Text(), "This device") || strings.Count(page.body, "This device") != 1 || strings.Contains(page.body, "203.0.113.9") {
		t.Error("the wrong device is marked, or the whole address is shown")
	}
	if meta := page.header.Get("Cache-Control"); meta != "no-store" {
		t.Errorf("the page may be kept: %q", meta)
	}

	end := other.Find("form").AttrOr("action", "")
	if a := stranger.post(end, "", false); a.status != http.StatusNotFound {
		t.Errorf("somebody else ends it: %d", a.status)
	}
	if a := there.get("/me/devices"); a.status != http.StatusOK {
		t.Errorf("the other device: %d", a.status)
	}
	screen := there.console("")
	screen.until("a frame", func(frame) bool { return true })
	if a := here.press(page, "end-others"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/me/devices?ended=1" {
		t.Errorf("ending the others answered %d to %q", a.status, a.header.Get("Location"))
	}
	if code := closedWith(t, screen); code != 1008 {
		t.Errorf("its console was closed with %d", code)
	}
	if a := there.get("/me/devices"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/signin") {
		t.Errorf("the other device goes on: %d", a.status)
	}
	after := here.get("/me/devices?ended=1")
	if after.find(t, "device").Length() != 1 || after.find(t, "end-others").Length() != 0 || !strings.Contains(after.find(t, "devices-ended").Text(), "1 device") {
		t.Errorf("afterwards:\n%s", after.body)
	}
	if a := here.press(after, "end-device"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/signin" || !strings.Contains(a.header.Get("Set-Cookie"), "leadline=;") {
		t.Errorf("ending this one answered %d to %q", a.status, a.header.Get("Location"))
	}
	if a := here.get("/me/devices"); a.status != http.StatusSeeOther {
		t.Errorf("this device goes on: %d", a.status)
	}
	if a := stranger.get("/me/devices"); a.find(t, "device").Length() != 1 {
		t.Error("somebody else's devices changed")
	}
	var lines int
	must(t, o.db.Console.QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE action = 'session.ended' AND detail LIKE '%list of devices%' AND actor_kind = 'person' AND actor IS NOT NULL`).Scan(&lines))
	if lines != 2 {
		t.Errorf("%d endings are recorded", lines)
	}
}

// Every form of the console works without scripts, so each carries the token; what the stream brings does not.
func TestConsole_FormsCarryTheTokenOfTheirSession(t *testing.T) {
	o := openOffice(t)
	mia, ben := o.rep("mia@example.com"), o.rep("ben@example.com")
	screen := mia.console("")
	id := o.submit("ES", "Anna Kovacs")
	screen.until("the card", func(f frame) bool { return f.shows("pool-" + id) })
	if strings.Contains(screen.all.String(), `name="csrf"`) {
		t.Error("the stream carries a token, and shares it with all")
	}
	for _, p := range []*person{mia, ben} {
		page := p.get("/live")
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(page.body))
		must(t, err)
		if got := doc.Find(`meta[name="csrf"]`).AttrOr("content", ""); got != p.csrf {
			t.Errorf("the page's token is %q", got)
		}
		doc.Find(`form[method="post"]`).Each(func(_ int, form *goquery.Selection) {
			if got := form.Find(`input[name="csrf"]`).AttrOr("value", ""); got != p.csrf {
				t.Errorf("the form of %s carries %q", form.AttrOr("action", ""), got)
			}
		})
	}
	if a := mia.press(mia.get("/live"), "claim-button"); a.status != http.StatusSeeOther {
		t.Errorf("claiming without scripts answered %d %s", a.status, a.body)
	}
	if delta := ben.get("/live/delta", "Accept", "application/json"); strings.Contains(delta.body, ben.csrf) || strings.Contains(delta.body, mia.csrf) {
		t.Error("the poll carries a token into what is shared by all")
	}
}
