// Package intake makes submissions durable: it decides whether one is new, a retry or a repeat of the same person, and commits all
// that wait in one statement (group commit). Nobody is told about a lead before its transaction has committed.
//
// It assumes a migrated database and forms that the caller has looked up. handlers/intake.go calls Accept, Amend and Status; main
// owns Run. Routing, the CRM and the consoles are none of its business: a committed lead is "new" with a dispatch lease.
package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/postgres"
)

// Limits of the capture path (contract section 8 and the figures behind them).
const (
	writers     = 4
	maxBatch    = 128
	queueLength = 4096
	gateAbove   = 512
	gateWait    = 250 * time.Millisecond
	callerLimit = 2 * time.Second
	drainLimit  = 5 * time.Second
	retryAfter  = time.Second
)

// Options are what a Service needs. DB, Secret, Now and Seal are required; every other func may be nil.
type Options struct {
	DB     *postgres.DB
	Secret []byte // keys fingerprints and receipts; the same for all processes of one database
	Node   int64  // stamped on each lead as the holder of its dispatch lease
	Now    func() time.Time
	NewID  func() uuid.UUID // UUIDv7 by default
	Log    *slog.Logger

	// Seal puts what was sent under a key of its own: (*keyring.Ring).Envelope. Without it, and when it fails, nothing is taken.
	Seal func(ctx context.Context, plain, aad []byte) (keyring.Envelope, error)

	Waiting        func() int  // leads of this process that wait for dispatch: the admission gate
	Committed      func(n int) // after each batch, with the number of new leads: wakes dispatch
	BatchCommitted func(n int) // after each batch, with its size: metrics
	EventsWritten  func()      // after each commit that wrote events: wakes the live stream

	// Amended runs inside the transaction that changed a lead's answers, before its events are written; what it returns, if
	// anything, runs after the commit. It is where the CRM learns of the change.
	Amended func(ctx context.Context, tx pgx.Tx, leadID uuid.UUID) (committed func(), err error)
}

// Service takes submissions. Accept, Amend and Status may be called from many goroutines; Run once.
type Service struct {
	Options
	queue chan *waiting
	turns turns

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool
}

// New makes a Service. Nothing is stored until Run runs.
func New(o Options) *Service {
	if o.NewID == nil {
		o.NewID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Waiting == nil {
		o.Waiting = func() int { return 0 }
	}
	if o.Committed == nil {
		o.Committed = func(int) {}
	}
	if o.BatchCommitted == nil {
		o.BatchCommitted = func(int) {}
	}
	if o.EventsWritten == nil {
		o.EventsWritten = func() {}
	}
	return &Service{Options: o, queue: make(chan *waiting, queueLength)}
}

// Run owns the writers. It returns after ctx ends and what was queued has been committed or answered, at the latest some
// seconds later when the database is away; from then on Accept answers Unavailable.
func (s *Service) Run(ctx context.Context) error {
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() { newWriter(s).run(ctx, hard) })
	}
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	timer := time.AfterFunc(drainLimit, stop)
	defer timer.Stop()
	all.Wait()
	return nil
}

// Accepted says what became of a submission. It is durable.
type Accepted struct {
	SubmissionID  uuid.UUID // what the visitor is told as lead_id: own to this submission (to its first sending, for a replay)
	LeadID        uuid.UUID // the lead it made or joined
	CorrelationID string
	Duplicate     bool // a replay of the same key
	AcceptedAt    time.Time
}

// Accept normalises a submission and makes it durable. arrival is what the door found out about it. Errors are faults: Invalid for wrong fields; Unavailable when it was not
// stored, or (Code "unknown_outcome") when that is not known: the same key may be sent again, it counts once.
func (s *Service) Accept(ctx context.Context, form *lead.Form, raw lead.Raw, arrival lead.Arrival) (Accepted, error) {
	sub, err := lead.Normalise(form, raw)
	if err != nil {
		return Accepted{}, err
	}
	sub.Arrival = arrival
	sub.ID = s.NewID()
	if sub.CorrelationID == "" {
		sub.CorrelationID = sub.ID.String()
	}
	sub.Fingerprint = lead.PersonFingerprint(s.Secret, form.Slug, sub.Contact.Email.Plain(), sub.Contact.Phone.Plain())
	sub.Digest = lead.BusinessDigest(&sub)
	return s.store(ctx, &sub)
}

// store queues a submission and waits for its outcome, no longer than a visitor would.
func (s *Service) store(ctx context.Context, sub *lead.Submission) (Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	o, err := s.queued(ctx, sub)
	if err != nil {
		return Accepted{}, err
	}
	if o.amends {
		return s.correct(ctx, sub, o.Accepted)
	}
	return o.Accepted, o.err
}

// queued passes a submission through the queue, when it is this person's turn.
func (s *Service) queued(ctx context.Context, sub *lead.Submission) (outcome, error) {
	done, err := s.turns.take(ctx, sub.Fingerprint)
	if err != nil {
		return outcome{}, err
	}
	defer done()
	payload, err := s.sealed(ctx, sub.ID, sub, uuid.Nil) // here, where callers work side by side: a writer has better things to do
	if err != nil {
		return outcome{}, err
	}
	w := &waiting{sub: sub, payload: payload, done: make(chan outcome, 1)}
	if err := s.enqueue(w); err != nil {
		return outcome{}, err
	}
	select {
	case o := <-w.done:
		return o, nil
	case <-ctx.Done():
		return outcome{}, unknownOutcome(ctx.Err())
	}
}

// enqueue never blocks: a full queue means that the database is behind, and waiting would only hide it.
func (s *Service) enqueue(w *waiting) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return busy("stopping", nil)
	}
	select {
	case s.queue <- w:
		return nil
	default:
		return busy("queue_full", nil)
	}
}

// busy says that the submission was not stored.
func busy(code string, cause error) *fault.Error {
	f := fault.Wrap(fault.Unavailable, cause, "We could not take this right now. Send it again in a moment.")
	f.Code, f.RetryAfter = code, retryAfter
	return f
}

// unknownOutcome says that the submission may or may not be stored.
func unknownOutcome(cause error) *fault.Error {
	f := fault.Wrap(fault.Unavailable, cause, "We do not know yet if this arrived. Send it again with the same key; it counts once.")
	f.Code, f.RetryAfter = "unknown_outcome", retryAfter
	return f
}
