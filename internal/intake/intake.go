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
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/failpoint"
	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/spool"
	"leadline/internal/telemetry"
)

// Limits of the capture path (contract section 8 and the figures behind them).
const (
	writers      = 4
	maxBatch     = 128
	queueLength  = 4096
	gateAbove    = 512
	gateWait     = 250 * time.Millisecond
	callerLimit  = 2 * time.Second
	queueLimit   = time.Second      // a submission that waited longer for its batch is refused while its sender still listens
	amendLimit   = 10 * time.Second // above what its statements may take together: ends only a dead connection
	mostAmending = 8                // half of the connections that amendments share with dispatch and the CRM's leases
	queueBytes   = 64 << 20         // of what was sent, waiting or on its way
	drainLimit   = 5 * time.Second
	retryAfter   = time.Second
)

// Codes of Unavailable faults: why a submission was not acknowledged.
const (
	codeUnknown  = "unknown_outcome" // it may be stored
	codeAway     = "database_away"
	codeDatabase = "database"
	codeLocked   = "locked"
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

	Persons        func() bool // whether to note who sends what, whatever the form: only where something asks for it
	Waiting        func() int  // leads of this process that wait for dispatch: the admission gate
	Committed      func(n int) // after each batch, with the number of new leads: wakes dispatch
	BatchCommitted func(n int) // after each batch, with its size: metrics
	EventsWritten  func()      // after each commit that wrote events: wakes the live stream

	Spool   *spool.Spool // where submissions go that the database cannot take; nil: nowhere, their senders alone keep them
	Metrics *telemetry.Metrics

	// Erased tells whether a person was erased after a moment; what they had sent before, and was spooled, is then dropped. May be nil.
	Erased func(ctx context.Context, contact *lead.Contact, sent time.Time) (bool, error)

	// Amended runs inside the transaction that changed a lead's answers, before its events are written; what it returns, if
	// anything, runs after the commit. It is where the CRM learns of the change.
	Amended func(ctx context.Context, tx pgx.Tx, leadID uuid.UUID) (committed func(), err error)
}

// Service takes submissions. Accept, Amend and Status may be called from many goroutines; Run once.
type Service struct {
	Options
	queue    chan *waiting
	turns    turns
	outage   *outage
	promises promises
	amending chan struct{} // holds one for each amendment that may use a connection
	bytes    atomic.Int64  // of what was sent, waiting or on its way
	delay    atomic.Int64  // nanoseconds that the oldest of the last batch had waited

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
	if o.Persons == nil {
		o.Persons = func() bool { return false }
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
	return &Service{Options: o, queue: make(chan *waiting, queueLength), outage: newOutage(), amending: make(chan struct{}, mostAmending)}
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
	if s.Spool != nil {
		all.Go(func() { s.lookAfterSpool(ctx) })
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
	Duplicate     bool // no new lead: a replay of the same key or, for a machine client, a person whom it has sent already
	Replayed      bool // a replay of the same key
	AcceptedAt    time.Time
}

// Accept normalises a submission and makes it durable. arrival is what the door found out about it. Errors are faults: Invalid for wrong fields; Unavailable when it was not
// stored, or (Code "unknown_outcome") when that is not known: the same key may be sent again, it counts once.
func (s *Service) Accept(ctx context.Context, form *lead.Form, raw lead.Raw, arrival lead.Arrival) (Accepted, error) {
	sub, err := s.identified(form, raw, arrival)
	if err != nil {
		return Accepted{}, err
	}
	if arrival.Machine != "" {
		return s.acceptSigned(ctx, &sub)
	}
	return s.store(ctx, &sub)
}

// identified is a submission in its final form, with all by which it is known again.
func (s *Service) identified(form *lead.Form, raw lead.Raw, arrival lead.Arrival) (lead.Submission, error) {
	sub, err := lead.Normalise(form, raw)
	if err != nil {
		return lead.Submission{}, err
	}
	failpoint.At(failpoint.Validated)
	sub.Arrival = arrival
	sub.ID = s.NewID()
	if sub.CorrelationID == "" {
		sub.CorrelationID = sub.ID.String()
	}
	email, phone := sub.Contact.Email.Plain(), sub.Contact.Phone.Plain()
	sub.Fingerprint = lead.PersonFingerprint(s.Secret, form.Slug, email, phone)
	sub.Person = lead.PersonKey(s.Secret, email, phone)
	sub.Digest = lead.BusinessDigest(&sub)
	return sub, nil
}

// store makes a submission durable, and applies what it corrects. What the database cannot take is spooled.
func (s *Service) store(ctx context.Context, sub *lead.Submission) (Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, callerLimit)
	defer cancel()
	done, err := s.commit(ctx, sub)
	if err == nil && done.amends {
		done.Accepted, err = s.correct(ctx, sub, done.Accepted)
	}
	if err != nil {
		return Accepted{}, s.spooled(ctx, sub, err)
	}
	return done.Accepted, nil
}

// commit queues a submission when it is this person's turn and waits for its outcome, no longer than ctx lives and the database is there.
func (s *Service) commit(ctx context.Context, sub *lead.Submission) (outcome, error) {
	leave, err := s.turns.take(ctx, sub.Fingerprint)
	if err != nil {
		return outcome{}, err
	}
	defer leave()
	payload, err := s.sealed(ctx, sub.ID, sub, uuid.Nil) // here, where callers work side by side: a writer has better things to do
	if err != nil {
		return outcome{}, err
	}
	w := &waiting{sub: sub, key: ledgerKey(sub), payload: payload, done: make(chan outcome, 1), since: s.Now()}
	away := s.outage.start()
	if err := s.enqueue(w, away); err != nil {
		return outcome{}, err
	}
	if failpoint.On(failpoint.AckEarly) {
		return outcome{Accepted: Accepted{SubmissionID: sub.ID, LeadID: sub.ID, CorrelationID: sub.CorrelationID, AcceptedAt: s.Now()}}, nil
	}
	select {
	case o := <-w.done:
		return o, o.err
	case <-away:
		return outcome{}, databaseAway(nil)
	case <-ctx.Done():
		return outcome{}, unknownOutcome(ctx.Err())
	}
}

// enqueue never blocks: a full queue means that the database is behind, and waiting would only hide it.
func (s *Service) enqueue(w *waiting, away <-chan struct{}) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return busy("stopping", nil)
	}
	select {
	case <-away:
		return databaseAway(nil)
	default:
	}
	size := int64(len(w.sub.Body))
	if s.bytes.Add(size) > queueBytes {
		s.bytes.Add(-size)
		return busy("queue_full", nil)
	}
	select {
	case s.queue <- w:
		return nil
	default:
		s.bytes.Add(-size)
		return busy("queue_full", nil)
	}
}

// Delay tells how long the oldest submission of the last batch had waited for its turn: how far behind intake is.
func (s *Service) Delay() time.Duration {
	if len(s.queue) == 0 {
		return 0
	}
	return time.Duration(s.delay.Load())
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
	f.Code, f.RetryAfter = codeUnknown, retryAfter
	return f
}

// databaseAway says that a submission was not stored as far as we know, and cannot be now.
func databaseAway(cause error) *fault.Error {
	f := unknownOutcome(cause)
	f.Code = codeAway
	return f
}
