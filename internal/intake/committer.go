package intake

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/lead"
)

const (
	statementLimit = 3 * time.Second       // above the server's own statement_timeout: ends only a dead connection
	outageLimit    = 5 * time.Second       // how long a batch waits for the database to come back
	probeEvery     = 50 * time.Millisecond // how often a database that is away is tried
	maxAttempts    = 3                     // of one submission that lost a race or a deadlock
)

// waiting is a submission on its way through a writer.
type waiting struct {
	sub      *lead.Submission // shared with the caller, who may spool it: nobody changes it
	key      string           // what it claims in the ledger
	payload  keyring.Envelope
	done     chan outcome // buffered: a writer never waits for a caller who has left
	since    time.Time    // when it was queued
	attempts int
	lost     bool // a connection broke on which it may have been committed
}

// refusal says that the submission was not stored, or, once that may have happened unheard, that it is not known.
func (it *waiting) refusal(code string, cause error) error {
	if it.lost {
		return unknownOutcome(cause)
	}
	return busy(code, cause)
}

// outcome is what the caller learns. amends: the key is known with other answers of the same person; Accepted is the first.
type outcome struct {
	Accepted
	amends bool
	err    error
}

// writer commits batches on a connection of its own. One goroutine uses it.
type writer struct {
	s     *Service
	conn  *pgx.Conn
	later []*waiting // must not share a batch with the one before: same person or same key
}

func newWriter(s *Service) *writer { return &writer{s: s} }

// run commits until the queue is closed and empty. There is no timer: a batch is whatever arrived while the last one committed.
// ctx ends the admission gate's patience, hard ends everything.
func (w *writer) run(ctx, hard context.Context) {
	defer w.disconnect(hard)
	for {
		if !w.connected(hard) {
			return
		}
		if len(w.later) == 0 {
			first, open := <-w.s.queue
			if !open {
				return
			}
			w.later = append(w.later, first)
			runtime.Gosched() // not a wait: others who were about to send get their turn, and one batch does the work of two
		}
		if !w.admitted(ctx) {
			w.refuse()
			continue
		}
		if batch := w.batch(); len(batch) > 0 {
			w.commit(hard, batch)
		}
	}
}

// connected sees to it that there is a connection; false when ctx ended first. While the database is away nobody waits for us: callers
// are told, and what they sent is spooled.
func (w *writer) connected(ctx context.Context) bool {
	for w.conn == nil {
		if err := w.connect(ctx); err == nil {
			break
		} else if ctx.Err() != nil {
			return false
		}
		pause(ctx, probeEvery)
	}
	return true
}

// admitted holds intake back while dispatch is behind, for a moment; false when it still is.
func (w *writer) admitted(ctx context.Context) bool {
	if w.s.Waiting() <= gateAbove {
		return true
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for start := w.s.Now(); w.s.Waiting() > gateAbove; {
		if ctx.Err() != nil {
			return true
		}
		if w.s.Now().Sub(start) > gateWait {
			return false
		}
		<-tick.C
	}
	return true
}

// refuse answers everybody who waits: dispatch cannot follow.
func (w *writer) refuse() {
	w.drain(queueLength)
	for _, it := range w.later {
		w.answer(it, outcome{err: it.refusal("dispatch_behind", nil)})
	}
	w.later = nil
}

// answer tells a caller what became of its submission, which takes no more room from here on.
func (w *writer) answer(it *waiting, o outcome) {
	w.s.bytes.Add(-int64(len(it.sub.Body)))
	it.done <- o
}

// drain adds what is queued right now to later, up to a limit.
func (w *writer) drain(limit int) {
	for len(w.later) < limit {
		select {
		case it, open := <-w.s.queue:
			if !open {
				return
			}
			w.later = append(w.later, it)
		default:
			return
		}
	}
}

// batch takes what waits, at most maxBatch, with each person and each key once: the second of either must see what the first
// became, so it waits for this writer's next batch. Merging the two here would be wrong when the first turns out to be a replay.
func (w *writer) batch() []*waiting {
	w.drain(maxBatch)
	var (
		batch, later []*waiting
		seen         = make(map[string]bool, 2*len(w.later))
		now, oldest  = w.s.Now(), time.Duration(0)
	)
	for _, it := range w.later {
		waited := now.Sub(it.since)
		if waited > queueLimit {
			w.answer(it, outcome{err: it.refusal("queue_late", nil)})
			continue
		}
		oldest = max(oldest, waited)
		person, key := "p"+string(it.sub.Fingerprint), "k"+it.sub.Form+"\x00"+it.key
		if seen[person] || seen[key] || len(batch) == maxBatch {
			later = append(later, it)
		} else {
			batch = append(batch, it)
		}
		seen[person], seen[key] = true, true
	}
	w.later = later
	w.s.delay.Store(int64(oldest))
	slices.SortFunc(batch, func(a, b *waiting) int {
		return cmp.Or(strings.Compare(a.sub.Form, b.sub.Form), strings.Compare(a.key, b.key))
	})
	return batch
}

// commit makes a batch durable and answers each caller. A batch that fails for one row's sake runs again row by row, so that only
// the culprit fails; one whose connection broke runs again as a whole: keys that come back as taken by ourselves are ours.
func (w *writer) commit(ctx context.Context, batch []*waiting) {
	start := w.s.Now()
	for try := 1; ; try++ {
		err := w.once(ctx, batch)
		switch {
		case err == nil:
			return
		case w.broken(err):
			w.disconnect(ctx)
			for _, it := range batch {
				it.lost = true
			}
			if ctx.Err() != nil || w.s.Now().Sub(start) > outageLimit {
				w.s.Log.ErrorContext(ctx, "intake batch given up", "rows", len(batch), "error", err)
				w.answerAll(batch, unknownOutcome(err))
				return
			}
			pause(ctx, min(time.Duration(try-1)*50*time.Millisecond, 500*time.Millisecond))
		case len(batch) > 1:
			for i := range batch {
				w.commit(ctx, batch[i:i+1])
			}
			return
		case sqlState(err) == "40P01" && try < maxAttempts:
		default:
			w.answer(batch[0], outcome{err: w.culprit(ctx, batch[0], err)})
			return
		}
	}
}

// once runs the statement for a batch, and for rows whose key was taken asks the ledger what it became.
func (w *writer) once(ctx context.Context, batch []*waiting) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	if err := w.reconnected(ctx); err != nil {
		return err
	}
	args, err := columns(batch, w.s.Node, w.s.Persons())
	if err != nil {
		return err
	}
	rows, err := w.conn.Query(ctx, commitStatement, args...)
	if err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	placed, events, err := readStored(rows, len(batch))
	if err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	w.s.outage.over()
	w.s.BatchCommitted(len(batch))
	if events {
		w.s.EventsWritten()
	}
	return w.settle(ctx, batch, placed)
}

// reconnected sees to it that there is a connection: an earlier step of the same batch may have found that it is broken.
func (w *writer) reconnected(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	return w.connect(ctx)
}

// readStored collects what the commit statement returned, by submission. All of it is committed once err is nil.
func readStored(rows pgx.Rows, n int) (placed map[uuid.UUID]stored, events bool, err error) {
	placed = make(map[uuid.UUID]stored, n)
	var r stored
	_, err = pgx.ForEachRow(rows, []any{&r.id, &r.joined, &r.at, &r.events, &r.held}, func() error {
		placed[r.id] = r
		events = events || r.events
		return nil
	})
	return placed, events, err
}

// settle answers the callers of a committed batch.
func (w *writer) settle(ctx context.Context, batch []*waiting, placed map[uuid.UUID]stored) error {
	var (
		known, taken []*waiting
		clean        []uuid.UUID // held leads of people who have now sent something without anything odd
		fresh        int
	)
	for _, it := range batch {
		r, ok := placed[it.sub.ID]
		if !ok {
			taken = append(taken, it)
			continue
		}
		known = append(known, it)
		switch odd := len(it.sub.Arrival.Held) > 0; {
		case r.joined == r.id && !odd:
			fresh++
		case r.joined != r.id && !odd && r.held:
			clean = append(clean, r.joined)
		}
	}
	if fresh > 0 {
		w.s.Committed(fresh) // before the answers: dispatch is what a rep waits for
	}
	w.release(ctx, clean)
	for _, it := range known {
		r := placed[it.sub.ID]
		w.answer(it, outcome{Accepted: Accepted{
			SubmissionID: r.id, LeadID: r.joined, CorrelationID: it.sub.CorrelationID, AcceptedAt: r.at,
		}})
	}
	if len(taken) == 0 {
		return nil
	}
	if err := w.resolve(ctx, taken); err != nil {
		// The rest of the batch is answered; only these few must be asked again.
		if w.broken(err) {
			w.disconnect(ctx)
		}
		w.again(taken, err)
	}
	return nil
}

// again puts submissions into the next batch, a few times.
func (w *writer) again(batch []*waiting, cause error) {
	for _, it := range batch {
		if it.attempts++; it.attempts >= maxAttempts {
			w.answer(it, outcome{err: unknownOutcome(cause)})
			continue
		}
		w.later = append(w.later, it)
	}
}

// resolve decides about submissions whose key was taken. A key never joins two people: somebody else's key is ignored, unless a
// machine client sent it, which is told.
func (w *writer) resolve(ctx context.Context, taken []*waiting) error {
	ledger, err := w.ledger(ctx, taken)
	if err != nil {
		return err
	}
	for _, it := range taken {
		held, found := ledger[it.sub.ID]
		first := Accepted{
			SubmissionID: held.submission, LeadID: held.lead, CorrelationID: held.correlation, Duplicate: true, Replayed: true, AcceptedAt: held.at,
		}
		switch {
		case !found:
			w.again([]*waiting{it}, errors.New("client key vanished"))
		case held.submission == it.sub.ID:
			first.Duplicate, first.Replayed = false, false // the commit whose answer was lost is our own
			if held.lead == it.sub.ID && len(it.sub.Arrival.Held) == 0 {
				w.s.Committed(1)
			} else {
				w.s.EventsWritten()
			}
			w.answer(it, outcome{Accepted: first})
		case it.sub.Arrival.Machine != "" && !held.same(it.sub):
			w.answer(it, outcome{err: keyReused()})
		case !bytes.Equal(held.fingerprint, it.sub.Fingerprint):
			it.key = ownKey(it.sub)
			w.later = append(w.later, it)
		default:
			w.answer(it, outcome{Accepted: first, amends: !bytes.Equal(held.digest, it.sub.Digest)})
		}
	}
	return nil
}

// holder is what the ledger knows about a taken key.
type holder struct {
	submission, lead    uuid.UUID
	fingerprint, digest []byte
	at                  time.Time
	correlation         string
}

func (w *writer) ledger(ctx context.Context, taken []*waiting) (map[uuid.UUID]holder, error) {
	ids, forms, keys := make([][16]byte, len(taken)), make([]string, len(taken)), make([]string, len(taken))
	for i, it := range taken {
		ids[i], forms[i], keys[i] = it.sub.ID, it.sub.Form, it.key
	}
	if err := w.reconnected(ctx); err != nil {
		return nil, err
	}
	rows, err := w.conn.Query(ctx, ledgerStatement, ids, forms, keys)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	out := make(map[uuid.UUID]holder, len(taken))
	var (
		id, submission, joined [16]byte
		h                      holder
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &submission, &h.fingerprint, &h.digest, &joined, &h.at, &h.correlation}, func() error {
		h.submission, h.lead = submission, joined
		h.fingerprint, h.digest = bytes.Clone(h.fingerprint), bytes.Clone(h.digest)
		out[id] = h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return out, nil
}

func (w *writer) connect(ctx context.Context) error {
	conn, err := w.s.DB.Connect(ctx, "leadline-intake")
	if err != nil {
		w.s.outage.refused(err)
		return fmt.Errorf("connect intake writer: %w", err)
	}
	if _, err := conn.Exec(ctx, sessionSettings); err != nil {
		_ = conn.Close(ctx) // it is of no use
		w.s.outage.refused(err)
		return fmt.Errorf("set up intake writer: %w", err)
	}
	w.conn = conn
	w.s.outage.gained()
	return nil
}

func (w *writer) disconnect(ctx context.Context) {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx) // the connection is of no more use, whatever this says
	w.conn = nil
	w.s.outage.lost()
}

// broken tells errors of the connection or of a server that goes away or became a standby, after which a new connection helps.
func (w *writer) broken(err error) bool {
	if w.conn == nil || w.conn.IsClosed() {
		return true
	}
	state := sqlState(err)
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P") || state == "25006"
}

// culprit says what its caller learns about the one row that the database would not take.
func (w *writer) culprit(ctx context.Context, it *waiting, err error) error {
	state := sqlState(err)
	switch {
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"):
		w.s.Log.ErrorContext(ctx, "the database refused a submission that passed our checks", "sqlstate", state)
		f := fault.New(fault.Invalid, "We could not read some of these answers. Remove unusual characters and send it again.")
		f.Code, f.Err = "unreadable", err
		return f
	case state == "55P03":
		return it.refusal(codeLocked, err)
	default:
		w.s.Log.ErrorContext(ctx, "a submission could not be stored", "sqlstate", state, "error", err)
		return it.refusal(codeDatabase, err)
	}
}

// sqlState is the five-character code of a server error; empty for any other.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func (w *writer) answerAll(batch []*waiting, err error) {
	for _, it := range batch {
		w.answer(it, outcome{err: err})
	}
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
