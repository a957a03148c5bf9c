package handlers

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/credit"
	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/rep"
)

// People lets programs say when reps take no leads and correct whose turn it is. web has checked the token and its scope.
type People struct {
	reps     *rep.Store
	credits  *credit.Store
	dispatch *dispatch.Service
	playbook *playbook.Live
	now      func() time.Time
}

// NewPeople makes the handlers about people.
func NewPeople(d Deps) *People {
	return &People{reps: d.Reps, credits: credit.NewStore(d.DB), dispatch: d.Dispatch, playbook: d.Playbook, now: d.Now}
}

// apiAbsence is an absence as programs see it. Without until it lasts until it is taken back.
type apiAbsence struct {
	ID    string  `json:"id"`
	Kind  string  `json:"kind"`
	From  string  `json:"from"`
	Until *string `json:"until"`
}

func shownAbsence(a rep.Absence) apiAbsence {
	out := apiAbsence{ID: a.ID.String(), Kind: a.Kind, From: stamp(a.From)}
	if !a.Until.IsZero() {
		until := stamp(a.Until)
		out.Until = &until
	}
	return out
}

// rep finds the rep whom the address names.
func (h *People) rep(c *fiber.Ctx) (rep.Rep, error) {
	email, err := url.PathUnescape(c.Params("email"))
	if err != nil {
		return rep.Rep{}, fault.New(fault.NotFound, "There is no such rep.")
	}
	return h.reps.ByEmail(c.UserContext(), email)
}

// Absences is GET /v1/reps/{email}/absences: all of them, past ones included.
func (h *People) Absences(c *fiber.Ctx) error {
	who, err := h.rep(c)
	if err != nil {
		return err
	}
	all, err := h.reps.AbsencesOf(c.UserContext(), who.ID)
	if err != nil {
		return err
	}
	out := make([]apiAbsence, len(all))
	for i, a := range all {
		out[i] = shownAbsence(a)
	}
	return c.JSON(fiber.Map{"absences": out})
}

// AddAbsence is POST /v1/reps/{email}/absences {kind, from, until}: 201, or 200 when exactly this absence was noted before. It holds
// at once, in all processes.
func (h *People) AddAbsence(c *fiber.Ctx) error {
	var body struct {
		Kind  string    `json:"kind"`
		From  time.Time `json:"from"`
		Until time.Time `json:"until"`
	}
	who, err := h.rep(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	added, isNew, err := h.reps.AddAbsence(c.UserContext(), rep.Absence{RepID: who.ID, Kind: body.Kind, From: body.From, Until: body.Until})
	if err != nil {
		return err
	}
	if isNew {
		c.Status(fiber.StatusCreated)
	}
	return c.JSON(shownAbsence(added))
}

// RemoveAbsence is DELETE /v1/reps/{email}/absences/{absence}: 204.
func (h *People) RemoveAbsence(c *fiber.Ctx) error {
	who, err := h.rep(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("absence"))
	if err != nil {
		return fault.New(fault.NotFound, "This person has no such absence.")
	}
	if err := h.reps.RemoveAbsence(c.UserContext(), who.ID, id); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// Active is PUT /v1/reps/{email}/active {active}. Leads that somebody who is deactivated has not touched go to others at once.
func (h *People) Active(c *fiber.Ctx) error {
	var body struct {
		Active *bool `json:"active"`
	}
	who, err := h.rep(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	if body.Active == nil {
		return &fault.Error{
			Kind: fault.Invalid, Message: "Say whether the rep takes leads.",
			Fields: []fault.Field{{Field: "active", Code: "missing", Message: "Use true or false."}},
		}
	}
	changed, err := h.reps.SetActive(c.UserContext(), who.Email, *body.Active)
	if err != nil {
		return err
	}
	h.dispatch.PresenceChanged()
	return c.JSON(shownRep(changed, h.playbook.Roster(), h.now()))
}

// apiCredit is an entry of the ledger of turns as programs see it.
type apiCredit struct {
	ID     string  `json:"id"`
	Rep    string  `json:"rep"`
	LeadID *string `json:"lead_id"`
	Kind   string  `json:"kind"`
	Amount float64 `json:"amount"` // in turns
	Reason string  `json:"reason,omitempty"`
	At     string  `json:"at,omitempty"`
}

// mostCredits bounds a list of entries.
const mostCredits = 200

// turnsKey finds where the turns of the pool in the address are kept.
func (h *People) turnsKey(c *fiber.Ctx) (string, error) {
	p := h.playbook.Current().Pool(c.Params("slug"))
	if p == nil {
		return "", fault.New(fault.NotFound, "There is no such pool.")
	}
	return p.TurnsKey(), nil
}

// Credits is GET /v1/pools/{slug}/credits: the newest 200 changes of turns that no turn made, newest first. Pools of a group share them.
func (h *People) Credits(c *fiber.Ctx) error {
	key, err := h.turnsKey(c)
	if err != nil {
		return err
	}
	entries, err := h.credits.Entries(c.UserContext(), key, mostCredits)
	if err != nil {
		return err
	}
	out := make([]apiCredit, len(entries))
	for i, e := range entries {
		out[i] = apiCredit{ID: e.ID.String(), Rep: e.Rep, Kind: string(e.Kind), Amount: e.Amount, Reason: e.Reason, At: stamp(e.At)}
		if e.LeadID != nil {
			id := e.LeadID.String()
			out[i].LeadID = &id
		}
	}
	return c.JSON(fiber.Map{"turns": key, "credits": out})
}

// Adjust is POST /v1/pools/{slug}/credits {rep, amount, reason}: 201 with what was added, which is less where a credit is at its bound.
func (h *People) Adjust(c *fiber.Ctx) error {
	var body struct {
		Rep    string  `json:"rep"`
		Amount float64 `json:"amount"`
		Reason string  `json:"reason"`
	}
	key, err := h.turnsKey(c)
	if err == nil {
		err = decode(c, &body)
	}
	if err != nil {
		return err
	}
	who, err := h.reps.ByEmail(c.UserContext(), body.Rep)
	if fault.Is(err, fault.NotFound) {
		return unknownRep()
	}
	if err != nil {
		return err
	}
	e, err := h.credits.Adjust(c.UserContext(), key, who.ID, body.Amount, body.Reason)
	if err != nil {
		return err
	}
	return c.Status(fiber.StatusCreated).JSON(apiCredit{ID: e.ID.String(), Rep: who.Email, Kind: string(e.Kind), Amount: e.Amount, Reason: e.Reason})
}
