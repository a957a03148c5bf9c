package playbook

import (
	"context"
	"fmt"
	"time"

	"leadline/internal/rep"
)

// Roster is who works when, by the newest of people, absences and calendars; nil before the first Refresh. Immutable, cheap.
func (l *Live) Roster() *rep.Roster { return l.roster.Load() }

// WhenPeopleChange says what is called after the roster has changed: it must not block. Call it before Run.
func (l *Live) WhenPeopleChange(f func()) { l.peopleChanged = f }

// refreshRoster builds the roster again if people, absences or calendars are not those it was built from, or days have passed.
func (l *Live) refreshRoster(ctx context.Context) error {
	store := rep.NewStore(l.db.Gorm)
	state, now, err := store.Fingerprint(ctx)
	if err != nil {
		return err
	}
	current := l.Current()
	state = fmt.Sprintf("%d %s", current.Version, state)
	if state == l.people && !l.Roster().Stale(now) {
		return nil
	}
	roster, err := RosterOf(ctx, store, current.Config, now)
	if err != nil {
		return err
	}
	l.roster.Store(roster)
	l.people = state
	if l.peopleChanged != nil {
		l.peopleChanged()
	}
	return nil
}

// RosterOf builds who works when under a configuration, from the people and absences there are. cfg may be nil: no calendars.
func RosterOf(ctx context.Context, store *rep.Store, cfg *Config, now time.Time) (*rep.Roster, error) {
	people, err := store.All(ctx)
	if err != nil {
		return nil, err
	}
	absences, err := store.Absences(ctx, now.AddDate(0, 0, -2))
	if err != nil {
		return nil, err
	}
	var calendars []rep.Calendar
	if cfg != nil {
		calendars = cfg.Calendars
	}
	return rep.BuildRoster(people, absences, calendars, now), nil
}
