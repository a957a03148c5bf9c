package intake_test

import (
	"context"
	"testing"
	"time"

	"leadline/internal/lead"
)

// TestAccept_IsOutOfReachOfConsoles holds every connection that people's requests may use.
func TestAccept_IsOutOfReachOfConsoles(t *testing.T) {
	b := setup(t, nil)
	first := b.accept(leadRaw(1, key(1)))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range b.db.Console.Config().MaxConns {
		conn, err := b.db.Console.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	for i := range 50 {
		if _, err := b.Accept(ctx, demo, leadRaw(10+i, key(10+i)), lead.Arrival{}); err != nil {
			t.Fatalf("a new lead while all consoles are busy: %v", err)
		}
	}
	corrected := leadRaw(1, key(1))
	corrected.Phone = "+4930901820"
	if got, err := b.Accept(ctx, demo, corrected, lead.Arrival{}); err != nil || got.LeadID != first.LeadID {
		t.Errorf("a correction while all consoles are busy: %+v %v", got, err)
	}
}
