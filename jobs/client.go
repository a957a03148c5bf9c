// Package jobs is River: the queues, the workers and the periodic jobs. A job only says that something is to be done; what and
// whether is read from the business tables when it runs. Called by main; jobs hold ids, never anything about a person.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"leadline/internal/crm"
	"leadline/internal/drift"
	"leadline/internal/keyring"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
)

// The hot queue and its pickup: with River's defaults a job starts up to half a second late, with these within milliseconds. The
// inserting client's cooldown matters too, so both are the client's own.
const (
	queueCRM      = "crm_write"
	crmWorkers    = 48
	fetchCooldown = time.Millisecond
	fetchPoll     = 100 * time.Millisecond
)

const (
	rescueAfter    = 60 * time.Second
	keepCompleted  = time.Hour
	cancelAllowed  = 10 * time.Second
	softStopAtMost = 15 * time.Second
	schedulerTick  = 5 * time.Second // River's; a job due sooner comes at once and is snoozed to the moment
)

// Options are what a Client needs.
type Options struct {
	DB     *postgres.DB
	Writer *crm.Writer
	Drift  *drift.Service                                                         // sends mails to owners of forms; nil: no job of this kind is worked
	Seal   func(ctx context.Context, plain, aad []byte) (keyring.Envelope, error) // (*keyring.Ring).Envelope; nil: no payload is sealed afterwards
	Now    func() time.Time
	Log    *slog.Logger
}

// Client inserts and works jobs.
type Client struct {
	river *river.Client[pgx.Tx]
	o     Options
}

// New makes a Client that can insert at once; Start lets it work. It tells the writer how to call waiting jobs.
func New(o Options) (*Client, error) {
	c := &Client{o: o}
	workers := river.NewWorkers()
	river.AddWorker(workers, &crmWriteWorker{writer: o.Writer})
	river.AddWorker(workers, &expireLedgerWorker{pool: o.DB.Jobs})
	river.AddWorker(workers, &adoptOrphansWorker{pool: o.DB.Jobs, enqueue: c.Enqueue})
	every := []*river.PeriodicJob{periodic(time.Hour, expireLedgerArgs{}), periodic(5*time.Minute, adoptOrphansArgs{})}
	if o.Seal != nil {
		river.AddWorker(workers, &sealPayloadsWorker{pool: o.DB.Jobs, seal: o.Seal})
		every = append(every, periodic(time.Hour, sealPayloadsArgs{}))
	}
	queues := map[string]river.QueueConfig{
		queueCRM:           {MaxWorkers: crmWorkers, FetchCooldown: fetchCooldown, FetchPollInterval: fetchPoll},
		river.QueueDefault: {MaxWorkers: 2, FetchCooldown: 100 * time.Millisecond, FetchPollInterval: time.Second},
	}
	if o.Drift != nil {
		river.AddWorker(workers, &driftMailWorker{drift: o.Drift})
		queues[queueMail] = river.QueueConfig{MaxWorkers: mailWorkers, FetchCooldown: 100 * time.Millisecond, FetchPollInterval: time.Second}
	}
	made, err := river.NewClient(riverpgxv5.New(o.DB.Jobs), &river.Config{
		Queues:                      queues,
		Workers:                     workers,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: keepCompleted,
		ErrorHandler:                &errorHandler{log: o.Log},
		Logger:                      slog.New(atLeastWarn{o.Log.Handler()}),
		PeriodicJobs:                every,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the job queue: %w", err)
	}
	c.river = made
	o.Writer.WhenBack(c.hurry)
	return c, nil
}

func periodic(every time.Duration, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return args, nil
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// Enqueue starts one CRM job per reference, in the caller's transaction. It works before Start and after Stop.
func (c *Client) Enqueue(ctx context.Context, tx pgx.Tx, refs []outbox.Ref) error {
	params := make([]river.InsertManyParams, len(refs))
	for i, ref := range refs {
		opts := &river.InsertOpts{Priority: 2}
		if ref.Hot {
			opts.Priority = 1
		}
		if ref.After >= schedulerTick {
			opts.ScheduledAt = c.o.Now().Add(ref.After)
		}
		params[i] = river.InsertManyParams{Args: crmWriteArgs{DeliveryID: ref.DeliveryID, Connection: ref.Connection}, InsertOpts: opts}
	}
	if len(params) == 0 {
		return nil
	}
	if _, err := c.river.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(params), err)
	}
	return nil
}

// Start begins to work. It ends with Stop, or when ctx does.
func (c *Client) Start(ctx context.Context) error {
	if err := c.river.Start(ctx); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// Stop lets running jobs finish for a while, then cancels them; what they held is written later by whoever is there.
func (c *Client) Stop(ctx context.Context) error {
	soft, release := context.WithTimeout(ctx, softStopAtMost)
	defer release()
	err := c.river.Stop(soft)
	if err == nil {
		return nil
	}
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	hard, releaseHard := context.WithTimeout(context.WithoutCancel(ctx), cancelAllowed)
	defer releaseHard()
	if err := c.river.StopAndCancel(hard); err != nil {
		return fmt.Errorf("cancel running jobs: %w", err)
	}
	return nil
}

const hurrySQL = `
UPDATE river_job SET state = 'available', scheduled_at = now()
WHERE kind = $1 AND state IN ('available', 'scheduled', 'retryable') AND scheduled_at > now() AND args @> jsonb_build_object('connection', $2::text)`

// hurry calls the waiting jobs of a connection at once. River has no call for this; it fetches by state and time alone.
func (c *Client) hurry(ctx context.Context, connection string) error {
	if _, err := c.o.DB.Jobs.Exec(ctx, hurrySQL, crmWriteArgs{}.Kind(), connection); err != nil {
		return fmt.Errorf("call waiting jobs of %s: %w", connection, err)
	}
	return nil
}

// errorHandler logs what River would retry anyway, with ids alone.
type errorHandler struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (h *errorHandler) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	h.log.Warn("a job failed and will be repeated", "job_kind", job.Kind, "job_id", job.ID, "attempt", job.Attempt, "error", err.Error())
	return nil
}

// HandlePanic implements river.ErrorHandler.
func (h *errorHandler) HandlePanic(_ context.Context, job *rivertype.JobRow, _ any, trace string) *river.ErrorHandlerResult {
	h.log.Error("a job panicked and will be repeated", "job_kind", job.Kind, "job_id", job.ID, "attempt", job.Attempt, "trace", trace)
	return nil
}

// atLeastWarn keeps River's diary of jobs and elections out of the log.
type atLeastWarn struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h atLeastWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}
