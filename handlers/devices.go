package handlers

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/account"
	"leadline/internal/drift"
	"leadline/internal/fault"
	"leadline/views"
)

// Devices shows people where they are signed in.
type Devices struct {
	accounts  *account.Store
	drift     *drift.Service
	publicURL string
	now       func() time.Time
}

// NewDevices makes the handlers of the list of devices.
func NewDevices(d Deps) *Devices {
	return &Devices{accounts: d.Accounts, drift: d.Drift, publicURL: d.PublicURL, now: d.Now}
}

// Page is GET /me/devices: the person's own sessions.
func (d *Devices) Page(c *fiber.Ctx) error {
	who, now := WhoOf(c), d.now()
	sessions, err := d.accounts.Sessions(c.UserContext(), who.AccountID)
	if err != nil {
		return err
	}
	page := views.Devices{Meta: views.PageMeta{Title: "Your devices", Nav: "devices", Person: personView(who), Theme: c.Cookies("leadline_theme"), Now: now, Drift: d.drift.Open(), May: GrantOf(c).May}}
	page.Ended, _ = strconv.Atoi(c.Query("ended"))
	for _, s := range sessions {
		page.Devices = append(page.Devices, views.Device{
			ID: s.ID.String(), Words: s.Browser(), Network: s.Network, Began: s.BeganAt, Used: s.SeenAt, Here: s.ID == who.SessionID, Trusted: s.Trusted,
		})
	}
	return Render(c, views.DevicesPage(page))
}

// End is POST /me/devices/{id}/end: signs one of the person's own devices out.
func (d *Devices) End(c *fiber.Ctx) error {
	who := WhoOf(c)
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return fault.New(fault.NotFound, "There is no such device.")
	}
	if err := d.accounts.EndSession(c.UserContext(), who, id); err != nil {
		return err
	}
	if id == who.SessionID {
		clearSession(c, d.publicURL, d.now())
		return c.Redirect("/signin", fiber.StatusSeeOther)
	}
	return c.Redirect("/me/devices?ended=1", fiber.StatusSeeOther)
}

// EndOthers is POST /me/devices/end-others: signs the person out everywhere but here.
func (d *Devices) EndOthers(c *fiber.Ctx) error {
	ended, err := d.accounts.EndOthers(c.UserContext(), WhoOf(c))
	if err != nil {
		return err
	}
	return c.Redirect("/me/devices?ended="+strconv.Itoa(ended), fiber.StatusSeeOther)
}

// personView is the signed-in person as a page without a status shows them.
func personView(who account.Who) views.Person {
	p := views.Person{Name: who.Name, Kind: account.RoleViewer}
	if p.Name == "" {
		p.Name = who.Email
	}
	for _, role := range []string{account.RoleRep, account.RoleAdmin, account.RoleOps} {
		if who.Has(role) {
			p.Kind = role
			break
		}
	}
	return p
}
