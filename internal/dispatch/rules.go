package dispatch

import (
	"time"

	"github.com/google/uuid"

	"leadline/internal/routing"
)

// rules are what places one lead: the table, and the hash of its version's content.
type rules struct {
	table *routing.Table
	hash  string
}

// rulesFor says whose rules place a lead now: the canary's for the leads that it takes, at every step of their way, else the live ones.
func (s Snapshot) rulesFor(id uuid.UUID, accepted time.Time) rules {
	if s.Canary.Takes(id, accepted) {
		return rules{s.Canary.Table, s.Canary.Hash}
	}
	return rules{s.Table, s.Hash}
}

// tables are the live one and, while there is one, the canary's.
func (s Snapshot) tables() []*routing.Table {
	if s.Canary == nil {
		return []*routing.Table{s.Table}
	}
	return []*routing.Table{s.Table, s.Canary.Table}
}

// pool finds a pool of the live version, or else of the canary; nil: there is none.
func (s Snapshot) pool(slug string) *routing.Pool {
	for _, t := range s.tables() {
		if p := t.Pool(slug); p != nil {
			return p
		}
	}
	return nil
}

// inForce tells apart any two states of the rules.
type inForce struct {
	version int64
	canary  uuid.UUID // zero: none
}

func (s Snapshot) inForce() inForce {
	now := inForce{version: s.Table.Version()}
	if s.Canary != nil {
		now.canary = s.Canary.ID
	}
	return now
}
