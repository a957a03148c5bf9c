package lead_test

import (
	"testing"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres/pgtest"
)

// The zero scope, and any scope that does not reach a lead, finds nothing: whatever is asked, in whatever way the lead is named.
func TestStore_FindsNothingOutOfScope(t *testing.T) {
	db := pgtest.New(t)
	ctx, store := t.Context(), lead.NewStore(db.Gorm)
	id, alias, account := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.New()
	me, mate, other := uuid.New(), uuid.New(), uuid.New()
	for _, sql := range []string{
		`INSERT INTO rep (id, email, name, team) VALUES ('` + me.String() + `', 'me@x.example', 'Me', 'north'), ('` + mate.String() + `', 'mate@x.example', 'Mate', 'north'),
			('` + other.String() + `', 'other@x.example', 'Other', 'south')`,
		`INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage, pool, rep_id) VALUES ('` + id.String() + `', 'c', 'demo', 'high', 1, clock_timestamp(), 'claimed', 'dach', '` + mate.String() + `')`,
		`INSERT INTO contact (lead_id, name) VALUES ('` + id.String() + `', 'Anna')`,
		`INSERT INTO touch (id, lead_id, kind, payload) VALUES ('` + alias.String() + `', '` + id.String() + `', 'repeat', '{}')`,
		`INSERT INTO decision (lead_id, version, rule, pool, trace) VALUES ('` + id.String() + `', 1, 'r', 'dach', '{}')`,
	} {
		if _, err := db.Console.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(scope lead.Scope) map[string]error {
		out := map[string]error{}
		for name, id := range map[string]uuid.UUID{"id": id, "alias": alias} {
			_, out["lead by "+name] = store.ByID(ctx, scope, id)
			_, out["contact by "+name] = store.Contact(ctx, scope, id, lead.Sight{Masked: true, Rep: mate, Looker: account})
			_, out["resolve by "+name] = store.Resolve(ctx, scope, id)
			_, out["timeline by "+name] = store.Timeline(ctx, scope, id)
			_, out["decision by "+name] = store.Decision(ctx, scope, id)
			_, out["looks by "+name] = store.Looks(ctx, scope, id)
			_, out["reveal by "+name] = store.Reveal(ctx, scope, id, account, "a good reason")
			out["reveal to a program by "+name] = store.RevealTo(ctx, scope, id, account)
		}
		_, out["find"] = store.Find(ctx, scope, lead.Reference(id))
		found, _, err := store.List(ctx, scope, lead.Filter{})
		if err == nil && len(found) == 0 {
			err = fault.New(fault.NotFound, "an empty list")
		}
		out["list"] = err
		return out
	}
	for name, scope := range map[string]lead.Scope{
		"nothing": {}, "another rep": {Rep: other}, "another team": {Rep: other, Team: "south", Pools: []string{"south", "de"}}, "no team": {Rep: me},
	} {
		for question, err := range ask(scope) {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %s gives %v", name, question, err)
			}
		}
	}
	for name, scope := range map[string]lead.Scope{
		"everything": lead.Everything(), "the holder": {Rep: mate}, "the holder's team": {Rep: me, Team: "north"}, "the pool": {Rep: other, Pools: []string{"de", "dach"}},
	} {
		for question, err := range ask(scope) {
			if err != nil {
				t.Errorf("%s: %s gives %v", name, question, err)
			}
		}
	}
}

// Contact details leave the database for the holder, during one's own reveal, or to be masked.
func TestStore_GivesContactsOnlyAsFarAsSightGoes(t *testing.T) {
	db := pgtest.New(t)
	ctx, store := t.Context(), lead.NewStore(db.Gorm)
	id, holder, looker := uuid.Must(uuid.NewV7()), uuid.New(), uuid.New()
	for _, sql := range []string{
		`INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage, rep_id) VALUES ('` + id.String() + `', 'c', 'demo', 'high', 1, clock_timestamp(), 'claimed', '` + holder.String() + `')`,
		`INSERT INTO contact (lead_id, name, fields, consent, context) VALUES ('` + id.String() + `', 'Anna', '{"a": "b"}', '{"phone": true}', '{"locale": "de"}')`,
	} {
		if _, err := db.Console.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	see := func(sight lead.Sight) lead.SeenContact {
		t.Helper()
		seen, err := store.Contact(ctx, lead.Everything(), id, sight)
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	for name, sight := range map[string]lead.Sight{"nobody": {}, "another rep": {Rep: uuid.New()}, "before a reveal": {Looker: looker}} {
		if seen := see(sight); seen.Name != "" || len(seen.Fields) != 0 || seen.Whole || seen.Mine || !seen.Consent.Phone || seen.Context.Locale != "de" {
			t.Errorf("%s: whole %v, consent %+v, %d answers", name, seen.Whole, seen.Consent, len(seen.Fields))
		}
	}
	if seen := see(lead.Sight{Masked: true}); seen.Name != "Anna" || seen.Whole {
		t.Error("to be masked: not given, or given as whole")
	}
	if seen := see(lead.Sight{Rep: holder}); seen.Name != "Anna" || !seen.Whole || !seen.Mine || !seen.HidesAt.IsZero() {
		t.Error("the holder does not see the contact whole")
	}
	if _, err := store.Reveal(ctx, lead.Everything(), id, looker, "a good reason"); err != nil {
		t.Fatal(err)
	}
	if seen := see(lead.Sight{Looker: looker, Masked: true}); seen.Name != "Anna" || !seen.Whole || seen.Mine || seen.HidesAt.IsZero() {
		t.Error("a reveal does not show the contact")
	}
	if seen := see(lead.Sight{Looker: uuid.New(), Masked: true}); seen.Whole {
		t.Error("a reveal shows the contact to somebody else")
	}
	if _, err := db.Console.Exec(ctx, `DELETE FROM contact; UPDATE lead SET erased_at = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	if seen := see(lead.Sight{Rep: holder}); !seen.Forgotten || seen.Name != "" {
		t.Error("an erased person is not forgotten")
	}
	if _, err := store.Reveal(ctx, lead.Everything(), id, looker, "a good reason"); !fault.Is(err, fault.Conflict) {
		t.Errorf("revealing an erased person: %v", err)
	}
	if err := store.RevealTo(ctx, lead.Everything(), id, uuid.New()); err != nil {
		t.Errorf("a program that reads an erased person: %v", err)
	}
}
