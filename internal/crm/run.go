package crm

import (
	"context"
	"sync"
	"time"

	"leadline/internal/outbox"
)

const (
	tickEvery    = time.Second
	gaugesEvery  = 5 * time.Second
	renewTimeout = time.Second
	// A job that was turned away just before is put to sleep a moment later; the second and third call find it.
	callAgain = 3
)

// Run renews leases, records results and watches the connections until ctx ends. Calls in flight then get a short grace; what
// is not answered by then goes to write-behind, and Run returns when all of that is recorded.
func (w *Writer) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops sync.WaitGroup
	loops.Go(func() { w.renewing(background) })
	loops.Go(func() { w.recorder.Run(background) })
	loops.Go(func() { w.loader.run(background) })
	loops.Go(func() { w.watching(ctx) })

	<-ctx.Done()
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	w.finishCalls()
	stop()
	loops.Wait()
	return nil
}

// finishCalls waits for the calls, at first patiently.
func (w *Writer) finishCalls() {
	done := make(chan struct{})
	go func() {
		w.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(w.o.Limits.Grace):
		w.giveUp()
		<-done
	}
	w.giveUp()
}

// renewing extends all leases held here, in one statement.
func (w *Writer) renewing(ctx context.Context) {
	tick := time.NewTicker(outbox.RenewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ids, tokens := w.leases()
		limited, release := context.WithTimeout(ctx, renewTimeout)
		if err := w.o.Store.Renew(limited, w.o.DB.Jobs, w.o.Node, ids, tokens); err != nil && ctx.Err() == nil {
			w.o.Log.Warn("leases were not renewed", "held", len(ids), "error", err.Error())
		}
		release()
	}
}

func (w *Writer) leases() (ids, tokens []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, token := range w.held {
		ids, tokens = append(ids, id), append(tokens, token)
	}
	return ids, tokens
}

// watching calls waiting jobs when a connection is back, takes up changed settings and shows the gauges.
func (w *Writer) watching(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	gauges := time.NewTicker(gaugesEvery)
	defer gauges.Stop()
	again := make(map[string]int) // connection to how often its jobs are to be called once more
	for {
		select {
		case <-ctx.Done():
			return
		case slug := <-w.back:
			w.o.Log.Info("the CRM connection works again", "connection", slug)
			w.callBack(ctx, slug)
			again[slug] = callAgain
		case <-tick.C:
			for slug, left := range again {
				w.callBack(ctx, slug)
				if again[slug] = left - 1; left == 1 {
					delete(again, slug)
				}
			}
			w.mu.Lock()
			slugs := make([]string, 0, len(w.conns))
			for slug := range w.conns {
				slugs = append(slugs, slug)
			}
			w.mu.Unlock()
			for _, slug := range slugs {
				w.connection(slug)
			}
		case <-gauges.C:
			w.showWaiting(ctx)
		}
	}
}

func (w *Writer) callBack(ctx context.Context, slug string) {
	err := w.o.Store.Hurry(ctx, w.o.DB.Jobs, slug)
	if err == nil && w.hurry != nil {
		err = w.hurry(ctx, slug)
	}
	if err != nil && ctx.Err() == nil {
		w.o.Log.Warn("waiting leads were not called at once", "connection", slug, "error", err.Error())
	}
}

func (w *Writer) showWaiting(ctx context.Context) {
	n, oldest, err := w.o.Store.Waiting(ctx, w.o.DB.Jobs, outbox.CRM)
	if err != nil {
		if ctx.Err() == nil {
			w.o.Log.Warn("waiting CRM writes were not counted", "error", err.Error())
		}
		return
	}
	w.o.Metrics.QueueDepth("crm", n)
	w.o.Metrics.OldestPending("crm", oldest.Seconds())
}
