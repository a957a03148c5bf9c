// Package account knows who is asking: people who sign in by password or one-time link, their sessions, and programs with API
// tokens. It provides answers (Who, Token); what each may do is decided by the routes table in web.
//
// Everything secret is kept as a hash only: passwords as argon2id, session, link and token values as SHA-256 of 256 random bits.
// Lookups are cached for a second, so that a sign-out or a revocation acts everywhere within about that time. Used by web,
// handlers and the commands that add people and tokens.
package account

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Roles are the roles a person can have.
var Roles = []string{RoleRep, RoleOps, RoleAdmin, RoleViewer}

// The roles: a rep works leads, ops runs the desk, an admin also manages people, a viewer sees without contact details.
const (
	RoleRep    = "rep"
	RoleOps    = "ops"
	RoleAdmin  = "admin"
	RoleViewer = "viewer"
)

// Scopes are what an API token can be allowed.
var Scopes = []string{ScopeLeadsRead, ScopeLeadsAct, ScopeLeadsReveal, ScopeSimulate, ScopeMetricsRead}

// The scopes. ScopeLeadsReveal unmasks contact details; ScopeLeadsAct claims, records outcomes and sets presence.
const (
	ScopeLeadsRead   = "leads:read"
	ScopeLeadsAct    = "leads:act"
	ScopeLeadsReveal = "leads:reveal"
	ScopeSimulate    = "routing:simulate"
	ScopeMetricsRead = "metrics:read"
)

// How long things last.
const (
	SessionIdle     = 12 * time.Hour      // without a request
	SessionAbsolute = 30 * 24 * time.Hour // whatever happens
	LinkValid       = 24 * time.Hour
	maxSessions     = 5 // per person; a further sign-in ends the oldest
)

// Who is the person behind a request. The zero Who is nobody.
type Who struct {
	AccountID uuid.UUID
	Email     string
	Name      string
	Roles     []string
	RepID     *uuid.UUID // the active rep with the same e-mail address, for people with the role rep
}

// SignedIn tells whether there is somebody.
func (w Who) SignedIn() bool { return w.AccountID != uuid.Nil }

// Has tells whether the person has any of the roles.
func (w Who) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(w.Roles, r) })
}

// Token is a program's right to call, without its secret. The zero Token may do nothing.
type Token struct {
	ID     uuid.UUID
	Name   string
	Scopes []string
}

// Has tells whether the token was given the scope.
func (t Token) Has(scope string) bool { return slices.Contains(t.Scopes, scope) }

// NewAccount is a person to be added, or to be changed when the address is known already.
type NewAccount struct {
	Email    string
	Name     string // empty: keeps the name that is there
	Roles    []string
	Password string // empty: keeps the password that is there; without any the person signs in by link
	Demo     bool
}

// Account is a person who may sign in.
type Account struct {
	ID    uuid.UUID
	Email string
	Name  string
	Roles []string
}
