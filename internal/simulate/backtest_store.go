package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
)

// The states of a backtest.
const (
	BacktestWaiting   = "waiting"
	BacktestRunning   = "running"
	BacktestDone      = "done"
	BacktestCancelled = "cancelled"
	BacktestFailed    = "failed"
)

const (
	mostDays      = 3660
	mostWaiting   = 10              // backtests that may wait
	keptBacktests = 100             // that are over
	lostAfter     = "30 seconds"    // a backtest of which nothing was heard for so long is begun again by another process
	backtestEvery = 2 * time.Second // how often one looks for what others were asked
)

// Backtest is a draft, or an earlier version, held against the leads of some days.
type Backtest struct {
	ID        uuid.UUID  `json:"id" gorm:"primaryKey"`
	Version   *int64     `json:"version"`  // that it was; null: a draft
	DraftID   *uuid.UUID `json:"draft"`    // null: a version
	Revision  *int       `json:"revision"` // of the draft
	Hash      string     `json:"hash"`
	Body      string     `json:"-"`
	Author    string     `json:"author"`
	Days      int        `json:"days"`
	State     string     `json:"state"`
	Node      *int64     `json:"-"`
	BeatAt    *time.Time `json:"-"`
	Done      int        `json:"done"` // leads, of so many
	OfLeads   int        `json:"of"`
	Sums      Comparison `json:"sums" gorm:"serializer:json"` // once it is done
	Problem   string     `json:"problem,omitempty"`
	CreatedAt time.Time  `json:"created_at" gorm:"->"`
	EndedAt   *time.Time `json:"ended_at"`
}

// TableName tells GORM where rows live.
func (Backtest) TableName() string { return "backtest" }

// AddBacktest notes what is to be compared; a process that runs Backtests works it off. Too many that wait are a Conflict fault.
func AddBacktest(ctx context.Context, db *postgres.DB, of playbook.Candidate, days int, author string) (Backtest, error) {
	if days < 1 || days > mostDays {
		return Backtest{}, wrong("days", "range", "Give 1 to %d days.", mostDays)
	}
	if _, err := Compiled(of.Config, 0); err != nil {
		return Backtest{}, err
	}
	b := Backtest{
		ID: uuid.Must(uuid.NewV7()), Version: of.Version, DraftID: of.Draft, Revision: of.Revision, Hash: of.Hash, Body: string(of.Config.Canonical()), Author: author,
		Days: days, State: BacktestWaiting, Sums: Comparison{Moves: map[string]int{}},
	}
	err := db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var waiting int64
		if err := tx.Model(&b).Where("state = ?", BacktestWaiting).Count(&waiting).Error; err != nil {
			return fmt.Errorf("count backtests: %w", err)
		}
		if waiting >= mostWaiting {
			return &fault.Error{Kind: fault.Conflict, Code: "busy", Message: "Several backtests are waiting already. Cancel one, or come back later."}
		}
		if err := tx.Exec(`DELETE FROM backtest WHERE id IN (SELECT id FROM backtest WHERE state NOT IN ('waiting', 'running') ORDER BY created_at DESC OFFSET ?)`, keptBacktests).Error; err != nil {
			return fmt.Errorf("forget old backtests: %w", err)
		}
		if err := tx.Create(&b).Error; err != nil {
			return fmt.Errorf("add a backtest: %w", err)
		}
		return nil
	})
	if err != nil {
		return Backtest{}, err
	}
	return OneBacktest(ctx, db, b.ID)
}

// OneBacktest finds a backtest; a missing one is a NotFound fault.
func OneBacktest(ctx context.Context, db *postgres.DB, id uuid.UUID) (b Backtest, err error) {
	err = db.Gorm.WithContext(ctx).Where("id = ?", id).Take(&b).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return b, fault.New(fault.NotFound, "There is no such backtest.")
	}
	if err != nil {
		return b, fmt.Errorf("find a backtest: %w", err)
	}
	return b, nil
}

// CancelBacktest ends a backtest that is not over. Repeating it is harmless.
func CancelBacktest(ctx context.Context, db *postgres.DB, id uuid.UUID) (Backtest, error) {
	err := db.Gorm.WithContext(ctx).Exec(`UPDATE backtest SET state = 'cancelled', ended_at = clock_timestamp() WHERE id = ? AND state IN ('waiting', 'running')`, id).Error
	if err != nil {
		return Backtest{}, fmt.Errorf("cancel a backtest: %w", err)
	}
	return OneBacktest(ctx, db, id)
}

// take finds a backtest to work on and makes it this process's; nil: there is none.
func (s *Backtests) take(ctx context.Context) (*Backtest, error) {
	var found []Backtest
	err := s.db.Gorm.WithContext(ctx).Raw(`UPDATE backtest SET state = 'running', node = ?, beat_at = clock_timestamp(), done = 0
		WHERE id = (SELECT id FROM backtest WHERE state = 'waiting' OR state = 'running' AND beat_at < clock_timestamp() - ?::interval
			ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *`, s.node, lostAfter).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("look for backtests: %w", err)
	}
	var one *Backtest
	if len(found) > 0 {
		one = &found[0]
	}
	return one, nil
}

// errCancelled says that a backtest is no longer this process's to work on.
var errCancelled = errors.New("the backtest was cancelled")

// beat notes how far a backtest has come.
func (s *Backtests) beat(ctx context.Context, b *Backtest, done, of int) error {
	noted := s.db.Gorm.WithContext(ctx).Exec(`UPDATE backtest SET done = ?, of_leads = ?, beat_at = clock_timestamp() WHERE id = ? AND state = 'running' AND node = ?`,
		done, of, b.ID, s.node)
	if noted.Error != nil {
		return fmt.Errorf("note how far a backtest has come: %w", noted.Error)
	}
	if noted.RowsAffected == 0 {
		return errCancelled
	}
	return nil
}

// finish stores the result, unless the backtest was cancelled.
func (s *Backtests) finish(ctx context.Context, b *Backtest, state, problem string) error {
	if err := s.db.Gorm.WithContext(ctx).Raw(`SELECT clock_timestamp()`).Scan(&b.EndedAt).Error; err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	b.State, b.Problem = state, problem
	err := s.db.Gorm.WithContext(ctx).Model(b).Where("state = ? AND node = ?", BacktestRunning, s.node).
		Select("state", "problem", "ended_at", "sums", "done", "of_leads").Updates(b).Error
	if err != nil {
		return fmt.Errorf("store a backtest: %w", err)
	}
	return nil
}
