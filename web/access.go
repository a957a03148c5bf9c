package web

import (
	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
)

// access is what the guard asks of a request: a line of the matrix, short.
type access struct {
	kind   accessKind
	scope  string   // of byToken
	roles  []string // of byRole and bySocket
	strict bool     // of byRole: only for somebody who did something here within the last half hour
}

type accessKind string

const (
	byAnyone  accessKind = "anyone"  // visitors; no cookie is looked at, so there is nothing to forge
	byPage    accessKind = "page"    // anyone too, but a POST must come from a page of ours: signing in and out
	byRole    accessKind = "role"    // signed in with one of the roles
	bySocket  accessKind = "socket"  // the same, and from a page of ours even though it is a GET
	byToken   accessKind = "token"   // a program with the scope
	byMonitor accessKind = "monitor" // a token with the scope, or a program on this machine
)

var (
	anyone  = access{kind: byAnyone}
	ourPage = access{kind: byPage}
)

func roles(names ...string) access  { return access{kind: byRole, roles: names} }
func socket(names ...string) access { return access{kind: bySocket, roles: names} }
func scope(name string) access      { return access{kind: byToken, scope: name} }

// guard lets a request on to its handler when its sender may.
func (s *server) guard(who access) fiber.Handler {
	return func(c *fiber.Ctx) error {
		var err error
		switch who.kind {
		case byAnyone:
		case byPage:
			err = s.checkOrigin(c, false)
		case byRole, bySocket:
			return s.person(c, who)
		case byMonitor:
			if !local(c) {
				err = s.program(c, who.scope)
			}
		case byToken:
			err = s.program(c, who.scope)
		default:
			err = fault.New(fault.Forbidden, "Nobody may use this address.")
		}
		if err != nil {
			return err
		}
		return c.Next()
	}
}
