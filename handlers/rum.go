package handlers

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
)

// beacon is what a form's script measured in the visitor's browser, in milliseconds of that browser's own clock. Nothing in it says who.
type beacon struct {
	Form    string  `json:"form"`
	AckMS   float64 `json:"ack_ms"` // from the click to our answer
	Device  string  `json:"device"`
	Network string  `json:"network"`
}

// longestAck bounds what a browser can claim: the script gives up after half a minute, and people come back from sleep.
const longestAck = 10 * 60 * 1000

// RUM is POST /v1/rum: how long visitors really waited. The lowest class of traffic: refused first when there is much to do.
func (v *Visitors) RUM(c *fiber.Ctx) error {
	var b beacon
	if err := json.Unmarshal(c.Body(), &b); err != nil || b.AckMS < 0 || b.AckMS > longestAck {
		return fault.New(fault.Malformed, "Send what was measured as JSON, like {\"form\":\"demo\",\"ack_ms\":120}.")
	}
	form := v.playbook.Current().Forms[b.Form]
	if form == nil {
		return fault.New(fault.NotFound, "There is no form of this name.")
	}
	if err := v.allowOrigin(c, form); err != nil {
		return err
	}
	v.metrics.ClickToAck(form.Slug, oneOf(b.Device, "desktop", "touch"), oneOf(b.Network, "4g", "3g", "2g", "slow-2g"), b.AckMS/1000)
	return c.SendStatus(fiber.StatusNoContent)
}

// oneOf keeps what browsers say within what can be counted.
func oneOf(value string, known ...string) string {
	for _, k := range known {
		if value == k {
			return k
		}
	}
	return "other"
}
