package handlers

import (
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/internal/simulate"
)

// Routing answers programs that ask why a lead went where it did, and where one would go.
type Routing struct {
	db     *postgres.DB
	leads  *lead.Store
	reps   *rep.Store
	book   *playbook.Live
	tables simulate.Tables

	backtests *simulate.Backtests
}

// NewRouting makes the handlers.
func NewRouting(d Deps) *Routing {
	return &Routing{db: d.DB, leads: d.Leads, reps: d.Reps, book: d.Playbook, tables: simulate.Published(d.DB), backtests: d.Backtests}
}

// Why is GET /v1/leads/{id}/why?rep=E-MAIL: for each decision about the lead what was found about the rep, and the least that would have
// given it to them.
func (r *Routing) Why(c *fiber.Ctx) error {
	id, err := leadID(c)
	if err != nil {
		return err
	}
	if id, err = r.leads.Resolve(c.UserContext(), GrantOf(c).Leads, id); err != nil {
		return err
	}
	who, err := simulate.KnownRep(c.UserContext(), r.reps, c.Query("rep"))
	if err != nil {
		return err
	}
	answers, err := simulate.Why(c.UserContext(), r.db, r.tables, id, who)
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"lead_id": id.String(), "rep": who.Email, "decisions": answers})
}

// simulated is a decision that nobody acts upon, with the members of one that is stored, and where the lead would stand.
type simulated struct {
	Version    int64                `json:"version"` // 0: of a draft
	Rule       string               `json:"rule"`
	Pool       string               `json:"pool"`
	Rep        *string              `json:"rep"` // e-mail address
	At         string               `json:"at"`
	Candidates []routing.Considered `json:"candidates"`
	Band       string               `json:"band"`
	RunnersUp  []routing.RunnerUp   `json:"runners_up"`
	Stages     []routing.Line       `json:"stages"`         // what each stage found, in order
	Stage      lead.Stage           `json:"stage"`          // offered or waiting; held; closed: it would be attached to an open lead
	In         string               `json:"in"`             // the pool in which it would stand: another one after an overflow
	Rung       routing.Rung         `json:"rung,omitempty"` // of the offer
	Seconds    float64              `json:"seconds"`        // how long the offer would stand; 0: for good
}

// Simulate is POST /v1/routing/simulate {lead, at, version}: where a lead would go, with every candidate and reason. lead is what a form
// sends, or the id of a stored lead; version is a published one, the live one unless given; draft, the text of a
// configuration, may stand in its place; presence says who would be there. Nothing is stored.
func (r *Routing) Simulate(c *fiber.Ctx) error {
	var body struct {
		Lead     json.RawMessage         `json:"lead"`
		At       *time.Time              `json:"at"`
		Version  *int64                  `json:"version"`
		Draft    string                  `json:"draft"`
		Presence map[string]rep.Presence `json:"presence"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	q := simulate.Question{Presence: body.Presence}
	if body.At != nil {
		q.At = *body.At
	}
	if err := q.ReadLead(body.Lead); err != nil {
		return err
	}
	ctx := c.UserContext()
	if q.Stored != uuid.Nil {
		var err error
		if q.Stored, err = r.leads.Resolve(ctx, GrantOf(c).Leads, q.Stored); err != nil {
			return err
		}
	}
	live := r.book.Current()
	switch {
	case body.Draft != "" && body.Version != nil:
		return fault.New(fault.Malformed, "Give a version or a draft, not both.")
	case body.Draft != "":
		cfg, problems := playbook.Parse("draft", []byte(body.Draft))
		if cfg == nil {
			return playbook.Refusal(problems)
		}
		q.Config = cfg
	case body.Version != nil:
		cfg, _, err := playbook.Stored(ctx, r.db, *body.Version)
		if err != nil {
			return err
		}
		q.Config, q.Version = cfg, *body.Version
	case live.Config == nil:
		return fault.New(fault.Conflict, "No configuration was published yet. Give a draft.")
	default:
		q.Config, q.Version = live.Config, live.Version
	}
	result, err := simulate.One(ctx, r.db, q)
	if err != nil {
		return err
	}
	return c.JSON(shownResult(result))
}

func shownResult(result simulate.Result) simulated {
	out := result.Outcome
	s := simulated{
		Version: out.Decision.Version, Rule: out.Decision.Rule, Pool: out.Decision.Pool, At: stamp(result.At), Candidates: out.Considered,
		Band: out.Decision.Band, RunnersUp: out.Decision.RunnersUp, Stages: out.Stages, Stage: lead.StageWaiting,
	}
	if s.Candidates == nil {
		s.Candidates = []routing.Considered{}
	}
	if s.RunnersUp == nil {
		s.RunnersUp = []routing.RunnerUp{}
	}
	if result.To != "" {
		s.Rep = &result.To
	}
	if p := out.Place; p != nil {
		s.In, s.Rung, s.Seconds = p.Pool, p.Rung, p.Terms.Seconds()
		switch {
		case p.Held:
			s.Stage = lead.StageHeld
		case p.Joins != uuid.Nil:
			s.Stage = lead.StageClosed
		case !p.Waiting:
			s.Stage = lead.StageOffered
		}
	}
	return s
}
