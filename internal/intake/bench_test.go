package intake_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// benchBody is what a browser would have sent for the lead below.
const benchBody = `{"name":"Anna Berg","email":"anna123456@acme.example","phone":"+49 30 901820","company":"Acme","country":"DE",` +
	`"context":{"page_url":"https://www.example.com/pricing","timezone":"Europe/Berlin"},"submission_id":"0c9f3c5e-4c1e-4b43-9d0e-8d4c8a6f2b7a"}`

// BenchmarkAccept reports leads a second of the whole intake, and single-row inserts a second at the same number of callers in the
// same run, each with a connection of its own: the yardstick that makes results of different machines comparable.
func BenchmarkAccept(b *testing.B) {
	const callers = 64
	run := setup(b, nil)
	perSecond := func(b *testing.B, unit string) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit) }
	var n atomic.Int64
	b.Run("leads", func(b *testing.B) {
		b.SetParallelism(callers / 2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := n.Add(1)
				raw := lead.Raw{
					Name: "Anna Berg", Email: privacy.Text(fmt.Sprintf("anna%d@acme.example", i)), Phone: "+4930901820", Company: "Acme", Country: "DE",
					BodyType: "application/json", Body: privacy.Text(strings.Clone(benchBody)), ClientKey: uuid.NewString(), Context: lead.Context{PageURL: "https://www.example.com/pricing", Timezone: "Europe/Berlin"},
				}
				if _, err := run.Accept(context.Background(), demo, raw, lead.Arrival{}); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, "leads/s")
	})
	b.Run("single-row-inserts", func(b *testing.B) {
		run.exec(`CREATE TABLE IF NOT EXISTS yardstick (id uuid PRIMARY KEY, a text, b text)`)
		b.SetParallelism(callers / 2)
		b.RunParallel(func(pb *testing.PB) {
			ctx := context.Background()
			conn, err := run.db.Connect(ctx, "yardstick")
			if err != nil {
				b.Error(err)
				return
			}
			defer func(conn *pgx.Conn) { _ = conn.Close(ctx) }(conn)
			for pb.Next() {
				id := uuid.Must(uuid.NewV7())
				if _, err := conn.Exec(ctx, `INSERT INTO yardstick VALUES ($1, 'a', 'b')`, [16]byte(id)); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, "inserts/s")
	})
}
