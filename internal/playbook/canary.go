package playbook

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The states of a canary.
const (
	CanaryRunning    = "running"
	CanaryPromoted   = "promoted"    // became a version of its own
	CanaryRolledBack = "rolled_back" // by a guard, or because too few leads came to judge by
	CanaryStopped    = "stopped"     // by a person
	CanarySuperseded = "superseded"  // another version went live
)

// CanaryTerms say how far a canary goes and what ends it.
type CanaryTerms struct {
	Percent     float64       // of the leads; up to 50: the others are what it is compared with
	For         time.Duration // then it is promoted if nothing speaks against it
	MaxUnrouted float64       // so many more of 100 leads may be unrouted than of the others
	MaxAccept   float64       // times as long as the others' may the median, and the 95th percentile, of the time to accept be
	MinLeads    int           // on both sides before anything is concluded
	Author      string
	Note        string
}

// DefaultCanary are the terms that nobody has to name.
var DefaultCanary = CanaryTerms{MaxUnrouted: 1, MaxAccept: 1.5, MinLeads: 50}

// CanaryGroup is how leads fared that one table decided about.
type CanaryGroup struct {
	Leads    int     `json:"leads"`
	Unrouted int     `json:"unrouted"`       // never offered to anybody, or through the ladder
	Median   float64 `json:"median_seconds"` // until somebody accepted; whoever still waits counts with the time so far
	P95      float64 `json:"p95_seconds"`
}

// CanaryFigures hold a canary against the live version, by leads accepted since it began.
type CanaryFigures struct {
	Canary  CanaryGroup `json:"canary"`
	Control CanaryGroup `json:"control"`
}

// Canary is a configuration whose rules decide for a share of the leads.
type Canary struct {
	ID          uuid.UUID     `json:"id" gorm:"primaryKey"`
	Number      int64         `json:"version"`     // that its decisions name, and that it has once it is promoted
	Base        int64         `json:"base"`        // the version that is live beside it
	RollbackOf  *int64        `json:"rollback_of"` // the version of which it is the content; null: a draft
	DraftID     *uuid.UUID    `json:"draft"`
	Revision    *int          `json:"revision"`
	Hash        string        `json:"hash"`
	Body        string        `json:"-"`
	Author      string        `json:"author"`
	ApprovedBy  string        `json:"approved_by"`
	Note        string        `json:"note"`
	Share       int           `json:"-"`
	Percent     float64       `json:"percent" gorm:"-"`
	Until       time.Time     `json:"until"`
	MaxUnrouted float64       `json:"max_unrouted"` // a share: 0.01 is one of 100
	MaxAccept   float64       `json:"max_accept"`
	MinLeads    int           `json:"min_leads"`
	State       string        `json:"state"`
	Reason      string        `json:"reason"`
	Figures     CanaryFigures `json:"figures" gorm:"serializer:json"`
	JudgedAt    *time.Time    `json:"judged_at"`
	StartedAt   time.Time     `json:"started_at" gorm:"->"`
	EndedAt     *time.Time    `json:"ended_at"`
}

// TableName tells GORM where rows live.
func (Canary) TableName() string { return "canary" }

// leastSlower is how much slower the canary's leads must be for their times to speak against it: a few tenths of a second are noise, however
// many times they are.
const leastSlower = 1.0 // seconds

// enough tells whether both sides have leads to judge by.
func (c *Canary) enough(f CanaryFigures) bool {
	return min(f.Canary.Leads, f.Control.Leads) >= c.MinLeads
}

// against says which guard speaks against the canary; empty: none.
func (c *Canary) against(f CanaryFigures) string {
	if !c.enough(f) {
		return ""
	}
	if here, there := f.Canary.unrouted(), f.Control.unrouted(); here-there > c.MaxUnrouted {
		return fmt.Sprintf("%.1f %% of its leads are unrouted, %.1f %% of the others.", 100*here, 100*there)
	}
	for _, time := range []struct {
		what        string
		here, there float64
	}{{"half of", f.Canary.Median, f.Control.Median}, {"95 % of", f.Canary.P95, f.Control.P95}} {
		if time.here > c.MaxAccept*time.there && time.here-time.there > leastSlower {
			return fmt.Sprintf("Until %s its leads are accepted it takes %.1f s, with the others %.1f s.", time.what, time.here, time.there)
		}
	}
	return ""
}

func (g CanaryGroup) unrouted() float64 {
	if g.Leads == 0 {
		return 0
	}
	return float64(g.Unrouted) / float64(g.Leads)
}
