package handlers

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/views"
)

// AuditDeps is what the page of the record needs. Without it, the page reads Deps.DB, knows nothing of anchoring, and verifies
// against nothing outside.
type AuditDeps struct {
	Store     *audit.Store
	Anchoring func() audit.Anchoring                                      // how anchoring goes in this process
	Verify    func(ctx context.Context, from int64) (audit.Report, error) // from a row to the end, against what is outside
}

// verifyMost is how many of the newest rows a person may have verified while they wait; the command line verifies all.
const verifyMost = 100_000

// Audit answers for the page of the record.
type Audit struct {
	AuditDeps
	console *Console
	now     func() time.Time

	verifying sync.Mutex // one at a time: it reads a lot

	mu     sync.Mutex
	report *views.AuditReport // of the newest verification
}

// NewAudit takes what the page needs.
func NewAudit(d Deps) *Audit {
	h := &Audit{AuditDeps: d.Audit, console: NewConsole(d), now: d.Now}
	if h.Store == nil && d.DB != nil {
		h.Store = audit.NewStore(d.DB.Gorm, d.Now)
	}
	if h.Anchoring == nil {
		h.Anchoring = func() audit.Anchoring { return audit.Anchoring{} }
	}
	if h.Verify == nil {
		h.Verify = func(ctx context.Context, from int64) (audit.Report, error) {
			return audit.Verify(ctx, d.DB, audit.Options{From: from, PublicKey: audit.PublicKeyIn(d.DB)})
		}
	}
	return h
}

// Page lists who did, saw or changed what, newest first: GET /audit. Looking is recorded too.
func (h *Audit) Page(c *fiber.Ctx) error {
	page, err := h.page(c, auditChoice(c.Query), c.Query("cursor"))
	if err != nil {
		return err
	}
	return Render(c, views.AuditPage(page))
}

func (h *Audit) page(c *fiber.Ctx, choice views.AuditChoice, cursor string) (views.Audit, error) {
	ctx, who := c.UserContext(), WhoOf(c)
	me, err := h.console.rep(ctx, who)
	if err != nil {
		return views.Audit{}, err
	}
	all := GrantOf(c).Leads.All
	page := views.Audit{
		Meta: h.console.meta(c, "Audit", "", me), Choice: choice, Did: didOptions, When: whenOptions, Saved: savedViews, Own: !all, Later: cursor != "",
	}
	page.Meta.Nav = "audit"
	if all {
		if page.Actors, err = h.actors(ctx); err != nil {
			return page, err
		}
		if page.Chain, err = h.chain(c); err != nil {
			return page, err
		}
	}
	filter, err := h.filter(c, choice)
	if err == nil {
		filter.Cursor = cursor
		page.Entries, page.Next, err = h.entries(ctx, who.AccountID, filter)
	}
	if known, ok := shownAbove(err); ok {
		page.Notice, err = known.Message, nil
	}
	return page, err
}

// shownAbove finds the faults that the page itself explains: a search for something that cannot be there.
func shownAbove(err error) (*fault.Error, bool) {
	for _, kind := range []fault.Kind{fault.Invalid, fault.NotFound, fault.Malformed} {
		if fault.Is(err, kind) {
			f, _, _ := explain(err)
			return &f, true
		}
	}
	return nil, false
}

func (h *Audit) entries(ctx context.Context, viewer uuid.UUID, filter audit.Filter) ([]views.AuditEntry, string, error) {
	lines, next, err := h.Store.List(ctx, viewer, filter)
	if err != nil {
		return nil, "", err
	}
	entries := make([]views.AuditEntry, len(lines))
	for i, line := range lines {
		entries[i] = auditEntry(line)
	}
	return entries, next, nil
}

// Export answers the list as CSV, with what it is for on record: POST /audit.csv. A form field takes the purpose, because words of
// people do not belong into an address.
func (h *Audit) Export(c *fiber.Ctx) error {
	form := func(name string, _ ...string) string { return posted(c, name) }
	filter, err := h.filter(c, auditChoice(form))
	if err != nil {
		return err
	}
	lines, err := h.Store.Export(c.UserContext(), WhoOf(c).AccountID, filter, strings.TrimSpace(posted(c, "purpose")))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := audit.WriteCSV(&text, lines); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="leadline-audit-%s.csv"`, h.now().UTC().Format("20060102-150405")))
	return c.Send(text.Bytes())
}

// Check verifies the newest part of the chain: POST /audit/verify.
func (h *Audit) Check(c *fiber.Ctx) error {
	if !h.verifying.TryLock() {
		return &fault.Error{Kind: fault.Throttled, Message: "Somebody is verifying already. Their report will be here in a moment.", RetryAfter: 5 * time.Second}
	}
	defer h.verifying.Unlock()
	head, err := h.Store.Head(c.UserContext())
	if err != nil {
		return err
	}
	began := h.now()
	report, err := h.Verify(c.UserContext(), max(1, head-verifyMost+1))
	if err != nil {
		return err
	}
	shown := reportView(report, h.now(), h.now().Sub(began))
	h.mu.Lock()
	h.report = &shown
	h.mu.Unlock()
	if partOfPage(c) {
		return Render(c, views.AuditVerified(shown))
	}
	return c.Redirect("/audit", fiber.StatusSeeOther)
}

const findingsShown = 50

func reportView(r audit.Report, at time.Time, took time.Duration) views.AuditReport {
	v := views.AuditReport{At: at, From: r.From, To: r.To, Rows: r.Rows, Anchors: r.Anchors, Compared: r.Compared, Took: took, More: r.More}
	for i, f := range r.Findings {
		if i == findingsShown {
			v.More += len(r.Findings) - i
			break
		}
		v.Findings = append(v.Findings, f.Text)
	}
	return v
}

func (h *Audit) chain(c *fiber.Ctx) (*views.AuditChain, error) {
	head, err := h.Store.Head(c.UserContext())
	if err != nil {
		return nil, err
	}
	state := h.Anchoring()
	chain := &views.AuditChain{
		Head: head, Anchor: state.Seq, AnchorAt: state.At, Problem: state.Problem, MayVerify: GrantOf(c).May("POST /audit/verify"),
	}
	for _, d := range state.Destinations {
		place := views.AuditPlace(d)
		place.Name = path.Base(place.Name) // where on the server a file lies is nobody's business here
		chain.Places = append(chain.Places, place)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	chain.Report = h.report
	return chain, nil
}

func (h *Audit) actors(ctx context.Context) ([]views.Option, error) {
	known, err := h.Store.Actors(ctx)
	if err != nil {
		return nil, err
	}
	options := []views.Option{
		{Value: "", Label: "Anybody"},
		{Value: audit.Command, Label: "The command line"},
		{Value: audit.System, Label: "Leadline itself"},
		{Value: audit.Visitor, Label: "Visitors"},
	}
	for _, a := range known {
		label := a.Name
		if a.Kind == audit.Token {
			label = "Token " + label
		}
		options = append(options, views.Option{Value: a.ID.String(), Label: label})
	}
	return options, nil
}

func auditChoice(get func(name string, otherwise ...string) string) views.AuditChoice {
	choice := views.AuditChoice{Who: get("who"), Did: get("did"), To: strings.TrimSpace(get("to")), When: get("when")}
	if choice.When == "" {
		choice.When = "7"
	}
	return choice
}

// objectName is what an object can be called in the record: an id, a slug, a number, a dotted name. No address, no words: what is
// looked for becomes part of the record, and of this page's address.
var objectName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// filter reads a choice. Whoever does not reach all leads sees their own doing and who saw the leads they hold.
func (h *Audit) filter(c *fiber.Ctx, choice views.AuditChoice) (audit.Filter, error) {
	var f audit.Filter
	if !GrantOf(c).Leads.All {
		own := WhoOf(c).AccountID
		f.Own = &own
	}
	if id, err := uuid.Parse(choice.Who); err == nil {
		f.Actor = &id
	} else if choice.Who != "" {
		f.ActorKind = choice.Who
	}
	f.Actions = didActions[choice.Did]
	if f.Actions == nil && choice.Did != "" {
		f.Actions = []audit.Action{audit.Action(choice.Did)}
	}
	if age, ok := whenAges[choice.When]; ok && age > 0 {
		f.Since = h.now().Add(-age)
	}
	for _, text := range []string{choice.Who, choice.Did, choice.To} {
		if text != "" && !objectName.MatchString(text) {
			return f, fault.New(fault.Invalid, "Look for an id, a lead's reference like 7F3K-92QD, or a name like that of a rule. Names and addresses of people are not in the record.")
		}
	}
	if choice.To == "" {
		return f, nil
	}
	f.Object = choice.To
	if id, err := uuid.Parse(choice.To); err == nil {
		f.Object = id.String()
	} else if reference.MatchString(choice.To) {
		id, err := h.console.leads.Find(c.UserContext(), GrantOf(c).Leads, choice.To)
		if err != nil {
			return f, err
		}
		f.ObjectKind, f.Object = "lead", id.String()
	}
	return f, nil
}

var reference = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4}-[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4}$`)
