package account_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"leadline/internal/account"
	"leadline/internal/fault"
)

func TestSetup_MakesTheFirstAdminOnce(t *testing.T) {
	s, db, _ := setup(t)
	void, needed, err := s.SetupLink(t.Context())
	if err != nil || !needed {
		t.Fatal(needed, err)
	}
	link, needed, err := s.SetupLink(t.Context()) // a new start
	if err != nil || !needed || link == void {
		t.Fatal(needed, err)
	}
	if count(t, db, `SELECT count(*) FROM setup_link WHERE encode(token_hash, 'escape') LIKE '%' || $1 || '%'`, link) != 0 {
		t.Error("the link is stored in clear")
	}
	first := account.NewAccount{Email: "First@example.com", Name: "First", Password: "correct horse"}
	for _, bad := range []string{void, "", "nonsense", link[:42] + "_"} {
		if _, _, err := s.UseSetup(t.Context(), bad, first, from("")); bad != link && !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", bad, err)
		}
		if err := s.SetupOpen(t.Context(), bad); bad != link && !fault.Is(err, fault.NotFound) {
			t.Errorf("%q is open: %v", bad, err)
		}
	}
	for _, wrong := range []account.NewAccount{{Email: "nonsense"}, {Email: "first@example.com", Password: "short"}} {
		if _, _, err := s.UseSetup(t.Context(), link, wrong, from("")); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	must(t, s.SetupOpen(t.Context(), link))
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			_, who, err := s.UseSetup(t.Context(), link, first, from("203.0.113.1"))
			switch {
			case err == nil && who.Has("admin"):
				won.Add(1)
			case !fault.Is(err, fault.NotFound):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("the link worked %d times", won.Load())
	}
	if _, needed, err := s.SetupLink(t.Context()); needed || err != nil {
		t.Errorf("with an admin: %v, %v", needed, err)
	}
	if count(t, db, `SELECT count(*) FROM audit WHERE action IN ('setup.used', 'account.added', 'session.began')`) != 3 {
		t.Error("the setup is not recorded")
	}
	must(t, s.Disable(t.Context(), "first@example.com"))
	if _, needed, err := s.SetupLink(t.Context()); !needed || err != nil {
		t.Errorf("with the only admin disabled: %v, %v", needed, err)
	}
}

func TestSetup_EndsAfterADayAndKeepsRoles(t *testing.T) {
	s, db, _ := setup(t)
	add(t, s, account.NewAccount{Email: "a@example.com", Roles: []string{"rep"}})
	link, _, err := s.SetupLink(t.Context())
	must(t, err)
	exec(t, db, `UPDATE setup_link SET expires_at = clock_timestamp()`)
	if err := s.SetupOpen(t.Context(), link); !fault.Is(err, fault.NotFound) {
		t.Errorf("after a day: %v", err)
	}
	link, _, err = s.SetupLink(t.Context())
	must(t, err)
	_, who, err := s.UseSetup(t.Context(), link, account.NewAccount{Email: "a@example.com"}, from(""))
	if err != nil || !who.Has("admin") || !who.Has("rep") {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestMembers_AreListed(t *testing.T) {
	s, _, _ := setup(t)
	signedIn(t, s, "b@example.com", false, "rep")
	add(t, s, account.NewAccount{Email: "a@example.com", Name: "Ada", Roles: []string{"ops", "admin"}})
	must(t, s.Disable(t.Context(), "a@example.com"))
	members, err := s.Members(t.Context())
	if err != nil || len(members) != 2 || members[0].Name != "Ada" || !members[0].Disabled || members[0].LastSeen != nil || members[1].Disabled || members[1].LastSeen == nil {
		t.Errorf("got %+v, %v", members, err)
	}
	for _, call := range []error{s.Disable(t.Context(), "nobody@example.com"), func() error { _, err := s.EndSessions(t.Context(), "nobody@example.com"); return err }()} {
		if !fault.Is(call, fault.NotFound) {
			t.Errorf("nobody: %v", call)
		}
	}
}

func TestTokens_AreListedAndRevokedByNameOrID(t *testing.T) {
	s, _, _ := setup(t)
	for _, name := range []string{"ci", "twin", "twin"} {
		_, err := s.AddToken(t.Context(), name, []string{"leads:read"})
		must(t, err)
	}
	tokens, err := s.Tokens(t.Context())
	if err != nil || len(tokens) != 3 || !tokens[0].Has("leads:read") || tokens[0].UsedAt != nil || tokens[0].CreatedAt.IsZero() {
		t.Fatalf("got %+v, %v", tokens, err)
	}
	if err := s.RevokeToken(t.Context(), "twin"); !fault.Is(err, fault.Conflict) {
		t.Errorf("one of two: %v", err)
	}
	must(t, s.RevokeToken(t.Context(), tokens[0].ID.String()))
	must(t, s.RevokeToken(t.Context(), "ci"))
	tokens, err = s.Tokens(t.Context())
	must(t, err)
	revoked := 0
	for _, token := range tokens {
		if token.RevokedAt != nil {
			revoked++
		}
	}
	if revoked != 2 {
		t.Errorf("%d are revoked", revoked)
	}
}
