package dispatch

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"leadline/internal/lead"
)

// companySQL finds who has an open lead of which company, among the members of pools that want to know. A month back is enough to call
// somebody the company's rep, and bounds what is read.
const companySQL = `
SELECT DISTINCT l.email_domain, r.email FROM rep r JOIN lead l ON l.rep_id = r.id
WHERE r.email = ANY($1) AND l.email_domain = ANY($2) AND l.domain_class = 'business' AND l.stage IN ('claimed', 'contacted')
  AND l.claimed_at > statement_timestamp() - interval '30 days'`

// readCompanies queues the look for reps who have open leads of the companies in a batch. Most batches ask nothing: only pools that keep
// companies with their rep want it, and free mail is no company.
func readCompanies(send *pgx.Batch, batch []*task) {
	of := map[string][]*task{}
	members := map[string]bool{}
	for _, t := range batch {
		if t.facts.EmailDomain == "" || t.facts.DomainClass != lead.DomainBusiness {
			continue
		}
		for _, p := range t.under.table.Chain(t.first) {
			if !p.Sticky {
				continue
			}
			of[t.facts.EmailDomain] = append(of[t.facts.EmailDomain], t)
			for _, m := range p.Members {
				members[m.Rep] = true
			}
		}
	}
	if len(of) == 0 {
		return
	}
	send.Queue(companySQL, slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(of))).Query(func(rows pgx.Rows) error {
		var domain, email string
		_, err := pgx.ForEachRow(rows, []any{&domain, &email}, func() error {
			for _, t := range of[domain] {
				if !slices.Contains(t.company, email) {
					t.company = append(t.company, email)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for the reps of companies: %w", err)
		}
		return nil
	})
}
