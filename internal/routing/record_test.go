package routing_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/rep"
	"leadline/internal/routing"
)

// BenchmarkRecord is what a stored decision costs over the decision alone, in time and in bytes, in a pool of ten.
func BenchmarkRecord(b *testing.B) {
	pool := &routing.Pool{Slug: "first"}
	now := time.Date(2026, 11, 26, 12, 0, 0, 123456000, time.UTC)
	w := &routing.World{Now: now, People: map[string]*routing.Person{}, Turns: map[string]map[string]routing.Turn{}}
	for i := range 10 {
		email := fmt.Sprintf("rep%d@example.com", i)
		pool.Members = append(pool.Members, routing.Member{Rep: email, Weight: 1})
		seen := now.Add(-time.Second)
		w.People[email] = &routing.Person{Rep: rep.Rep{
			ID: uuid.Must(uuid.NewV7()), Email: email, Active: true, Presence: rep.Available, PresenceBy: rep.ByConsole, ReachableAt: &seen,
			Hours: "Mon-Fri 09:00-17:30", Timezone: "Europe/Berlin",
		}}
	}
	table, _ := routing.Compile(1, []*routing.Pool{pool}, []routing.Rule{{Name: "all", Band: routing.Default, Then: routing.Target{Pool: "first"}}}, nil, nil)
	lead := routing.Case{Facts: routing.Facts{Form: "demo", Intent: "high", Country: "DE", EmailDomain: "example.com", AcceptedAt: now}, New: true}
	b.Run("Place", func(b *testing.B) {
		for b.Loop() {
			routing.Place(table, w, lead)
		}
	})
	b.Run("PlaceAndRecord", func(b *testing.B) {
		b.ReportAllocs()
		size := 0
		for b.Loop() {
			_, record := routing.PlaceAndRecord(table, "0123456789012345678901234567890123456789012345678901234567890123", w, lead)
			text, err := json.Marshal(record)
			if err != nil {
				b.Fatal(err)
			}
			size = len(text)
		}
		b.ReportMetric(float64(size), "bytes/record")
	})
	b.Run("ReadRecord", func(b *testing.B) {
		_, record := routing.PlaceAndRecord(table, "0123456789012345678901234567890123456789012345678901234567890123", w, lead)
		text, err := json.Marshal(record)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := routing.ReadRecord(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
