package playbook

import (
	"context"
	"fmt"

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
	people, err := store.All(ctx)
	if err != nil {
		return err
	}
	absences, err := store.Absences(ctx, now.AddDate(0, 0, -2))
	if err != nil {
		return err
	}
	var calendars []rep.Calendar
	if current.Config != nil {
		calendars = current.Config.Calendars
	}
	l.roster.Store(rep.BuildRoster(people, absences, calendars, now))
	l.people = state
	if l.peopleChanged != nil {
		l.peopleChanged()
	}
	return nil
}
