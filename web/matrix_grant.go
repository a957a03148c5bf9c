package web

import (
	"context"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/handlers"
	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/rep"
)

// grant leaves for the handler what the line allows this sender, after the guard has let the request in, and who acts as far as the
// record is concerned. Visitors get nothing: their routes ask for a receipt.
func (s *server) grant(l *line) fiber.Handler {
	return func(c *fiber.Ctx) error {
		who, token := handlers.WhoOf(c), handlers.TokenOf(c)
		switch {
		case who.SignedIn():
			right := l.of(who.Roles)
			scope, err := s.scopeOf(c.UserContext(), right.reach, who)
			if err != nil {
				return err
			}
			handlers.SetGrant(c, handlers.Grant{
				Leads: scope, Masked: right.sight >= sightMasked, Reveal: right.sight == sightReveal,
				May: func(route string) bool {
					other := s.matrix.named[route]
					return other != nil && other.of(who.Roles).may
				},
			})
			acts(c, audit.Person, who.AccountID)
		case token.Has(l.scope) && l.scope != "":
			revealing := l.token.sight == sightReveal && token.Has(account.ScopeLeadsReveal)
			handlers.SetGrant(c, handlers.Grant{Leads: lead.Scope{All: true}, Masked: l.token.sight >= sightMasked, Reveal: revealing})
			acts(c, audit.Token, token.ID)
		}
		return c.Next()
	}
}

// scopeOf puts a reach into terms of the tables: which rep, which team, which pools.
func (s *server) scopeOf(ctx context.Context, r reach, who account.Who) (lead.Scope, error) {
	switch {
	case r == reachAll:
		return lead.Scope{All: true}, nil
	case r == reachNone, who.RepID == nil: // a rep's account without a rep reaches nothing
		return lead.Scope{}, nil
	case r == reachOwn:
		return lead.Scope{Rep: *who.RepID}, nil
	}
	people, err := s.Handlers.Reps.All(ctx)
	if err != nil {
		return lead.Scope{}, err
	}
	return teamScope(*who.RepID, people, s.Handlers.Playbook.Current()), nil
}

// teamScope is what a rep shares with the team: who is in it comes from the table of reps, their pools from the live configuration.
// A rep without a team shares with nobody.
func teamScope(me uuid.UUID, people []rep.Rep, live *playbook.Snapshot) lead.Scope {
	scope := lead.Scope{Rep: me}
	for _, r := range people {
		if r.ID == me {
			scope.Team = r.Team
			scope.Pools = slices.Clone(live.PoolsOf(r.Email))
		}
	}
	if scope.Team == "" {
		return scope
	}
	for _, r := range people {
		if r.Team == scope.Team && r.Active {
			scope.Pools = append(scope.Pools, live.PoolsOf(r.Email)...)
		}
	}
	slices.Sort(scope.Pools)
	scope.Pools = slices.Compact(scope.Pools)
	return scope
}

// acts notes in the request's context who acts, unless the guard has.
func acts(c *fiber.Ctx, kind string, id uuid.UUID) {
	if audit.ActorOf(c.UserContext()).Kind != audit.System {
		return
	}
	c.SetUserContext(audit.WithActor(c.UserContext(), audit.Actor{Kind: kind, ID: &id, CorrelationID: handlers.CorrelationOf(c)}))
}
