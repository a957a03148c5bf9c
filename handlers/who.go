// Package handlers holds what happens at one route: parse the request, call one function of the business, render the answer.
//
// Each page or resource has a struct of concrete dependencies with a method a route. Handlers start no goroutines, hold no
// rules and write no SQL; errors go back through Fail. web calls them, after checking who may.
package handlers

import (
	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
)

// local is the type of the keys under which web leaves what it found out about a request.
type local int

const (
	localWho local = iota
	localToken
	localCorrelation
	localAddress
	localFailure
)

// WhoOf gives the signed-in person, or the zero Who on routes that ask for none.
func WhoOf(c *fiber.Ctx) account.Who {
	who, _ := c.Locals(localWho).(account.Who)
	return who
}

// SetWho notes the signed-in person; web calls it.
func SetWho(c *fiber.Ctx, who account.Who) { c.Locals(localWho, who) }

// TokenOf gives the API token that the request came with, or the zero Token on routes that ask for none.
func TokenOf(c *fiber.Ctx) account.Token {
	token, _ := c.Locals(localToken).(account.Token)
	return token
}

// SetToken notes the API token; web calls it.
func SetToken(c *fiber.Ctx, token account.Token) { c.Locals(localToken, token) }

// CorrelationOf gives the request's correlation id, which is the lead's when the request made one. Never empty behind web.
func CorrelationOf(c *fiber.Ctx) string {
	id, _ := c.Locals(localCorrelation).(string)
	return id
}

// SetCorrelation sets the correlation id of the request and of its answer; web calls it, and intake when the body names one.
func SetCorrelation(c *fiber.Ctx, id string) {
	c.Locals(localCorrelation, id)
	c.Set("X-Correlation-ID", id)
}

// ValidCorrelation tells whether an id from outside may be kept: 1 to 64 of A-Z a-z 0-9 . _ -
func ValidCorrelation(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		b := id[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

// posted gives a field of the form that was posted. Fields in the address do not count: what people type must not get into the logs of
// whoever stands in front.
func posted(c *fiber.Ctx, name string) string { return string(c.Request().PostArgs().Peek(name)) }

// AddressOf gives the visitor's network address: the peer's, or what a trusted proxy says it is.
func AddressOf(c *fiber.Ctx) string {
	if address, ok := c.Locals(localAddress).(string); ok {
		return address
	}
	return c.Context().RemoteIP().String()
}

// SetAddress notes the visitor's address where a trusted proxy stands in front; web calls it.
func SetAddress(c *fiber.Ctx, address string) { c.Locals(localAddress, address) }
