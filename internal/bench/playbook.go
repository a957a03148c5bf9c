package main

import (
	"context"
	"fmt"
	"strings"

	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
)

// benchForm is the form that leads are sent to.
const benchForm = "bench"

// crmSlots is how many calls each server may have in flight: the default would bound the pipeline at 800 writes a second and server.
const crmSlots = 512

// layout says who takes leads: pools, and how many reps each of them has.
type layout struct {
	pools   []benchPool
	members int
}

// benchPool takes the leads of some countries; with a product, only those that ask for it.
type benchPool struct {
	name      string
	countries []string
	product   string
}

// regions are the countries that the generator's people come from, by pool.
func regions() []benchPool {
	return []benchPool{
		{name: "germany", countries: []string{"DE"}},
		{name: "alps", countries: []string{"AT", "CH"}},
		{name: "france", countries: []string{"FR"}},
		{name: "britain", countries: []string{"GB"}},
		{name: fallback, countries: []string{"US"}},
		{name: "canada", countries: []string{"CA"}},
		{name: "brazil", countries: []string{"BR"}},
		{name: "japan", countries: []string{"JP"}},
		{name: "india", countries: []string{"IN"}},
		{name: "australia", countries: []string{"AU"}},
	}
}

// fallback is the pool that takes what no other does; every layout has it.
const fallback = "states"

// usual is the layout of most rows.
func usual() layout { return layout{pools: regions(), members: 5} }

// playbookText routes to pools with turns. The form has no limit for an address, because all leads come from one. Offers
// stay open for longer than a run: who lets offers time out is not what is measured. Without a CRM's address there is no connection.
func playbookText(crm string, l layout) string {
	var b strings.Builder
	b.WriteString("version: 1\nforms:\n  - {slug: " + benchForm + ", name: Bench, intent: high, dedupe_window: 1h, limits: {per_ip: none}}\n")
	b.WriteString("reps:\n")
	for _, pool := range l.pools {
		for i := range l.members {
			fmt.Fprintf(&b, "  - {email: %s, name: %s %d, timezone: UTC}\n", repOf(pool, i), pool.name, i)
		}
	}
	b.WriteString("pools:\n")
	for _, pool := range l.pools {
		fmt.Fprintf(&b, "  - slug: %s\n    strategy: weighted\n    offer: {exclusive: 24h, pool: 24h}\n    members:\n", pool.name)
		for i := range l.members {
			fmt.Fprintf(&b, "      - {rep: %s, weight: %d}\n", repOf(pool, i), i+1)
		}
	}
	b.WriteString("rules:\n")
	for _, pool := range l.pools {
		product := ""
		if pool.product != "" {
			product = ", product: [" + pool.product + "]"
		}
		fmt.Fprintf(&b, "  - {name: %s, when: {country: [%s]%s}, then: {pool: %s}}\n", pool.name, strings.Join(pool.countries, ", "), product, pool.name)
	}
	b.WriteString("  - {name: Everything else, band: default, when: {}, then: {pool: " + fallback + "}}\n")
	if crm != "" {
		b.WriteString("connections:\n  - {slug: crm, kind: webhook, base_url: \"" + crm + "/webhook\", secret: \"env:BENCH_WEBHOOK_SECRET\", slots: " + fmt.Sprint(crmSlots) + "}\n")
	}
	return b.String()
}

func repOf(pool benchPool, i int) string { return fmt.Sprintf("%s%d@example.com", pool.name, i) }

// publish makes the playbook live and all reps available.
func publish(ctx context.Context, db *postgres.DB, crm string, l layout) error {
	cfg, problems := playbook.Parse("bench.yaml", []byte(playbookText(crm, l)))
	if !playbook.Failed(problems) {
		problems = append(problems, playbook.Check(cfg)...)
	}
	if playbook.Failed(problems) {
		return fmt.Errorf("the bench's playbook is wrong: %v", problems)
	}
	if _, _, err := playbook.Apply(ctx, db, cfg, "bench", "", false); err != nil {
		return err
	}
	reps := rep.NewStore(db.Gorm)
	for _, pool := range l.pools {
		for i := range l.members {
			if _, err := reps.SetPresence(ctx, repOf(pool, i), rep.Available, rep.ByAPI, ""); err != nil {
				return fmt.Errorf("make reps available: %w", err)
			}
		}
	}
	return nil
}
