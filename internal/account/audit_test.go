package account_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/fault"
)

// Everything that begins, ends or changes here leaves a line, and none of the lines says who somebody is.
func TestAudit_RecordsEveryChange(t *testing.T) {
	s, db, _ := setup(t)
	admin := uuid.New()
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.Person, ID: &admin, CorrelationID: "corr-1"})
	a, err := s.Add(ctx, account.NewAccount{Email: "secret.person@example.com", Name: "Secret Person", Roles: []string{"rep"}, Password: "correct horse"})
	must(t, err)
	_, _, err = s.SignIn(ctx, "secret.person@example.com", "wrong horse typed", from("203.0.113.9"))
	if !fault.Is(err, fault.Unauthenticated) {
		t.Fatal(err)
	}
	_, _, err = s.SignIn(ctx, "nobody.known@example.com", "wrong horse typed", from("203.0.113.9"))
	if !fault.Is(err, fault.Unauthenticated) {
		t.Fatal(err)
	}
	token, who, err := s.SignIn(ctx, "secret.person@example.com", "correct horse", from("203.0.113.9"))
	must(t, err)
	must(t, s.SignOut(ctx, token))
	must(t, s.SignOut(ctx, token)) // repeats leave no line
	link, err := s.NewLink(ctx, a.ID)
	must(t, err)
	_, _, err = s.UseLink(ctx, link, from(""))
	must(t, err)
	_, err = s.Add(ctx, account.NewAccount{Email: "secret.person@example.com", Roles: []string{"ops"}})
	must(t, err)
	must(t, s.Disable(ctx, "secret.person@example.com"))
	must(t, s.Disable(ctx, "secret.person@example.com"))
	value, err := s.AddToken(ctx, "Secret Person's script", []string{"leads:read"})
	must(t, err)
	for range 3 {
		_, err = s.TokenByValue(ctx, value)
		must(t, err)
	}
	must(t, s.RevokeToken(ctx, "Secret Person's script"))
	if err := s.RevokeToken(ctx, "Secret Person's script"); !fault.Is(err, fault.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}

	rows, err := db.Console.Query(t.Context(), `SELECT action, actor_kind, coalesce(actor::text, ''), object_kind, object, detail, correlation_id FROM audit ORDER BY seq`)
	must(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var action, kind, actor, objectKind, object, detail, correlation string
		must(t, rows.Scan(&action, &kind, &actor, &objectKind, &object, &detail, &correlation))
		got = append(got, action)
		line := strings.Join([]string{action, kind, actor, objectKind, object, detail}, " ")
		for _, secret := range []string{"ecret", "person", "typed", "horse", "203.0", "nobody.known", token, link, value} {
			if kind != "person" && strings.Contains(strings.ToLower(line), strings.ToLower(secret)) || strings.Contains(detail+object, secret) {
				t.Errorf("%q shows %q", line, secret)
			}
		}
		if correlation != "corr-1" {
			t.Errorf("%q has correlation %q", line, correlation)
		}
		switch action {
		case "session.began":
			if actor != a.ID.String() {
				t.Errorf("%q is not by the person who came in", line)
			}
		case "account.changed", "token.added":
			if actor != admin.String() {
				t.Errorf("%q is not by the admin", line)
			}
		}
	}
	must(t, rows.Err())
	want := "account.added session.refused session.refused session.began session.ended link.made session.began session.ended account.changed account.disabled token.added token.used token.revoked"
	if strings.Join(got, " ") != want {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, " "), want)
	}
	if count(t, db, `SELECT count(*) FROM audit WHERE action = 'session.refused' AND object = $1`, a.ID.String()) != 1 {
		t.Error("a refused sign-in of a known account does not name it")
	}
	if who.SessionID == uuid.Nil {
		t.Error("the session has no id")
	}
}

func TestAudit_TokenUseIsRecordedOnceAnHour(t *testing.T) {
	s, db, c := setup(t)
	value, err := s.AddToken(t.Context(), "ci", []string{"leads:read"})
	must(t, err)
	uses := func() int { return count(t, db, `SELECT count(*) FROM audit WHERE action = 'token.used'`) }
	for range 5 {
		c.advance(2e9)
		_, err = s.TokenByValue(t.Context(), value)
		must(t, err)
	}
	if uses() != 1 {
		t.Errorf("%d uses recorded within a moment", uses())
	}
	exec(t, db, `UPDATE api_token SET last_used_at = last_used_at - interval '1 hour'`)
	c.advance(2e9)
	_, err = s.TokenByValue(t.Context(), value)
	must(t, err)
	if uses() != 2 {
		t.Errorf("%d uses recorded after an hour", uses())
	}
}

// Without the record nothing happens.
func TestAudit_NoRowNoEffect(t *testing.T) {
	s, db, _ := setup(t)
	add(t, s, account.NewAccount{Email: "a@example.com", Name: "Ada", Roles: []string{"rep"}, Password: "correct horse"})
	token, who := signedIn(t, s, "a@example.com", false, "rep")
	a := who.AccountID
	link, err := s.NewLink(t.Context(), a)
	must(t, err)
	value, err := s.AddToken(t.Context(), "ci", []string{"leads:read"})
	must(t, err)
	setupLink, needed, err := s.SetupLink(t.Context())
	if err != nil || !needed {
		t.Fatal(needed, err)
	}
	state := func() string {
		var text string
		must(t, db.Console.QueryRow(t.Context(), `SELECT concat_ws('|',
			(SELECT string_agg(a::text, ',' ORDER BY id) FROM account a), (SELECT string_agg(s::text, ',' ORDER BY id) FROM session s),
			(SELECT string_agg(t::text, ',' ORDER BY id) FROM api_token t), (SELECT string_agg(l::text, ',' ORDER BY token_hash) FROM signin_link l),
			(SELECT string_agg(l::text, ',' ORDER BY token_hash) FROM setup_link l))`).Scan(&text))
		return text
	}
	exec(t, db, `ALTER FUNCTION append_audit(text, uuid, text, text, text, text, text, text) RENAME TO broken`)
	before := state()
	ctx := t.Context()
	for name, try := range map[string]func() error{
		"sign in":    func() error { _, _, err := s.SignIn(ctx, "a@example.com", "correct horse", from("")); return err },
		"refused":    func() error { _, _, err := s.SignIn(ctx, "a@example.com", "wrong", from("")); return err },
		"link":       func() error { _, _, err := s.UseLink(ctx, link, from("")); return err },
		"sign out":   func() error { return s.SignOut(ctx, token) },
		"end others": func() error { _, err := s.EndOthers(ctx, account.Who{AccountID: a}); return err },
		"end one":    func() error { return s.EndSession(ctx, who, who.SessionID) },
		"end all":    func() error { _, err := s.EndSessions(ctx, "a@example.com"); return err },
		"add":        func() error { _, err := s.Add(ctx, account.NewAccount{Email: "b@example.com"}); return err },
		"change roles": func() error {
			_, err := s.Add(ctx, account.NewAccount{Email: "a@example.com", Roles: []string{"ops"}})
			return err
		},
		"change password": func() error {
			_, err := s.Add(ctx, account.NewAccount{Email: "a@example.com", Roles: []string{"rep"}, Password: "another horse"})
			return err
		},
		"disable":        func() error { return s.Disable(ctx, "a@example.com") },
		"make a link":    func() error { _, err := s.NewLink(ctx, a); return err },
		"add a token":    func() error { _, err := s.AddToken(ctx, "x", nil); return err },
		"use a token":    func() error { _, err := s.TokenByValue(ctx, value); return err },
		"revoke a token": func() error { return s.RevokeToken(ctx, "ci") },
		"setup link":     func() error { _, _, err := s.SetupLink(ctx); return err },
		"setup": func() error {
			_, _, err := s.UseSetup(ctx, setupLink, account.NewAccount{Email: "first@example.com"}, from(""))
			return err
		},
	} {
		err := try()
		if err == nil || fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "record") {
			t.Errorf("%s: %v", name, err)
		}
		if after := state(); after != before {
			t.Errorf("%s had an effect:\n%s\n%s", name, before, after)
		}
	}
	if _, err := s.SessionByToken(ctx, token); err != nil {
		t.Errorf("who is signed in stays so: %v", err)
	}
}
