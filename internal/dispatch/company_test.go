package dispatch_test

import (
	"testing"

	"github.com/google/uuid"
)

func TestCompany_StaysWithWhoeverHasAnOpenLeadOfIt(t *testing.T) {
	t.Parallel()
	d := setup(t, "mia", "ben", "eve")
	first := pool("first", long, "mia", "ben", "eve")
	first.Sticky = true
	d.configure(1, first)
	p := d.run()
	from := func(domain, class string) uuid.UUID {
		id := uuid.Must(uuid.NewV7())
		d.exec(`INSERT INTO lead (id, correlation_id, form, intent, email_domain, domain_class, node, dispatch_lease)
			VALUES ($1::uuid, $1::uuid::text, 'demo', 'high', $2, $3, $4, clock_timestamp() + interval '5 seconds')`, id, domain, class, p.node.ID())
		p.Wake(1)
		return id
	}
	one := from("acme.example", "business")
	d.reaches(one, "turn:first:mia open")
	d.take(p, one, "mia")
	free := from("mail.example", "free")
	d.reaches(free, "turn:first:ben open")
	d.take(p, free, "ben")
	d.reaches(from("mail.example", "free"), "turn:first:eve open")
	for range 3 {
		d.reaches(from("acme.example", "business"), "turn:first:mia open")
	}
	d.reaches(from("other.example", "business"), "turn:first:ben open")
	d.exec(`UPDATE lead SET stage = 'disqualified' WHERE id = $1`, one)
	d.reaches(from("acme.example", "business"), "turn:first:eve open")
}
