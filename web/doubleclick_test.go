package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/intake"
	"leadline/web"
)

// peer starts another process, so to say: a second server on the same database. It gives its address.
func (s *site) peer() string {
	s.t.Helper()
	service := intake.New(intake.Options{DB: s.db, Secret: make([]byte, 32), Node: 2, Now: func() time.Time { return time.Now().Add(10 * time.Minute) }, Seal: s.ring.Envelope})
	deps := s.deps
	deps.Handlers.Intake = service
	server, err := web.New(deps)
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 2)
	go func() { done <- service.Run(ctx) }()
	go func() { done <- server.Serve(listener) }()
	s.t.Cleanup(func() {
		s.client.CloseIdleConnections()
		limit, release := context.WithTimeout(context.WithoutCancel(s.t.Context()), 10*time.Second)
		defer release()
		if err := server.Shutdown(limit); err != nil {
			s.t.Error(err)
		}
		stop()
		for range 2 {
			if err := <-done; err != nil {
				s.t.Error(err)
			}
		}
	})
	return "http://" + listener.Addr().String()
}

// TestIntake_ADoubleClickOverTwoServersIsOneLead clicks twice at once, once on each server. Half of the pairs share a key: one of the two
// is told that it came second. The others have two or none, and both are answered like a first.
func TestIntake_ADoubleClickOverTwoServersIsOneLead(t *testing.T) {
	s := setup(t)
	servers := [2]string{s.url, s.peer()}
	pairs := size(500, 10_000)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := worker; i < pairs; i += 16 {
				s.doubleClick(servers, i)
			}
		})
	}
	all.Wait()
	var stored int
	if err := s.db.Jobs.QueryRow(t.Context(), `SELECT count(*) FROM lead`).Scan(&stored); err != nil || stored != pairs {
		t.Errorf("%d leads of %d pairs, %v", stored, pairs, err)
	}
}

// doubleClick is one pair: what its person is told.
func (s *site) doubleClick(servers [2]string, i int) {
	var (
		both    sync.WaitGroup
		answers [2]map[string]any
		status  [2]int
		retried atomic.Bool
	)
	for j, server := range servers {
		both.Go(func() {
			a := visitor(i)
			switch i % 4 {
			case 1:
				a.key += fmt.Sprint("-", j)
			case 3:
				a.key = ""
			}
			for status[j] = http.StatusServiceUnavailable; status[j] == http.StatusServiceUnavailable; { // a machine under load
				res, err := s.client.Do(a.request(server+leads, i%3))
				if err != nil {
					s.t.Errorf("pair %d: %v", i, err)
					return
				}
				answers[j] = nil
				if err := json.NewDecoder(res.Body).Decode(&answers[j]); err != nil {
					s.t.Errorf("pair %d: %v", i, err)
				}
				_ = res.Body.Close()
				if status[j] = res.StatusCode; status[j] == http.StatusServiceUnavailable {
					retried.Store(true)
				}
			}
		})
	}
	both.Wait()
	if retried.Load() {
		return // which of the two came second is not known; that they are one lead is counted by the caller
	}
	first, second := status[0], status[1]
	same := answers[0]["lead_id"] == answers[1]["lead_id"]
	if i%2 == 0 && (!same || first+second != http.StatusCreated+http.StatusOK) || i%2 == 1 && (same || first != http.StatusCreated || second != http.StatusCreated) {
		s.t.Errorf("pair %d: %d %v, %d %v", i, first, answers[0], second, answers[1])
	}
}
