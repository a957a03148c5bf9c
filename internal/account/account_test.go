package account_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/rep"
)

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func setup(t *testing.T) (*account.Store, *postgres.DB, *clock) {
	t.Helper()
	db, c := pgtest.New(t), &clock{}
	return account.NewStore(db.Gorm, c.now), db, c
}

func add(t *testing.T, s *account.Store, a account.NewAccount) account.Account {
	t.Helper()
	added, err := s.Add(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *postgres.DB, sql string, args ...any) int {
	t.Helper()
	var n int
	must(t, db.Console.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func from(address string) account.Device { return account.Device{Address: address, UserAgent: "test"} }

func exec(t *testing.T, db *postgres.DB, sql string) {
	t.Helper()
	if _, err := db.Console.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestStore_SignsInARepAndKnowsThem(t *testing.T) {
	s, db, _ := setup(t)
	if _, err := rep.NewStore(db.Gorm).Upsert(t.Context(), []rep.Rep{{Email: "mia@example.com", Name: "Mia", Timezone: "UTC", Active: true}}); err != nil {
		t.Fatal(err)
	}
	add(t, s, account.NewAccount{Email: " Mia@Example.com ", Name: "Mia", Roles: []string{"rep"}, Password: "correct horse"})
	token, who, err := s.SignIn(t.Context(), "MIA@example.com", "correct horse", from("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.SessionByToken(t.Context(), token)
	if err != nil || again.RepID == nil || who.RepID == nil || *again.RepID != *who.RepID || again.Email != "mia@example.com" || !again.Has("ops", "rep") || again.Has("ops") {
		t.Fatalf("got %+v, %v", again, err)
	}
	for _, bad := range []string{"", "x", token + "x", strings.Repeat("A", 43)} {
		if _, err := s.SessionByToken(t.Context(), bad); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	var stored string
	if err := db.Console.QueryRow(t.Context(), `SELECT encode(token_hash, 'escape') || password_hash FROM session, account`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, token) || strings.Contains(stored, "correct horse") || !strings.Contains(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored %q", stored)
	}
}

func TestStore_WrongAndUnknownAreTheSame(t *testing.T) {
	s, db, _ := setup(t)
	add(t, s, account.NewAccount{Email: "known@example.com", Roles: []string{"ops"}, Password: "correct horse"})
	add(t, s, account.NewAccount{Email: "link-only@example.com", Roles: []string{"ops"}})
	add(t, s, account.NewAccount{Email: "gone@example.com", Roles: []string{"ops"}, Password: "correct horse"})
	exec(t, db, `UPDATE account SET disabled_at = clock_timestamp() WHERE email = 'gone@example.com'`)
	for _, try := range [][2]string{
		{"known@example.com", "wrong horse"},
		{"known@example.com", ""},
		{"nobody@example.com", "correct horse"},
		{"link-only@example.com", ""},
		{"gone@example.com", "correct horse"},
	} {
		_, _, err := s.SignIn(t.Context(), try[0], try[1], from("10.0.0.1"))
		if !fault.Is(err, fault.Unauthenticated) || err.Error() != "unauthenticated: That email address and password do not fit together. Check both." {
			t.Errorf("%s with %q: %v", try[0], try[1], err)
		}
	}
}

func TestStore_EndsGuessing(t *testing.T) {
	s, _, c := setup(t)
	add(t, s, account.NewAccount{Email: "a@example.com", Roles: []string{"ops"}, Password: "correct horse"})
	tries := 0
	for ; tries < 50; tries++ { // one person, from many places
		if _, _, err := s.SignIn(t.Context(), "a@example.com", "wrong", from(fmt.Sprintf("10.0.1.%d", tries))); fault.Is(err, fault.Throttled) {
			break
		}
	}
	if tries != 10 {
		t.Errorf("%d guesses at one person were answered", tries)
	}
	if _, _, err := s.SignIn(t.Context(), "a@example.com", "correct horse", from("10.0.2.1")); !fault.Is(err, fault.Throttled) {
		t.Errorf("even the right password waits: %v", err)
	}
	c.advance(16 * time.Minute)
	if _, _, err := s.SignIn(t.Context(), "a@example.com", "correct horse", from("10.0.2.1")); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // guesses count before any work is done for them
	throttled := false
	for n := range 31 { // many people, from one place
		_, _, err := s.SignIn(ctx, string(rune('a'+n))+"@nowhere.example", "wrong", from("10.0.3.1"))
		throttled = fault.Is(err, fault.Throttled)
	}
	if !throttled {
		t.Error("one place may guess at any number of people")
	}
}

func TestStore_SessionsEnd(t *testing.T) {
	s, db, c := setup(t)
	a := account.NewAccount{Email: "a@example.com", Roles: []string{"ops"}, Password: "correct horse"}
	signIn := func() string {
		token, _, err := s.SignIn(t.Context(), a.Email, "correct horse", from("10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, end := range map[string]func(token string){
		"signed out": func(token string) { _ = s.SignOut(t.Context(), token) },
		"idle": func(string) {
			exec(t, db, `UPDATE session SET last_seen_at = clock_timestamp() - interval '30 minutes 1 second'`)
		},
		"too old": func(string) {
			exec(t, db, `UPDATE session SET created_at = clock_timestamp() - interval '12 hours 1 second'`)
		},
		"disabled": func(string) { exec(t, db, `UPDATE account SET disabled_at = clock_timestamp()`) },
		"sixth": func(string) {
			for range 5 {
				signIn()
			}
		},
		"in cache": func(string) { exec(t, db, `DELETE FROM session`) },
		"new password": func(string) {
			b := a
			b.Password = "another horse"
			add(t, s, b)
		},
		"other roles":    func(string) { add(t, s, account.NewAccount{Email: a.Email, Roles: []string{"ops", "admin"}}) },
		"disabled by us": func(string) { must(t, s.Disable(t.Context(), "A@example.com")) },
		"signed out by us": func(string) {
			if n, err := s.EndSessions(t.Context(), a.Email); n != 1 || err != nil {
				t.Errorf("ended %d sessions, %v", n, err)
			}
		},
	} {
		exec(t, db, `DELETE FROM account`)
		add(t, s, a)
		token := signIn()
		if _, err := s.SessionByToken(t.Context(), token); err != nil {
			t.Fatalf("%s: before: %v", name, err)
		}
		end(token)
		c.advance(1100 * time.Millisecond) // as long as an answer may be remembered
		if _, err := s.SessionByToken(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: the session still works: %v", name, err)
		}
	}
}

func TestStore_AddingAgainChangesRolesAndKeepsTheRest(t *testing.T) {
	s, db, _ := setup(t)
	first := add(t, s, account.NewAccount{Email: "a@example.com", Name: "Ada", Roles: []string{"rep"}, Password: "correct horse"})
	token, _, err := s.SignIn(t.Context(), "a@example.com", "correct horse", from("10.0.0.1"))
	must(t, err)
	add(t, s, account.NewAccount{Email: "a@example.com", Name: "Ada", Roles: []string{"rep"}, Password: "correct horse"})
	if _, err := s.SessionByToken(t.Context(), token); err != nil || count(t, db, `SELECT count(*) FROM audit WHERE action LIKE 'account.%'`) != 1 {
		t.Errorf("adding the same again changes something: %v", err)
	}
	second := add(t, s, account.NewAccount{Email: "a@example.com", Roles: []string{"ops", "admin"}, Password: "correct horse"})
	if first.ID != second.ID || second.Name != "Ada" {
		t.Errorf("got %+v after %+v", second, first)
	}
	if _, err := s.SessionByToken(t.Context(), token); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a session of other roles goes on: %v", err)
	}
	_, who, err := s.SignIn(t.Context(), "a@example.com", "correct horse", from("10.0.0.1"))
	if err != nil || !who.Has("admin") || who.Has("rep") {
		t.Errorf("the next session is of %+v, %v", who, err)
	}
	for _, bad := range []account.NewAccount{{Email: "nonsense"}, {Email: "Ada <a@example.com>"}, {Email: "b@example.com", Password: "2 short"}} {
		if _, err := s.Add(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestStore_ALinkWorksOnceWithinADay(t *testing.T) {
	s, db, _ := setup(t)
	a := add(t, s, account.NewAccount{Email: "a@example.com", Roles: []string{"ops"}})
	link := func() string {
		token, err := s.NewLink(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	once := link()
	results := make(chan error, 8)
	for range cap(results) {
		go func() { _, _, err := s.UseLink(t.Context(), once, from("")); results <- err }()
	}
	won := 0
	for range cap(results) {
		if err := <-results; err == nil {
			won++
		} else if !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("the link worked %d times", won)
	}
	late := link()
	exec(t, db, `UPDATE signin_link SET expires_at = clock_timestamp() WHERE used_at IS NULL`)
	if _, _, err := s.UseLink(t.Context(), late, from("")); !fault.Is(err, fault.NotFound) {
		t.Errorf("after a day: %v", err)
	}
	disabled := link()
	exec(t, db, `UPDATE account SET disabled_at = clock_timestamp()`)
	if _, _, err := s.UseLink(t.Context(), disabled, from("")); !fault.Is(err, fault.NotFound) {
		t.Errorf("disabled: %v", err)
	}
}

func TestStore_TokensHaveScopesUntilRevoked(t *testing.T) {
	s, db, c := setup(t)
	value, err := s.AddToken(t.Context(), "ci", []string{"leads:read", "metrics:read"})
	if err != nil || !strings.HasPrefix(value, "ll_") {
		t.Fatal(value, err)
	}
	token, err := s.TokenByValue(t.Context(), value)
	if err != nil || !token.Has("leads:read") || token.Has("leads:act") || token.Has("") || token.Name != "ci" {
		t.Errorf("got %+v, %v", token, err)
	}
	exec(t, db, `UPDATE api_token SET revoked_at = clock_timestamp()`)
	c.advance(1100 * time.Millisecond)
	if _, err := s.TokenByValue(t.Context(), value); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("revoked: %v", err)
	}
}
