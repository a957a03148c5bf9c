package handlers

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/simulate"
)

// Backtest is POST /v1/routing/backtest {draft or version, days}: what it would have done with the leads of the days before now. The answer
// comes at once and says where the result will be.
func (r *Routing) Backtest(c *fiber.Ctx) error {
	var body struct {
		candidateBody
		Days int `json:"days"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	of, err := r.candidate(c.UserContext(), body.candidateBody)
	if err != nil {
		return err
	}
	added, err := simulate.AddBacktest(c.UserContext(), r.db, of, body.Days, tokenName(c))
	if err != nil {
		return err
	}
	r.backtests.Wake()
	c.Set(fiber.HeaderLocation, "/v1/routing/backtest/"+added.ID.String())
	return c.Status(fiber.StatusAccepted).JSON(added)
}

// BacktestResult is GET /v1/routing/backtest/{id}: how far it has come, and what it found once it is done.
func (r *Routing) BacktestResult(c *fiber.Ctx) error {
	id, err := backtestID(c)
	if err != nil {
		return err
	}
	found, err := simulate.OneBacktest(c.UserContext(), r.db, id)
	if err != nil {
		return err
	}
	return c.JSON(found)
}

// CancelBacktest is DELETE /v1/routing/backtest/{id}. Repeating it is harmless.
func (r *Routing) CancelBacktest(c *fiber.Ctx) error {
	id, err := backtestID(c)
	if err != nil {
		return err
	}
	cancelled, err := simulate.CancelBacktest(c.UserContext(), r.db, id)
	if err != nil {
		return err
	}
	return c.JSON(cancelled)
}

func backtestID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "There is no such backtest.")
	}
	return id, nil
}
