package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"leadline/internal/drift"
)

// Mail has a queue of its own: a mail server that answers slowly keeps nothing else waiting.
const (
	queueMail   = "mail"
	mailWorkers = 2
	mailTimeout = 50 * time.Second
	// mailAttempts counts only trouble with our own database and killed processes: what a mail server answers is a snooze.
	mailAttempts = 100
)

// driftMailArgs name a mail that tells an owner of drift.
type driftMailArgs struct {
	MailID int64 `json:"mail_id"`
}

// Kind implements river.JobArgs; permanent.
func (driftMailArgs) Kind() string { return "drift_mail" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (driftMailArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueMail, MaxAttempts: mailAttempts}
}

type driftMailWorker struct {
	river.WorkerDefaults[driftMailArgs]
	drift *drift.Service
}

// Timeout implements river.Worker. Below the time after which a job counts as stuck: no mail is sent by two workers at once.
func (*driftMailWorker) Timeout(*river.Job[driftMailArgs]) time.Duration { return mailTimeout }

// NextRetry implements river.Worker: our own trouble passes quickly or is known to everybody.
func (*driftMailWorker) NextRetry(job *river.Job[driftMailArgs]) time.Time {
	return job.ScheduledAt.Add(time.Duration(min(job.Attempt, 30)) * time.Second)
}

// Work sends the mail, or waits as long as the mail server's answer makes sensible.
func (w *driftMailWorker) Work(ctx context.Context, job *river.Job[driftMailArgs]) error {
	later, err := w.drift.Send(ctx, job.Args.MailID)
	if err != nil {
		return err
	}
	if later > 0 {
		return river.JobSnooze(later)
	}
	return nil
}

// EnqueueDriftMail starts the job that sends a mail, in the caller's transaction.
func (c *Client) EnqueueDriftMail(ctx context.Context, tx pgx.Tx, mailID int64) error {
	if _, err := c.river.InsertTx(ctx, tx, driftMailArgs{MailID: mailID}, nil); err != nil {
		return fmt.Errorf("insert the job of mail %d: %w", mailID, err)
	}
	return nil
}
