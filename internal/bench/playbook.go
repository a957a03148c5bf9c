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

// members is the number of reps of each pool.
const members = 5

// pools divide the countries that the generator's people come from.
func pools() map[string][]string {
	return map[string][]string{
		"dach": {"DE", "AT", "CH"}, "france": {"FR"}, "britain": {"GB"}, "states": {"US"}, "canada": {"CA"}, "brazil": {"BR"}, "japan": {"JP"},
		"india": {"IN"}, "australia": {"AU"},
	}
}

// playbookText routes by country to pools with turns. The form has no limit for an address, because all leads come from one. Offers
// stay open for longer than a run: who lets offers time out is not what is measured. Without a CRM's address there is no connection.
func playbookText(crm string) string {
	var b strings.Builder
	b.WriteString("version: 1\nforms:\n  - {slug: " + benchForm + ", name: Bench, intent: high, dedupe_window: 1h, limits: {per_ip: none}}\n")
	b.WriteString("reps:\n")
	for pool := range pools() {
		for i := range members {
			fmt.Fprintf(&b, "  - {email: %s, name: %s %d, timezone: UTC}\n", repOf(pool, i), pool, i)
		}
	}
	b.WriteString("pools:\n")
	for pool := range pools() {
		fmt.Fprintf(&b, "  - slug: %s\n    strategy: weighted\n    offer: {exclusive: 24h, pool: 24h}\n    members:\n", pool)
		for i := range members {
			fmt.Fprintf(&b, "      - {rep: %s, weight: %d}\n", repOf(pool, i), i+1)
		}
	}
	b.WriteString("rules:\n")
	for pool, countries := range pools() {
		fmt.Fprintf(&b, "  - {name: %s, when: {country: [%s]}, then: {pool: %s}}\n", pool, strings.Join(countries, ", "), pool)
	}
	b.WriteString("  - {name: Everything else, band: default, when: {}, then: {pool: states}}\n")
	if crm != "" {
		b.WriteString("connections:\n  - {slug: crm, kind: webhook, base_url: \"" + crm + "/webhook\", secret: \"env:BENCH_WEBHOOK_SECRET\", slots: " + fmt.Sprint(crmSlots) + "}\n")
	}
	return b.String()
}

func repOf(pool string, i int) string { return fmt.Sprintf("%s%d@example.com", pool, i) }

// publish makes the playbook live and all reps available.
func publish(ctx context.Context, db *postgres.DB, crm string) error {
	cfg, problems := playbook.Parse("bench.yaml", []byte(playbookText(crm)))
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
	for pool := range pools() {
		for i := range members {
			if _, err := reps.SetPresence(ctx, repOf(pool, i), rep.Available, rep.ByAPI, ""); err != nil {
				return fmt.Errorf("make reps available: %w", err)
			}
		}
	}
	return nil
}
