// Package account knows who is asking: people who sign in by password or one-time link, their sessions, and programs with API
// tokens. It provides answers (Who, Token); what each may do is decided by the routes table in web.
//
// Everything secret is kept as a hash only: passwords as argon2id, session, link and token values as SHA-256 of 256 random bits.
// Whatever begins, ends or changes here is recorded in the audit chain by the same transaction: without the record nothing happens.
// Lookups are cached for less than a second, so that a sign-out or a revocation acts everywhere within about that time. Used by
// web, handlers and the commands that add people and tokens.
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
var Scopes = []string{
	ScopeLeadsRead, ScopeLeadsAct, ScopeLeadsReveal, ScopePayloadsRead, ScopeRepsWrite, ScopeSimulate, ScopeRoutingWrite, ScopeMetricsRead,
}

// The scopes. ScopeLeadsReveal unmasks contact details; ScopePayloadsRead gives what was sent, byte for byte; ScopeLeadsAct claims,
// records outcomes and sets presence; ScopeRepsWrite notes absences, deactivates people and adjusts turns.
const (
	ScopeLeadsRead    = "leads:read"
	ScopeLeadsAct     = "leads:act"
	ScopeLeadsReveal  = "leads:reveal"
	ScopePayloadsRead = "payloads:read"
	ScopeRepsWrite    = "reps:write"
	ScopeSimulate     = "routing:simulate"
	ScopeRoutingWrite = "routing:write" // drafts and versions of the configuration
	ScopeMetricsRead  = "metrics:read"
)

// How long things last, by the database's clock. Only what a person does counts as activity: no poll, no socket, no refresh.
const (
	SessionIdle            = 30 * time.Minute   // without activity
	SessionAbsolute        = 12 * time.Hour     // whatever happens
	SessionIdleTrusted     = 12 * time.Hour     // on a device that a rep asked to stay signed in on
	SessionAbsoluteTrusted = 7 * 24 * time.Hour //
	StrictIdle             = 30 * time.Minute   // what routes for people who look after things ask for, on any device
	LinkValid              = 24 * time.Hour
	SetupValid             = 24 * time.Hour

	tokenAge    = time.Hour        // an older token is changed for a new one
	tokenGrace  = time.Minute      // the token before the last change works for this long: requests cross each other
	noteEvery   = 30 * time.Second // activity is written down this often at most
	useEvery    = time.Hour        // and the use of an API token this often
	maxSessions = 5                // per person; a further sign-in ends the oldest
)

// How many characters a password needs at least. There is no other rule: length is what counts, and guessing is throttled. People who
// choose one are held to MinPassword; what an operator gives at the command line may be shorter, because it may come from elsewhere.
const (
	MinPassword      = 12
	MinGivenPassword = 8
)

// maxPassword bounds what is hashed; nobody types more.
const maxPassword = 1024

// Who is the person behind a request. The zero Who is nobody.
type Who struct {
	AccountID uuid.UUID
	SessionID uuid.UUID // stays while the session's token changes
	Email     string
	Name      string
	Roles     []string
	RepID     *uuid.UUID    // the active rep with the same e-mail address, for people with the role rep
	Trusted   bool          // the session lasts as long as on a trusted device
	Idle      time.Duration // since the person last did something, as written down: up to half a minute too long

	// Away is since when there was no such pause as StrictIdle: a look at a page after a long pause ends Idle, and only a new sign-in
	// ends Away.
	Away time.Duration

	renew bool // the token that was shown is due to be changed, or was just changed
	late  bool // the token that was shown was just changed: the browser has not heard of the new one
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

// Member is an account as those who look after people see it.
type Member struct {
	Account
	Disabled bool
	LastSeen *time.Time // when a session of theirs that still stands was last used; nil: not signed in
}

// Session is one device of a person.
type Session struct {
	ID        uuid.UUID
	UserAgent string
	Network   string // where it began, shortened; empty: not known
	Trusted   bool
	BeganAt   time.Time
	SeenAt    time.Time
}

// Device is where somebody signs in.
type Device struct {
	Address   string // of the network, or a prefix; counts for the limit of wrong passwords, and is kept shortened
	UserAgent string
	Trusted   bool // the person asks to stay signed in here; granted to reps alone
}

// KnownToken is an API token as those who look after tokens see it.
type KnownToken struct {
	Token
	CreatedAt time.Time
	UsedAt    *time.Time // up to an hour old; nil: never
	RevokedAt *time.Time
}
