package crm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"leadline/internal/failpoint"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/postgres"
	"leadline/internal/telemetry"
)

// Options are what a Writer needs. Limits and Metrics may be left out.
type Options struct {
	DB          *postgres.DB
	Store       *outbox.Store
	Node        int64
	Connections func() []outbox.Connection // the live configuration
	HTTP        *outbound.Client
	Limits      Limits
	Metrics     *telemetry.Metrics
	Now         func() time.Time
	Log         *slog.Logger
	OnCommit    func() // events were written; may be nil
}

// Writer makes the CRM calls of this process. Its goroutines are those of the calls and what Run starts; all end with Run.
type Writer struct {
	o        Options
	loader   loader
	recorder *outbox.Recorder
	calls    sync.WaitGroup
	callCtx  context.Context // ends when calls must be given up
	giveUp   context.CancelFunc
	behind   *behindRecorder
	back     chan string
	next     chan outbox.Claimed // to a goroutine that has time

	mu       sync.Mutex
	stopping bool
	conns    map[string]*connection
	held     map[int64]int64 // delivery to token: leases to renew
	hurry    func(ctx context.Context, connection string) error
}

// idleWriter is how long a goroutine waits for another write.
const idleWriter = 10 * time.Second

// NewWriter makes a Writer. Submit may be called before Run; results are recorded once Run runs.
func NewWriter(o Options) *Writer {
	o.Limits = o.Limits.withDefaults()
	w := &Writer{
		o: o, loader: loader{db: o.DB.Path, wake: make(chan struct{}, 1)}, conns: make(map[string]*connection), held: make(map[int64]int64),
		back: make(chan string, 64), next: make(chan outbox.Claimed),
	}
	w.callCtx, w.giveUp = context.WithCancel(context.Background())
	w.behind = newBehind(o.DB.Jobs, o.Store)
	w.recorder = outbox.NewRecorder(outbox.RecorderOptions{
		Pool: o.DB.Path, Store: o.Store, After: w.after, OnCommit: o.OnCommit, Log: o.Log,
	})
	return w
}

// WhenBack sets what calls waiting jobs of a connection at once when it works again. Set it before Run.
func (w *Writer) WhenBack(hurry func(ctx context.Context, connection string) error) { w.hurry = hurry }

// Submit takes deliveries whose lease this process holds; it never blocks. Those for other destinations are left out. Each is
// written at once, waits for a slot at most as long as the soft limit, or is handed to write-behind unsent. After Run has ended
// nothing is taken: the leases of a stopped process are taken over.
func (w *Writer) Submit(claimed []outbox.Claimed) {
	for _, c := range claimed {
		if c.Destination != outbox.CRM || !w.hold(c) {
			continue
		}
		select {
		case w.next <- c:
		default:
			go w.writeAll(c)
		}
	}
}

// writeAll makes a write, and then those of others for as long as they come: a goroutine that has made a call before has its stack
// already. Nobody waits for it: it holds nothing while it is idle.
func (w *Writer) writeAll(c outbox.Claimed) {
	w.writeFresh(c)
	idle := time.NewTimer(idleWriter)
	defer idle.Stop()
	for {
		select {
		case c := <-w.next:
			w.writeFresh(c)
			idle.Reset(idleWriter)
		case <-idle.C:
			return
		case <-w.callCtx.Done():
			return
		}
	}
}

// hold notes a lease to renew and counts the goroutine that works on it.
func (w *Writer) hold(c outbox.Claimed) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return false
	}
	w.held[c.ID] = c.Token
	w.calls.Add(1)
	return true
}

// letGo ends the renewal of a lease, unless the row was claimed again by this process since.
func (w *Writer) letGo(c outbox.Claimed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[c.ID] == c.Token {
		delete(w.held, c.ID)
	}
}

// writeFresh is the fast path: one attempt, no retry.
func (w *Writer) writeFresh(c outbox.Claimed) {
	defer w.calls.Done()
	kind := fresh
	if c.Hot {
		kind = hot
	}
	conn := w.connection(c.Connection)
	p, no := conn.enter(w.callCtx, kind, conn.patience())
	if no != nil {
		result := outbox.Result{Claimed: c, Outcome: outbox.WasFailed, Reason: no.reason, Uncount: true, NotSent: c.Attempts == 0, Job: true}
		if no.wait >= wholeMost/2 {
			result.Wait = no.wait // the connection is away: a job that came at once would only be sent away
		}
		w.recorder.Add(result)
		return
	}
	result := w.call(w.callCtx, p, c, true)
	result.Job = true
	w.recorder.Add(result)
}

// call makes one call under its pass. With provisional the row is recorded as saving once the soft limit has passed.
func (w *Writer) call(ctx context.Context, p *pass, c outbox.Claimed, provisional bool) outbox.Result {
	data, err := w.loader.load(ctx, c.LeadID)
	if err != nil {
		p.drop()
		return unreadable(c, err)
	}
	client, soft, hang := p.begin()
	if client == nil {
		p.drop()
		return outbox.Result{Claimed: c, Outcome: outbox.WasFailed, Reason: "the connection has just changed", Uncount: true}
	}
	slow := w.slowNotice(c, provisional, soft)
	hanging := time.AfterFunc(hang, p.hang)
	limited, release := context.WithTimeout(ctx, w.o.Limits.Hard)
	record, err := client.Write(failpoint.WhenSent(limited, failpoint.Called), Write{
		ID: writeID(c), Update: c.Written > 0, RecordID: c.RecordID, Lead: data.lead, Contact: data.contact, Owner: data.owner,
	})
	failpoint.At(failpoint.Replied)
	release()
	hanging.Stop()
	slow.stop()

	var failure *Error
	if err != nil && !errors.As(err, &failure) {
		failure = &Error{Class: Unknown, Reason: "the call failed", Err: err}
	}
	if failure != nil && ctx.Err() != nil {
		p.drop() // we stopped it ourselves: that says nothing about the other side
		return outbox.Result{Claimed: c, Outcome: outbox.WasFailed, Reason: "stopped while waiting for the answer", Uncount: true}
	}
	took := p.done(c.ID, failure)
	result := w.resultOf(p.conn, c, record, failure)
	result.Took = took
	return result
}

// writeID names a write: the delivery and the revision it was first sent with. The lead's id keeps it unique between installations.
func writeID(c outbox.Claimed) string {
	return fmt.Sprintf("msg_%x_%d_%d", c.LeadID[:], c.ID, c.Revision)
}

func unreadable(c outbox.Claimed, err error) outbox.Result {
	if errors.Is(err, errNoLead) {
		return outbox.Result{Claimed: c, Outcome: outbox.WasRefused, Reason: err.Error()}
	}
	return outbox.Result{
		Claimed: c, Outcome: outbox.WasFailed, Reason: "the lead could not be read", Wait: jitter(100*time.Millisecond, time.Second), Uncount: true,
	}
}

func (w *Writer) resultOf(conn *connection, c outbox.Claimed, record Record, failure *Error) outbox.Result {
	if failure == nil {
		return outbox.Result{Claimed: c, Outcome: outbox.WasDelivered, RecordID: record.ID, URL: record.URL}
	}
	result := outbox.Result{Claimed: c, Outcome: outbox.WasFailed, Reason: failure.Reason}
	switch failure.Class {
	case Refuse:
		result.Outcome = outbox.WasRefused
	case Pause:
		result.Reason, result.Uncount = "connection paused: "+failure.Reason, true
		result.Wait = jitter(0, time.Second)
	case Throttle:
		result.Uncount = true
		result.Wait = max(failure.After, w.o.Limits.backoff(c.Attempts, false)) + jitter(0, 500*time.Millisecond)
	default:
		result.Wait = max(failure.After, w.o.Limits.backoff(c.Attempts, conn.failingAsAWhole()))
	}
	return result
}

// notice records a slow call once, and never after the call's own result.
type notice struct {
	mu    sync.Mutex
	over  bool
	timer *time.Timer
}

func (w *Writer) slowNotice(c outbox.Claimed, wanted bool, soft time.Duration) *notice {
	n := &notice{}
	if !wanted {
		return n
	}
	n.timer = time.AfterFunc(soft, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.over {
			w.recorder.Add(outbox.Result{Claimed: c, Outcome: outbox.WasSlow, Reason: "the CRM is slow"})
		}
	})
	return n
}

func (n *notice) stop() {
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
	}
}

// after runs once results are in the database: leases end, and what wants another write goes on.
func (w *Writer) after(applied []outbox.Applied) {
	for _, a := range applied {
		if a.Result.Outcome == outbox.WasSlow {
			if a.OK {
				w.count(a)
			}
			continue
		}
		w.letGo(a.Result.Claimed)
		w.count(a)
		if a.Next != nil {
			w.Submit([]outbox.Claimed{*a.Next})
		}
	}
}

func (w *Writer) count(a outbox.Applied) {
	if !a.OK {
		w.o.Metrics.Delivery("crm", "lost_lease")
		return
	}
	outcome := string(a.Result.Outcome)
	if a.State == outbox.Quarantined {
		outcome = "quarantined"
	}
	w.o.Metrics.Delivery("crm", outcome)
	if a.Result.Outcome == outbox.WasDelivered && a.Result.Claimed.Written == 0 {
		w.o.Metrics.SubmitToCRM(a.Result.Claimed.Connection, a.SinceAccepted.Seconds())
	}
}

// connection gives the connection with its current settings.
func (w *Writer) connection(slug string) *connection {
	settings := outbox.Connection{Slug: slug, Missing: "the connection is no longer in the configuration"}
	for _, c := range w.o.Connections() {
		if c.Slug == slug {
			settings = c
		}
	}
	w.mu.Lock()
	conn := w.conns[slug]
	if conn == nil {
		conn = &connection{
			slug: slug, limits: w.o.Limits, now: w.o.Now, metrics: w.o.Metrics, back: w.isBack,
			slots: newSlots(w.o.Limits.Slots), breaker: breaker{least: w.o.Limits.BreakerCalls},
		}
		w.conns[slug] = conn
	}
	w.mu.Unlock()
	conn.configure(settings, func() (Client, error) { return newClient(settings, w.o.HTTP, w.o.Now) })
	return conn
}

// newClient makes the vendor's client of a connection.
func newClient(c outbox.Connection, client *outbound.Client, now func() time.Time) (Client, error) {
	switch {
	case c.Missing != "":
		return nil, errors.New(c.Missing)
	case c.Kind == "webhook":
		return newWebhook(c, client, now)
	}
	return nil, fmt.Errorf("there is no CRM of kind %q", c.Kind)
}

// configure takes new settings into use; a connection that was paused starts afresh with them.
func (c *connection) configure(settings outbox.Connection, build func() (Client, error)) {
	c.mu.Lock()
	if c.settings == settings {
		c.mu.Unlock()
		return
	}
	wasPaused := c.paused
	client, err := build()
	c.settings, c.client, c.paused, c.pauseReason = settings, client, false, ""
	c.slots.allow(orElse(settings.Slots, c.limits.Slots))
	if err != nil {
		c.client = nil
		c.pause(err.Error(), c.now())
	}
	isBack := wasPaused && !c.paused
	c.show()
	c.mu.Unlock()
	if isBack {
		c.back(c.slug)
	}
}

// isBack leads from a connection's success to its waiting jobs, without making the call wait.
func (w *Writer) isBack(slug string) {
	select {
	case w.back <- slug:
	default: // it has been said often enough; due times bring the rest
	}
}
