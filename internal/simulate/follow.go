package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/dispatch"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
	"leadline/internal/telemetry"
)

const (
	followEvery = time.Second
	followMost  = 500 // events that are looked at together
	// followLock is the advisory lock of the process that follows for all.
	followLock int64 = 0x4C4C_5348
)

// FollowerOptions are what a Follower needs. DB and Roster are required.
type FollowerOptions struct {
	DB      *postgres.DB
	Roster  func() *rep.Roster // who works when
	Log     *slog.Logger       // nil: none
	Metrics *telemetry.Metrics // nil: none
	Every   time.Duration      // how often it looks; 0: each second
}

// Follower decides beside live traffic what the shadow that runs, if one does, would have done. It reads the stream of events behind
// everybody else, takes each lead's first decision with the world that was recorded with it, and gives the lead its place under the shadow's
// table. Where a shadow asks people or pools that the live table did not, it takes them as they are a moment later. One process of all does
// this; nobody waits for it.
type Follower struct {
	FollowerOptions
	lead   *postgres.Leader
	shadow uuid.UUID // of which past is
	past   *past
	named  []string // e-mail addresses that its rules name
}

// NewFollower makes a Follower; Run starts it.
func NewFollower(o FollowerOptions) *Follower {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = followEvery
	}
	return &Follower{FollowerOptions: o, lead: postgres.NewLeader(o.DB, "shadow", followLock)}
}

// Run follows until the context ends.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	defer f.lead.Leave(ctx)
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		leads, err := f.lead.Leads(ctx)
		for more := leads && err == nil; more && err == nil && ctx.Err() == nil; {
			more, err = f.step(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			f.Log.WarnContext(ctx, "the shadow cannot follow; it goes on from where it is", "error", err)
		}
		failing = err != nil
	}
}

// step looks at the next events. more tells whether there may be others at once.
func (f *Follower) step(ctx context.Context) (more bool, err error) {
	s, err := openShadow(f.DB.Gorm.WithContext(ctx))
	if err != nil || s == nil {
		f.past, f.shadow = nil, uuid.Nil
		return false, err
	}
	if s.ID != f.shadow {
		if err := f.begin(ctx, s); err != nil || f.past == nil {
			return false, err
		}
	}
	rows, last, err := routedSince(ctx, f.DB, s.Seen, followMost)
	if err != nil || last == s.Seen {
		return false, err
	}
	before := s.Seen
	s.Seen = last
	found, err := f.compare(ctx, s, rows)
	if err != nil {
		return false, err
	}
	kept, err := s.keep(ctx, f.DB, before, found)
	if err != nil || !kept {
		f.past, f.shadow = nil, uuid.Nil // what it knows of turns may no longer be what is stored
		return false, err
	}
	return last-before >= followMost, nil
}

// begin compiles a shadow's table. One that this binary cannot read ends.
func (f *Follower) begin(ctx context.Context, s *Shadow) error {
	cfg, err := parsedBody(s.Body)
	var table *routing.Table
	if err == nil {
		table, err = Compiled(cfg, 0)
	}
	if err != nil {
		return f.giveUp(ctx, s, err)
	}
	f.past = &past{table: table, people: map[string]*routing.Person{}, unseen: map[string]bool{}, turns: s.Turns, pools: map[string]routing.Load{}}
	if f.past.turns == nil {
		f.past.turns = turns{}
	}
	f.shadow, f.named = s.ID, nil
	for _, r := range table.Rules() {
		if r.Then.Rep != "" {
			f.named = append(f.named, r.Then.Rep)
		}
	}
	return nil
}

func (f *Follower) giveUp(ctx context.Context, s *Shadow, cause error) error {
	f.past, f.shadow = nil, uuid.Nil
	f.Log.ErrorContext(ctx, "the shadow has ended", "error", cause)
	return s.giveUp(ctx, f.DB, "It cannot go on: "+cause.Error())
}

// compare gives the leads their places under the shadow.
func (f *Follower) compare(ctx context.Context, s *Shadow, rows []stored) ([]ShadowLead, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if err := f.look(ctx); err != nil {
		return nil, err
	}
	var found []ShadowLead
	for _, row := range rows {
		r, err := routing.ReadRecord(row.record)
		if err != nil {
			return nil, err
		}
		f.Metrics.Shadow("leads")
		if row.erased || r.World == nil || r.Outcome.Place == nil {
			s.Sums.Left++
			continue
		}
		f.past.learn(r)
		would, err := f.place(r)
		if err != nil {
			return nil, f.giveUp(ctx, s, err)
		}
		kinds := s.Sums.add(r, would)
		for _, kind := range kinds {
			f.Metrics.Shadow(kind)
		}
		if len(kinds) > 0 {
			found = append(found, ShadowLead{
				LeadID: row.lead, Number: int64(s.Sums.Leads), At: row.at, Kinds: kinds, WasRule: r.Rule, Was: target(r.Decision), WasTo: r.To,
				Rule: would.Decision.Rule, Target: target(would.Decision), Offered: offeredTo(would),
			})
		}
	}
	s.Turns = f.past.turns
	return found, nil
}

// look refreshes what is known of people.
func (f *Follower) look(ctx context.Context) error {
	f.past.roster = f.Roster()
	w, err := dispatch.Look(ctx, f.DB, f.past.table, f.past.roster, f.past.table.Pools(), f.named...)
	if err == nil {
		f.past.people = w.People
	}
	return err
}

// place runs rules that were never live on what a visitor sent: whatever they do must not stop the process.
func (f *Follower) place(r *routing.Record) (out routing.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a lead cannot be placed: %v", p)
		}
	}()
	return f.past.place(r), nil
}

func words(s string) []string { return strings.Fields(s) }

func sentence(words []string) string { return strings.Join(words, " ") }
