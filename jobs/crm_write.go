package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"leadline/internal/crm"
	"leadline/internal/outbox"
)

const (
	crmWriteTimeout = 40 * time.Second
	// crmWriteAttempts counts only trouble with our own database and killed processes: what a CRM answers is a snooze.
	crmWriteAttempts = 1000
)

// crmWriteArgs name a delivery that must be written later.
type crmWriteArgs struct {
	DeliveryID int64  `json:"delivery_id"`
	Connection string `json:"connection"`
}

// Kind implements river.JobArgs; permanent.
func (crmWriteArgs) Kind() string { return "crm_write" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (crmWriteArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueCRM, MaxAttempts: crmWriteAttempts}
}

type crmWriteWorker struct {
	river.WorkerDefaults[crmWriteArgs]
	writer *crm.Writer
}

// Timeout implements river.Worker: the call's hard limit and the time to record its result.
func (*crmWriteWorker) Timeout(*river.Job[crmWriteArgs]) time.Duration { return crmWriteTimeout }

// NextRetry implements river.Worker: our own trouble passes quickly or is known to everybody.
func (*crmWriteWorker) NextRetry(job *river.Job[crmWriteArgs]) time.Time {
	return job.ScheduledAt.Add(time.Duration(min(job.Attempt, 30)) * time.Second)
}

// Work makes the write, completing the job in the transaction that records its result.
func (w *crmWriteWorker) Work(ctx context.Context, job *river.Job[crmWriteArgs]) error {
	ref := outbox.Ref{DeliveryID: job.Args.DeliveryID, Connection: job.Args.Connection}
	later, err := w.writer.WorkOff(ctx, ref, func(tx pgx.Tx) error {
		// What the CRM has answered is recorded even while the process stops.
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](context.WithoutCancel(ctx), tx, job)
		return err
	})
	if err != nil {
		return err
	}
	if later > 0 {
		return river.JobSnooze(later)
	}
	return nil
}
