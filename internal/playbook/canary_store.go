package playbook

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

const canaryAlarm = "canary" // as in dispatch.AlarmCanary

// StartCanary lets the rules of a draft, or of an earlier version, decide for a share of the leads that come from now on. It is a publication:
// a draft needs the approval that publishing it would need and must come after the live version. One runs at a time: a second is a Conflict.
func StartCanary(ctx context.Context, db *postgres.DB, of Candidate, t CanaryTerms) (Canary, error) {
	if err := t.check(); err != nil {
		return Canary{}, err
	}
	if problems := Check(of.Config); Failed(problems) {
		return Canary{}, Refusal(problems)
	}
	var c Canary
	err := db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(applyLock)).Error; err != nil {
			return fmt.Errorf("wait for other publications: %w", err)
		}
		if of.Draft != nil { // as it is now, and stays until this is over
			if of, err = draftCandidate(tx.Clauses(clause.Locking{Strength: "UPDATE"}), tx, *of.Draft); err != nil {
				return err
			}
		}
		live, err := mayReplace(tx, of)
		if err != nil {
			return err
		}
		if err := knowsReps(ctx, rep.NewStore(tx), of.Config); err != nil {
			return err
		}
		c = of.canary(live, t)
		if c.Number, err = nextNumber(tx, live.Number); err != nil {
			return err
		}
		if err := tx.Raw(`SELECT clock_timestamp() + make_interval(secs => ?)`, t.For.Seconds()).Scan(&c.Until).Error; err != nil {
			return fmt.Errorf("ask the database for its time: %w", err)
		}
		done := tx.Clauses(clause.OnConflict{DoNothing: true}).Omit("judged_at", "ended_at").Create(&c)
		if done.Error != nil {
			return fmt.Errorf("start a canary: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return &fault.Error{Kind: fault.Conflict, Code: "running", Message: "A canary is running already. Promote or stop it first."}
		}
		if err := closeCanaryAlarm(tx); err != nil {
			return err
		}
		return c.tell(ctx, tx, audit.CanaryBegan, c.Note)
	})
	if err != nil {
		return Canary{}, err
	}
	return NewestCanary(ctx, db)
}

func (t CanaryTerms) check() error {
	wrong := func(field, message string) error {
		return &fault.Error{Kind: fault.Invalid, Message: message, Fields: []fault.Field{{Field: field, Code: "range", Message: message}}}
	}
	switch {
	case !(t.Percent >= 0.01 && t.Percent <= 50): // not a number is neither
		return wrong("percent", "A canary takes 0.01 to 50 % of the leads: the others are what it is compared with.")
	case t.For < time.Second || t.For > 90*24*time.Hour:
		return wrong("for", "A canary runs for a second to 90 days.")
	case !(t.MaxUnrouted >= 0 && t.MaxUnrouted <= 100):
		return wrong("max_unrouted", "The share of unrouted leads is 0 to 100 %.")
	case !(t.MaxAccept >= 1 && t.MaxAccept <= 1000):
		return wrong("max_accept", "The time to accept may be 1 to 1000 times that of the others.")
	case t.MinLeads < 1:
		return wrong("min_leads", "At least one lead is needed to judge by.")
	}
	return nil
}

// mayReplace refuses a candidate that could not be published now.
func mayReplace(tx *gorm.DB, of Candidate) (live versionRow, err error) {
	live, found, err := latest(tx)
	switch {
	case err != nil:
		return live, err
	case !found:
		return live, fault.New(fault.Conflict, "No configuration was published yet. Publish this one.")
	case live.Hash == of.Hash:
		return live, fault.New(fault.Conflict, "This is what is live.")
	case of.Draft == nil:
		return live, nil // was live before: it needs no second person
	case of.draft.Base != live.Number:
		return live, movedOn(live.Number, of.draft.Base)
	case len(of.draft.Approvers) == 0:
		return live, needsNobody(live)
	}
	return live, nil
}

func (of Candidate) canary(live versionRow, t CanaryTerms) Canary {
	return Canary{
		ID: uuid.Must(uuid.NewV7()), Base: live.Number, RollbackOf: of.Version, DraftID: of.Draft, Revision: of.Revision, Hash: of.Hash,
		Body: string(of.Config.Canonical()), Author: t.Author, ApprovedBy: strings.Join(of.draft.Approvers, ", "), Note: t.Note,
		Share: int(t.Percent*routing.Shares/100 + 0.5), MaxUnrouted: t.MaxUnrouted / 100, MaxAccept: t.MaxAccept, MinLeads: t.MinLeads, State: CanaryRunning,
	}
}

// nextNumber is the number of the next version: those that were kept for canaries are not used again.
func nextNumber(tx *gorm.DB, live int64) (number int64, err error) {
	if err := tx.Raw(`SELECT greatest(?, coalesce(max(number), 0)) + 1 FROM canary`, live).Scan(&number).Error; err != nil {
		return 0, fmt.Errorf("ask for the next number: %w", err)
	}
	return number, nil
}

// NewestCanary is the canary that runs or ran last. That there was none is a NotFound fault.
func NewestCanary(ctx context.Context, db *postgres.DB) (Canary, error) {
	var found []Canary
	if err := db.Gorm.WithContext(ctx).Order("state = 'running' DESC, started_at DESC").Limit(1).Find(&found).Error; err != nil {
		return Canary{}, fmt.Errorf("find the newest canary: %w", err)
	}
	if len(found) == 0 {
		return Canary{}, fault.New(fault.NotFound, "There was no canary yet.")
	}
	found[0].Percent = float64(found[0].Share) * 100 / routing.Shares
	return found[0], nil
}

// StopCanary gives its leads back to the live version; stopped is false when none runs.
func StopCanary(ctx context.Context, db *postgres.DB, reason string) (stopped bool, err error) {
	err = changeCanary(ctx, db, func(tx *gorm.DB, c *Canary) error {
		if stopped = c != nil; !stopped {
			return nil
		}
		return c.end(ctx, tx, CanaryStopped, reason)
	})
	return stopped && err == nil, err
}

// PromoteCanary publishes what the canary says, for all leads. That none runs is a Conflict fault.
func PromoteCanary(ctx context.Context, db *postgres.DB, note string) (version int64, err error) {
	err = changeCanary(ctx, db, func(tx *gorm.DB, c *Canary) error {
		if c == nil {
			return fault.New(fault.Conflict, "No canary is running.")
		}
		version, err = c.promote(ctx, tx, note)
		return err
	})
	return version, err
}

// changeCanary locks the canary that runs, behind the lock of publications; nil: none does.
func changeCanary(ctx context.Context, db *postgres.DB, f func(tx *gorm.DB, c *Canary) error) error {
	return db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(applyLock)).Error; err != nil {
			return fmt.Errorf("wait for other publications: %w", err)
		}
		c, err := runningCanary(tx.Clauses(clause.Locking{Strength: "UPDATE"}))
		if err != nil {
			return err
		}
		return f(tx, c)
	})
}

// runningCanary finds the one that runs; nil: none does.
func runningCanary(tx *gorm.DB) (*Canary, error) {
	var found []Canary
	if err := tx.Where("state = ?", CanaryRunning).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("look for a canary: %w", err)
	}
	var one *Canary
	if len(found) > 0 {
		one = &found[0]
	}
	return one, nil
}

// end stops a canary whose row is locked, and says why.
func (c *Canary) end(ctx context.Context, tx *gorm.DB, state, reason string) error {
	c.State, c.Reason = state, reason
	if err := tx.Exec(`UPDATE canary SET state = ?, reason = ?, ended_at = clock_timestamp() WHERE id = ?`, state, reason, c.ID).Error; err != nil {
		return fmt.Errorf("end a canary: %w", err)
	}
	return c.tell(ctx, tx, audit.CanaryEnded, reason)
}

func (c *Canary) promote(ctx context.Context, tx *gorm.DB, note string) (version int64, err error) {
	cfg, problems := Parse("canary", []byte(c.Body))
	if Failed(problems) {
		return 0, Refusal(problems)
	}
	if err := c.end(ctx, tx, CanaryPromoted, note); err != nil {
		return 0, err
	}
	o := PublishOptions{Author: c.Author, Note: c.Note, Expected: c.Base, ApprovedBy: c.ApprovedBy, number: c.Number}
	if c.RollbackOf != nil {
		o.RollbackOf = *c.RollbackOf
	}
	if version, _, err = publishIn(ctx, tx, cfg, o); err != nil || c.DraftID == nil {
		return version, err
	}
	err = tx.Exec(`UPDATE config_draft SET state = 'published', published = ?, publish_at = NULL, problem = '', changed_at = clock_timestamp()
		WHERE id = ? AND revision = ? AND state IN ('open', 'scheduled', 'failed')`, version, *c.DraftID, *c.Revision).Error
	if err != nil {
		return 0, fmt.Errorf("close the draft of a canary: %w", err)
	}
	return version, nil
}

// tell records what became of a canary and lets every process hear of it once this has committed.
func (c *Canary) tell(ctx context.Context, tx *gorm.DB, action audit.Action, note string) error {
	detail := map[string]any{"state": c.State, "hash": c.Hash, "base": c.Base, "share": c.Share, "figures": c.Figures}
	entry := audit.Entry{Action: action, ObjectKind: "version", Object: strconv.FormatInt(c.Number, 10), Detail: detail, Note: note}
	if _, err := audit.Append(ctx, tx, entry); err != nil {
		return err
	}
	if err := tx.Exec("SELECT pg_notify(?, 'config')", channel).Error; err != nil {
		return fmt.Errorf("announce the canary: %w", err)
	}
	return nil
}

// supersedeCanary ends the canary that runs because another version has gone live; the alarm about an earlier one is answered by that.
func supersedeCanary(ctx context.Context, tx *gorm.DB) error {
	c, err := runningCanary(tx.Clauses(clause.Locking{Strength: "UPDATE"}))
	if err != nil {
		return err
	}
	if c != nil {
		if err := c.end(ctx, tx, CanarySuperseded, "Another version went live."); err != nil {
			return err
		}
	}
	return closeCanaryAlarm(tx)
}

func closeCanaryAlarm(tx *gorm.DB) error {
	if err := tx.Exec(`UPDATE alarm SET closed_at = clock_timestamp() WHERE kind = ? AND closed_at IS NULL`, canaryAlarm).Error; err != nil {
		return fmt.Errorf("close the alarm about a canary: %w", err)
	}
	return nil
}
