package jobs_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/outbox"
)

// TestCRM_WhatManyJobsLearnAtOnceIsRecordedTogether: a backlog that is written off must not hold up new leads, which take turns with it at
// the event stream. And a job that cannot be completed costs the others nothing.
func TestCRM_WhatManyJobsLearnAtOnceIsRecordedTogether(t *testing.T) {
	t.Parallel()
	const n = 30
	for name, bad := range map[string]int{"all well": -1, "one cannot be completed": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			all := make(chan struct{})
			w := newWorld(t, func(c call) reply {
				if calls.Add(1) == n {
					close(all)
				}
				<-all // so that all answers come at once
				return accept(c)
			})
			limits := quick()
			limits.Hard *= 20 // the slowest of them must still be there
			limits.HangAfter *= 20
			p := w.start(1, limits)
			ids, claimed := w.leads(p, n)
			w.count(`WITH freed AS (UPDATE delivery SET lease_until = NULL, node = NULL RETURNING id) SELECT count(*) FROM freed`)
			var completed atomic.Int64
			refused := errors.New("the job is not ours")
			errs := make([]error, n)
			var workers sync.WaitGroup
			for i, c := range claimed {
				workers.Go(func() {
					_, errs[i] = p.writer.WorkOff(t.Context(), outbox.Ref{DeliveryID: c.ID, Connection: "crm"}, func(pgx.Tx) error {
						if i == bad {
							return refused
						}
						completed.Add(1)
						return nil
					})
				})
			}
			workers.Wait()
			delivered, left := n, []uuid.UUID(nil)
			for i, err := range errs {
				if i == bad {
					delivered--
					left = append(left, claimed[i].LeadID)
					if !errors.Is(err, refused) {
						t.Errorf("the bad job: %v", err)
					}
				} else if err != nil {
					t.Errorf("job %d: %v", i, err)
				}
			}
			if got := w.count(`SELECT count(*) FROM delivery WHERE state = 'delivered'`); got != delivered || int(completed.Load()) < delivered {
				t.Errorf("%d of %d recorded, %d completed", got, delivered, completed.Load())
			}
			if together := w.count(`SELECT count(DISTINCT xmin::text) FROM delivery`); bad < 0 && together > n/2 {
				t.Errorf("%d transactions for %d results", together, n)
			}
			if len(left) == 0 {
				w.checkWrites(ids)
			}
		})
	}
}
