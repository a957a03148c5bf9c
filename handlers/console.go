package handlers

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
	"leadline/internal/dispatch"
	"leadline/internal/drift"
	"leadline/internal/fault"
	"leadline/internal/hold"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/telemetry"
	"leadline/views"
)

// awayTooLong is how long a console may be gone before a rep is asked again whether to receive leads.
const awayTooLong = time.Minute

// Console answers for the live console and the page of a lead.
type Console struct {
	leads     *lead.Store
	holds     *hold.Store
	dispatch  *dispatch.Service
	reps      *rep.Store
	playbook  *playbook.Live
	accounts  *account.Store
	hub       *live.Hub
	db        *postgres.DB
	drift     *drift.Service
	metrics   *telemetry.Metrics
	publicURL string
	now       func() time.Time
	log       *slog.Logger

	cards cardCache
}

// NewConsole takes what the console needs.
func NewConsole(d Deps) *Console {
	return &Console{
		leads: d.Leads, holds: d.Holds, dispatch: d.Dispatch, reps: d.Reps, playbook: d.Playbook, accounts: d.Accounts, hub: d.Hub, db: d.DB, drift: d.Drift,
		metrics: d.Metrics, publicURL: d.PublicURL, now: d.Now, log: d.Log,
	}
}

// Live shows the console: GET /live.
func (h *Console) Live(c *fiber.Ctx) error {
	page, err := h.livePage(c, "")
	if err != nil {
		return err
	}
	return Render(c, views.LivePage(page))
}

func (h *Console) livePage(c *fiber.Ctx, notice string) (views.Live, error) {
	ctx, who := c.UserContext(), WhoOf(c)
	me, err := h.rep(ctx, who)
	if err != nil {
		return views.Live{}, err
	}
	s := newScene(h, c, me)
	view := h.hub.ViewOf(s.audience(), 0, s.day())
	page := views.Live{
		Meta: h.meta(c, "Live leads", "console", me), Rep: me != nil, Seq: view.Seq, Now: h.hub.Clock(), Notice: notice,
		PoolCount: view.PoolCount, PoolLate: view.PoolLate,
	}
	page.Meta.Nav = "live"
	page.Offers, page.Pool = s.cards(view.Offers), s.cards(view.Pool)
	if page.Mine, err = s.mine(ctx, view.Mine); err != nil {
		return views.Live{}, err
	}
	return page, nil
}

// Delta answers what the socket's first frame would, for networks that block sockets: GET /live/delta.
func (h *Console) Delta(c *fiber.Ctx) error {
	ctx, who := c.UserContext(), WhoOf(c)
	me, err := h.rep(ctx, who)
	if err != nil {
		return err
	}
	if me != nil {
		h.hub.Polled(me.ID)
	}
	s := newScene(h, c, me)
	since, _ := strconv.ParseInt(c.Query("since"), 10, 64)
	f, err := s.snapshot(ctx, h.hub.ViewOf(s.audience(), 0, s.day()), since)
	if err != nil {
		return err
	}
	return c.JSON(f)
}

// Presence changes the rep's own status: POST /me/presence.
func (h *Console) Presence(c *fiber.Ctx) error {
	me, err := h.reps.SetPresence(c.UserContext(), WhoOf(c).Email, rep.Presence(posted(c, "presence")), rep.ByConsole, "")
	if err != nil {
		return err
	}
	h.dispatch.PresenceChanged()
	if !partOfPage(c) {
		return c.Redirect("/live", fiber.StatusSeeOther)
	}
	return Render(c, views.PresenceChanged(presenceView(me)))
}

// rep gives the signed-in person's rep, or nil. Whoever comes back after more than a minute is asked again whether to receive
// leads; whoever only lost the connection goes on as before.
func (h *Console) rep(ctx context.Context, who account.Who) (*rep.Rep, error) {
	if who.RepID == nil {
		return nil, nil //nolint:nilnil // most people who watch are no reps
	}
	me, err := h.reps.ByID(ctx, *who.RepID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // the rep was removed since the session began
	}
	if err != nil {
		return nil, err
	}
	receiving := me.Presence == rep.Available || me.Presence == rep.Focus
	if receiving && me.PresenceBy == rep.ByConsole && me.ReachableAt != nil && h.hub.Clock().Sub(*me.ReachableAt) > awayTooLong {
		gone := me.ReachableAt.In(zone(me.Timezone)).Format("15:04")
		if me, err = h.reps.SetPresence(ctx, me.Email, rep.Off, rep.BySystem, "No console of yours was open since "+gone+", so leads went to others."); err != nil {
			return nil, err
		}
	}
	return &me, nil
}

func (h *Console) meta(c *fiber.Ctx, title, use string, me *rep.Rep) views.PageMeta {
	who := WhoOf(c)
	p := views.Person{Name: who.Name, Kind: "viewer"}
	if p.Name == "" {
		p.Name = who.Email
	}
	for _, role := range []string{account.RoleRep, account.RoleAdmin, account.RoleOps} {
		if who.Has(role) {
			p.Kind = role
			break
		}
	}
	now := h.hub.Clock()
	if me != nil {
		shown := presenceView(*me)
		p.Presence = &shown
		now = now.In(zone(me.Timezone))
	}
	return views.PageMeta{
		Title: title, Person: p, Live: use, Theme: c.Cookies("leadline_theme"), Now: now, May: GrantOf(c).May, Held: h.heldCount(c),
		Drift: h.drift.Open(),
	}
}

// heldCount is how many leads wait for review, for those who may look through them. A page is not lost over a number.
func (h *Console) heldCount(c *fiber.Ctx) int {
	if h.holds == nil || !GrantOf(c).May("GET /held") {
		return 0
	}
	n, err := h.holds.Waiting(c.UserContext())
	if err != nil {
		h.log.WarnContext(c.UserContext(), "held leads could not be counted", "error", err)
	}
	return n
}

func presenceView(r rep.Rep) views.Presence {
	return views.Presence{State: string(r.Presence), Reason: r.PresenceReason, Since: r.PresenceAt}
}

// zone gives a time zone, UTC when it is not known.
func zone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return loc
}

// partOfPage tells whether htmx asks for a piece of the page, rather than a browser without scripts for a whole one.
func partOfPage(c *fiber.Ctx) bool { return c.Get("HX-Request") == "true" }

// conflict gives the fault behind an action that came too late.
func conflict(err error) (*fault.Error, bool) {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Conflict {
		return f, true
	}
	return nil, false
}
