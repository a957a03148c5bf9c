package notify

import (
	"context"
	"errors"
	"time"

	"leadline/internal/outbox"
)

// poster works off the rows of one connection. Everything in it belongs to the goroutine of run.
type poster struct {
	s    *Service
	slug string
	wake chan struct{}

	settings   outbox.Connection
	channel    Channel // nil: cannot be used
	quietUntil time.Time
	failures   int  // calls in a row that failed
	digested   bool // the last message was a digest: the next is a card, so that hot leads are not all swallowed
}

func (p *poster) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *poster) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := p.turn(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			p.s.o.Log.Warn("chat cards wait", "connection", p.slug, "error", err.Error())
			wait = time.Second
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.wake:
		}
		timer.Stop()
	}
}

// turn makes at most one call. It returns how long nothing can be done; 0: look again at once.
func (p *poster) turn(ctx context.Context) (time.Duration, error) {
	p.configure()
	limits := p.s.o.Limits
	if wait := p.quietUntil.Sub(p.s.o.Now()); wait > 0 || p.channel == nil {
		return max(wait, limits.Poll), nil
	}
	posts, updates, err := p.s.counted(ctx, p.slug)
	if err != nil {
		return 0, err
	}
	wait := time.Hour // until a hint or the service's poll
	if posts > 0 {
		left, err := p.s.pace(ctx, p.paceKey(), limits.PostEvery)
		if err != nil {
			return 0, err
		}
		if left == 0 {
			return 0, p.postNext(ctx, posts)
		}
		wait = min(wait, left)
	}
	if updates > 0 {
		left, err := p.s.pace(ctx, p.paceKey()+" update", limits.UpdateEvery)
		if err != nil {
			return 0, err
		}
		if left == 0 {
			return 0, p.updateNext(ctx)
		}
		wait = min(wait, left)
	}
	return wait, nil
}

func (p *poster) paceKey() string { return p.slug + " " + p.settings.Channel }

// configure takes changed settings into use; a pause ends with them.
func (p *poster) configure() {
	settings := p.s.settings(p.slug)
	if settings == p.settings {
		return
	}
	channel, err := p.s.newChannel(settings)
	p.settings, p.channel, p.quietUntil, p.failures = settings, channel, time.Time{}, 0
	if err != nil {
		p.channel = nil
		p.s.o.Log.Warn("chat connection cannot be used", "connection", p.slug, "reason", err.Error())
	}
}

// postNext posts the most urgent card or, when more wait than the pace can carry, one digest for all but the first few.
func (p *poster) postNext(ctx context.Context, waiting int) error {
	most := p.s.o.Limits.DigestAbove
	if waiting > most && !p.digested {
		p.digested = true
		rows, err := p.s.take(ctx, p.slug, pickDigest, most, 1000)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return p.postDigest(ctx, rows)
		}
	}
	p.digested = false
	rows, err := p.s.take(ctx, p.slug, pickPost, 0, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	return p.postCard(ctx, rows[0])
}

func (p *poster) postDigest(ctx context.Context, rows []taken) error {
	cards := make([]Card, len(rows))
	for i, row := range rows {
		cards[i] = row.card
	}
	started := p.s.o.Now()
	ref, failure := p.call(ctx, func(ctx context.Context) (Ref, error) { return p.channel.PostDigest(ctx, cards) })
	results := make([]outbox.Result, len(rows))
	for i, row := range rows {
		results[i] = p.result(row, outbox.WasMerged, ref, failure)
		// Should the digest have arrived though its answer did not, a second one is better than a look-up per lead.
		results[i].NotSent = true
		results[i].Took = p.s.o.Now().Sub(started)
	}
	return p.record(ctx, results)
}

func (p *poster) postCard(ctx context.Context, row taken) error {
	started := p.s.o.Now()
	var ref Ref
	var failure *Error
	if row.uncertain {
		ref, failure = p.call(ctx, func(ctx context.Context) (Ref, error) {
			return p.channel.Find(ctx, row.LeadID, row.createdAt.Add(-10*time.Second))
		})
		// Not allowed to look: a team told twice is better than a team not told.
		if failure != nil && failure.Class != Pause && failure.Class != Refuse {
			failure.Class = Unknown
			return p.recordOne(ctx, p.result(row, outbox.WasDelivered, "", failure))
		}
		if ref != "" {
			row.Revision = 1 // it shows what it showed then
		}
	}
	if ref == "" {
		if err := p.renew(ctx, row); err != nil {
			return err
		}
		ref, failure = p.call(ctx, func(ctx context.Context) (Ref, error) { return p.channel.Post(ctx, row.card) })
	}
	result := p.result(row, outbox.WasDelivered, ref, failure)
	result.Took = p.s.o.Now().Sub(started)
	return p.recordOne(ctx, result)
}

func (p *poster) updateNext(ctx context.Context) error {
	rows, err := p.s.take(ctx, p.slug, pickUpdate, 0, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	row, started := rows[0], p.s.o.Now()
	_, failure := p.call(ctx, func(ctx context.Context) (Ref, error) {
		return "", p.channel.Update(ctx, Ref(row.RecordID), row.card)
	})
	if failure != nil && failure.Class == Fixed {
		failure = nil // the message stays as it is, which harms nobody
	}
	result := p.result(row, outbox.WasDelivered, "", failure)
	result.Took = p.s.o.Now().Sub(started)
	return p.recordOne(ctx, result)
}

func (p *poster) renew(ctx context.Context, row taken) error {
	return p.s.o.Store.Renew(ctx, p.s.o.DB.Jobs, p.s.o.Node, []int64{row.ID}, []int64{row.Token})
}

// call makes one call with its limit and minds what it says about the connection.
func (p *poster) call(ctx context.Context, f func(context.Context) (Ref, error)) (Ref, *Error) {
	limited, release := context.WithTimeout(ctx, p.s.o.Limits.Call)
	defer release()
	ref, err := f(limited)
	if err == nil {
		p.failures = 0
		return ref, nil
	}
	var failure *Error
	if !errors.As(err, &failure) {
		failure = &Error{Class: Unknown, Reason: "the call failed"}
	}
	p.mind(ctx, failure)
	return "", failure
}

func (p *poster) mind(ctx context.Context, failure *Error) {
	now := p.s.o.Now()
	switch failure.Class {
	case Pause:
		p.quietUntil = now.Add(p.s.o.Limits.PauseRetry)
		p.s.o.Log.Warn("chat connection paused", "connection", p.slug, "reason", failure.Reason)
	case Retry:
		p.quietUntil = now.Add(failure.After)
		if err := p.s.quiet(ctx, p.paceKey(), failure.After); err != nil && ctx.Err() == nil {
			p.s.o.Log.Warn("the other processes were not told to slow down", "connection", p.slug, "error", err.Error())
		}
	case Unknown:
		p.failures = min(p.failures+1, 10)
		p.quietUntil = now.Add(min(p.s.o.Limits.LookAfter<<(p.failures-1), 30*time.Second))
	}
}

// result turns what the channel said into what is recorded.
func (p *poster) result(row taken, success outbox.Outcome, ref Ref, failure *Error) outbox.Result {
	result := outbox.Result{Claimed: row.Claimed, Outcome: success, RecordID: string(ref), Release: true}
	if failure == nil {
		return result
	}
	result.Outcome, result.Reason, result.Wait = outbox.WasFailed, failure.Reason, failure.After
	switch failure.Class {
	case Refuse, Fixed:
		result.Outcome = outbox.WasRefused
	case Pause:
		result.Uncount, result.NotSent = true, true
		result.Reason = "connection paused: " + failure.Reason
	case Retry:
		result.NotSent = true
	case Gone:
		result.Anew, result.Uncount = true, true
	}
	return result
}

func (p *poster) recordOne(ctx context.Context, result outbox.Result) error {
	return p.record(ctx, []outbox.Result{result})
}

// record stores the results even while the process stops. If the database is away the rows' leases run out and the channel is
// asked what it has.
func (p *poster) record(ctx context.Context, results []outbox.Result) error {
	ctx, release := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer release()
	applied, err := p.s.o.Store.Record(ctx, p.s.o.DB.Jobs, results)
	if err != nil {
		return err
	}
	for _, a := range applied {
		p.count(a)
	}
	if p.s.o.OnCommit != nil {
		p.s.o.OnCommit()
	}
	return nil
}

func (p *poster) count(a outbox.Applied) {
	outcome := string(a.Result.Outcome)
	switch {
	case !a.OK:
		outcome = "lost_lease"
	case a.State == outbox.Quarantined:
		outcome = "quarantined"
	}
	p.s.o.Metrics.Delivery("chat", outcome)
	arrived := a.Result.Outcome == outbox.WasDelivered || a.Result.Outcome == outbox.WasMerged
	if a.OK && arrived && a.Result.Claimed.Written == 0 {
		p.s.o.Metrics.Notify(p.settings.Kind, a.SinceAccepted.Seconds())
	}
}
