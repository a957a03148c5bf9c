package handlers

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/drift"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/views"
)

// Drift answers for the page that shows where pages and their forms differ.
type Drift struct {
	store   *drift.Store
	service *drift.Service
	console *Console
}

// NewDrift takes what the page needs. Without a running service it shows what is written down.
func NewDrift(d Deps) *Drift {
	return &Drift{store: drift.NewStore(d.DB), service: d.Drift, console: NewConsole(d)}
}

// Page is GET /drift?form=&show=: what differs, by form, last seen first.
func (h *Drift) Page(c *fiber.Ctx) error {
	ctx := c.UserContext()
	choice := views.DriftChoice{Form: c.Query("form"), Show: c.Query("show")}
	if choice.Form != "" && !objectName.MatchString(choice.Form) || choice.Show != "" && choice.Show != "all" {
		return fault.New(fault.NotFound, "There is no such form.")
	}
	me, err := h.console.rep(ctx, WhoOf(c))
	if err != nil {
		return err
	}
	found, err := h.store.List(ctx, drift.Filter{Form: choice.Form, Resolved: choice.All()})
	if err != nil {
		return err
	}
	slugs, err := h.store.Forms(ctx)
	if err != nil {
		return err
	}
	forms := h.console.playbook.Current().Forms
	page := views.Drift{
		Meta: h.console.meta(c, "Schema drift", "", me), Choice: choice, Forms: []views.Option{{Value: "", Label: "All forms"}},
		Mails: h.service.Configured(), Resolved: c.Query("resolved") == "1", MayMark: GrantOf(c).May("POST /drift/:id/resolve"),
		Groups: byForm(found, forms),
	}
	page.Meta.Nav = "drift"
	for _, slug := range slugs {
		page.Forms = append(page.Forms, views.Option{Value: slug, Label: formTitle(forms[slug], slug)})
	}
	return Render(c, views.DriftPage(page))
}

// byForm gathers groups, which come last seen first, under their forms in the same order.
func byForm(found []drift.Group, forms map[string]*lead.Form) []views.DriftForm {
	var out []views.DriftForm
	at := map[string]int{}
	for _, g := range found {
		form := forms[g.Form]
		i, there := at[g.Form]
		if !there {
			i = len(out)
			at[g.Form] = i
			out = append(out, views.DriftForm{Slug: g.Form, Name: formTitle(form, g.Form), Known: form != nil})
			if form != nil {
				out[i].Owners = form.Owners
			}
		}
		out[i].Groups = append(out[i].Groups, driftView(g, form))
	}
	return out
}

func formTitle(form *lead.Form, slug string) string {
	if form == nil || form.Name == "" || form.Name == slug {
		return slug
	}
	return form.Name + " (" + slug + ")"
}

func driftView(g drift.Group, form *lead.Form) views.DriftGroup {
	v := views.DriftGroup{
		ID: g.ID, Kind: string(g.Kind), Sentence: g.Sentence(), Consequence: g.Consequence(), Advice: g.Advice(form), Snippet: g.Snippet(form),
		Samples: g.Samples, Days: g.Days[:], Today: g.Today(), Week: g.Week(), Total: g.Total, First: g.First, Last: g.Last, Resolved: g.ResolvedAt,
	}
	for _, t := range g.Told {
		v.Told = append(v.Told, views.DriftTold{Owner: t.Owner, State: t.State, Reason: t.Reason(), At: t.At})
	}
	return v
}

// Resolve is POST /drift/{id}/resolve: somebody dealt with a group.
func (h *Drift) Resolve(c *fiber.Ctx) error {
	id, err := strconv.ParseInt(c.Params("id"), 10, 64)
	if err != nil {
		return fault.New(fault.NotFound, "This is not on the list any more.")
	}
	if err := h.store.Resolve(c.UserContext(), id); err != nil {
		return err
	}
	if err := h.service.Recount(c.UserContext()); err != nil {
		return err
	}
	back := url.Values{"resolved": {"1"}}
	if form := strings.TrimSpace(posted(c, "form")); form != "" && objectName.MatchString(form) {
		back.Set("form", form)
	}
	return c.Redirect("/drift?"+back.Encode(), fiber.StatusSeeOther)
}

// apiDrift is a group as programs get it: without whoever was told.
type apiDrift struct {
	ID        int64    `json:"id"`
	Form      string   `json:"form"`
	Kind      string   `json:"kind"` // refused, unknown or unparseable
	Cause     string   `json:"cause"`
	Words     string   `json:"words"`
	Samples   []string `json:"samples"` // masked
	Today     int64    `json:"today"`
	Week      int64    `json:"week"`
	Total     int64    `json:"total"`
	FirstSeen string   `json:"first_seen"`
	LastSeen  string   `json:"last_seen"`
}

// List is GET /v1/drift?form=: what nobody has dealt with, last seen first.
func (h *Drift) List(c *fiber.Ctx) error {
	found, err := h.store.List(c.UserContext(), drift.Filter{Form: c.Query("form")})
	if err != nil {
		return err
	}
	out := make([]apiDrift, len(found))
	for i, g := range found {
		out[i] = apiDrift{
			ID: g.ID, Form: g.Form, Kind: string(g.Kind), Cause: g.Cause, Words: g.Sentence(), Samples: g.Samples,
			Today: g.Today(), Week: g.Week(), Total: g.Total, FirstSeen: stamp(g.First), LastSeen: stamp(g.Last),
		}
	}
	return c.JSON(fiber.Map{"drift": out})
}
