package journey_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	leesPassword = "correct horse battery staple"
	opsPassword  = "a long enough password 3"
)

// TestJourney_FirstAdminRevealAndTheRecordOfIt follows trust from the first start: the printed link makes an admin, who looks at
// masked contact details with a reason; the rep concerned reads it; the record shows it and cannot be cut.
func TestJourney_FirstAdminRevealAndTheRecordOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	link := setupLink(w)
	admin := newBrowser(t)
	admin.becomeAdmin(link)
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)

	id := w.submit(person(7)).LeadID
	rep.do(chromedp.WaitVisible(testid("offer-card")))
	rep.do(chromedp.Click(chromedp.CSS(`[data-testid="offer-card"] [data-testid="claim-button"]`)))
	rep.do(chromedp.WaitVisible(chromedp.CSS(`[data-testid="mine-card"] [data-testid="phone"]`)))

	admin.open(w.public + "/leads/" + id)
	if text := admin.pageText(); strings.Contains(text, "Ada Example 7") || strings.Contains(text, "ada7@") || strings.Contains(text, "9000007") {
		t.Errorf("an admin sees contact details without a reason:\n%s", text)
	}
	admin.do(
		chromedp.SendKeys(chromedp.CSS(`#reveal [name=reason]`), "The CRM refused the phone number"),
		chromedp.Click(testid("reveal-button")),
	)
	admin.sees("the contact in clear", `document.querySelector('[data-testid="revealed"]') && document.body.innerText.includes("Ada Example 7")`)
	rep.open(w.public + "/leads/" + id)
	rep.seesText("The CRM refused the phone number")
	rep.seesText("Lee")

	admin.open(w.public + "/audit")
	admin.do(chromedp.WaitVisible(testid("audit-list")))
	admin.seesText("The CRM refused the phone number")
	admin.do(chromedp.Click(testid("audit-verify")))
	admin.sees("an unbroken chain", `document.querySelector('[data-testid="audit-report"]')?.dataset.findings === "0"`)
	if out := w.command("", "audit", "verify"); !strings.Contains(out, "unbroken") {
		t.Errorf("the record does not verify: %s", out)
	}

	w.server.stop() // anchors the end of the chain
	w.cutChain()
	if code, out := w.fails("audit", "verify"); code != 1 || !strings.Contains(out, "FINDING") {
		t.Errorf("a cut chain verifies: exit %d, %s", code, out)
	}
}

// TestJourney_DevicesAreListedAndSignedOut ends a session from another device and sees its console end.
func TestJourney_DevicesAreListedAndSignedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	office, lost := newBrowser(t), newBrowser(t)
	lost.signIn(w, "mia@example.com", miasPassword)
	lost.open(w.public + "/live")
	lost.sees("the live state", `document.querySelector('[data-testid="connection-state"]')?.innerText.includes("Live")`)
	office.signIn(w, "mia@example.com", miasPassword)
	office.open(w.public + "/me/devices")
	office.sees("both devices", `document.querySelectorAll('[data-testid="device"]').length === 2`)
	office.do(disableScripts) // and it works without scripts
	office.open(w.public + "/me/devices")
	office.do(chromedp.Click(testid("end-others")))
	office.do(chromedp.WaitVisible(testid("devices-ended")))
	lost.seesText("Your sign-in ended")
	lost.open(w.public + "/live")
	lost.sees("the sign-in page", `location.pathname === "/signin"`)
}

// TestJourney_SecretsReachConnectionsWithoutARestart stores a credential while serving and sees the CRM take what waited for it.
func TestJourney_SecretsReachConnectionsWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strings.Replace(playbook, "env:WEBHOOK_SECRET", "secret:crm", 1))
	lead := w.submit(person(3)).LeadID
	w.eventually("the lead to wait for its connection", func() bool {
		l := w.lead(lead)
		return len(l.Deliveries) > 0 && l.Deliveries[0].State != "delivered" && l.Stage != "new"
	})
	w.command("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=\n", "secret", "set", "crm")
	w.eventually("the CRM to have it", func() bool { return w.lead(lead).CRMState == "confirmed" })
	if out := w.command("", "secret", "list"); !strings.Contains(out, "crm") || strings.Contains(out, "whsec") {
		t.Errorf("the list says %q", out)
	}
	if out := w.command("", "export"); !strings.Contains(out, "secret:crm") || strings.Contains(out, "c2VjcmV0") {
		t.Errorf("export says %q", out)
	}
	w.command("", "secret", "rotate")
	next := w.submit(person(4)).LeadID
	w.eventually("the CRM to go on after a rotation", func() bool { return w.lead(next).CRMState == "confirmed" })

	w.server.stop()
	secret := filepath.Join(w.dir, "data", "secret")
	if err := os.Rename(secret, secret+".away"); err != nil {
		t.Fatal(err)
	}
	if code, out := w.fails("serve"); code != 1 || !strings.Contains(out, "LEADLINE_") {
		t.Errorf("a server without its keys said %d, %s", code, out)
	}
}

// TestJourney_ErasedPeopleAreGoneAndComeBackAsStrangers erases somebody whose lead is on a console, and takes them again as new.
func TestJourney_ErasedPeopleAreGoneAndComeBackAsStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playbook)
	w.addUser("mia@example.com", "rep", miasPassword)
	rep := newBrowser(t)
	rep.signIn(w, "mia@example.com", miasPassword)
	rep.ready(w)
	first := w.submit(person(5)).LeadID
	rep.do(chromedp.WaitVisible(testid("offer-card")))
	rep.do(chromedp.Click(chromedp.CSS(`[data-testid="offer-card"] [data-testid="claim-button"]`)))
	rep.do(chromedp.WaitVisible(chromedp.CSS(`[data-testid="mine-card"] [data-testid="phone"]`)))

	out := w.command("ada5@acme5.example\n", "erase", "--email", "-", "--reason", "Asked to be forgotten")
	if strings.Contains(out, "ada5") {
		t.Errorf("the command repeats the address: %s", out)
	}
	rep.sees("nobody's number", `!document.body.innerText.includes("9000005") && !document.body.innerText.includes("Ada Example 5")`)
	status, body := w.get("/v1/leads/" + first)
	for _, value := range []string{"ada5", "Ada Example 5", "9000005", "Acme 5"} {
		if status != http.StatusOK || bytes.Contains(body, []byte(value)) {
			t.Errorf("the erased lead still says %s: %d %s", value, status, body)
		}
	}
	if status, body := w.call(http.MethodPost, w.url+"/v1/leads/"+first+"/outcome", map[string]any{"rep": "mia@example.com", "disposition": "connected"}); status != http.StatusConflict {
		t.Errorf("an outcome was recorded on somebody who was erased: %d %s", status, body)
	}
	again := w.submit(person(5)).LeadID
	if again == first {
		t.Error("an erased person was recognised")
	}
	if out := w.command("", "audit", "verify"); !strings.Contains(out, "unbroken") {
		t.Errorf("the record does not verify after an erasure: %s", out)
	}
}

// setupLink is the link for the first admin that the server printed.
func setupLink(w *world) string {
	w.t.Helper()
	var link string
	w.eventually("the server to print the link for the first admin", func() bool {
		for _, word := range strings.Fields(w.server.stdout.String()) {
			if strings.Contains(word, "/setup/") {
				link = word
			}
		}
		return link != ""
	})
	return link
}

func (b *browser) becomeAdmin(link string) {
	b.t.Helper()
	b.open(link)
	b.do(
		chromedp.SendKeys(chromedp.CSS(`[name=name]`), "Lee"),
		chromedp.SendKeys(chromedp.CSS(`[name=email]`), "lee@example.com"),
		chromedp.SendKeys(chromedp.CSS(`[name=password]`), leesPassword),
		chromedp.Click(chromedp.CSS(`form button[type=submit]`)),
	)
	b.sees("the console", `location.pathname === "/live"`)
}

// cutChain removes the newest row of the audit chain the way somebody who owns the database would: with its end put right.
func (w *world) cutChain() {
	w.t.Helper()
	w.start("serve") // for its database
	w.eventually("the database", func() bool { status, _ := w.get("/readyz"); return status == http.StatusOK })
	conn := w.connect()
	ctx := w.t.Context()
	defer func() { _ = conn.Close(ctx) }()
	_, err := conn.Exec(ctx, `SET session_replication_role = replica;
		DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit_anchor);
		DELETE FROM audit_anchor`)
	if err != nil {
		w.t.Fatal(err)
	}
}

// fails runs a leadline command that should not succeed, and gives its exit code and all that it printed.
func (w *world) fails(args ...string) (int, string) {
	w.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	if err == nil {
		return 0, string(out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
