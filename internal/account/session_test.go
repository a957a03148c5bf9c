package account_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/account"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// signedIn adds a person and gives the token and the state of a session that just began.
func signedIn(t *testing.T, s *account.Store, email string, trusted bool, roles ...string) (string, account.Who) {
	t.Helper()
	add(t, s, account.NewAccount{Email: email, Roles: roles, Password: "correct horse"})
	device := from("203.0.113.77")
	device.Trusted = trusted
	token, who, err := s.SignIn(t.Context(), email, "correct horse", device)
	must(t, err)
	return token, who
}

// age moves a moment of all sessions into the past.
func age(t *testing.T, db *postgres.DB, column, by string) {
	t.Helper()
	exec(t, db, `UPDATE session SET `+column+` = `+column+` - interval '`+by+`'`)
}

func TestSession_LastsAsItsDeviceIsTrusted(t *testing.T) {
	for _, try := range []struct {
		name         string
		trusted      bool
		role         string
		column, back string
		ends         bool
	}{
		{"just within half an hour", false, "rep", "last_seen_at", "29 minutes 50 seconds", false},
		{"idle for half an hour", false, "rep", "last_seen_at", "30 minutes", true},
		{"trusted, idle for hours", true, "rep", "last_seen_at", "11 hours 59 minutes", false},
		{"trusted, idle for half a day", true, "rep", "last_seen_at", "12 hours", true},
		{"trust is for reps", true, "admin", "last_seen_at", "30 minutes", true},
		{"within half a day", false, "ops", "created_at", "11 hours 59 minutes", false},
		{"older than half a day", false, "ops", "created_at", "12 hours", true},
		{"trusted, within a week", true, "rep", "created_at", "6 days 23 hours", false},
		{"trusted, older than a week", true, "rep", "created_at", "7 days", true},
	} {
		t.Run(try.name, func(t *testing.T) {
			s, db, c := setup(t)
			token, who := signedIn(t, s, "a@example.com", try.trusted, try.role)
			age(t, db, try.column, try.back)
			c.advance(time.Second)
			_, err := s.SessionByToken(t.Context(), token)
			_, byID := s.SessionByID(t.Context(), who.SessionID)
			if fault.Is(err, fault.Unauthenticated) != try.ends || fault.Is(byID, fault.Unauthenticated) != try.ends || err == nil == try.ends {
				t.Errorf("by token %v, by id %v", err, byID)
			}
		})
	}
}

func TestSession_OnlyWhatAPersonDoesKeepsItAlive(t *testing.T) {
	s, db, c := setup(t)
	token, who := signedIn(t, s, "a@example.com", false, "ops")
	age(t, db, "last_seen_at", "20 minutes")
	idle := func() time.Duration {
		c.advance(time.Second)
		w, err := s.SessionByToken(t.Context(), token)
		must(t, err)
		_, err = s.SessionByID(t.Context(), who.SessionID)
		must(t, err)
		who = w
		return w.Idle
	}
	if got := idle(); got < 20*time.Minute {
		t.Errorf("looking it up counts as activity: idle for %v", got)
	}
	if got := idle(); got < 20*time.Minute {
		t.Errorf("looking it up counts as activity: idle for %v", got)
	}
	must(t, s.Acted(t.Context(), who))
	if got := idle(); got > time.Minute {
		t.Errorf("after something was done: idle for %v", got)
	}
}

func TestSession_ChangesItsTokenEachHourAndKeepsItsName(t *testing.T) {
	s, db, c := setup(t)
	token, who := signedIn(t, s, "a@example.com", true, "rep")
	renew := func(token string) (string, time.Duration) {
		t.Helper()
		c.advance(time.Second)
		w, err := s.SessionByToken(t.Context(), token)
		must(t, err)
		next, left, err := s.Renew(t.Context(), token, w)
		must(t, err)
		return next, left
	}
	if next, _ := renew(token); next != "" {
		t.Error("a fresh token is changed")
	}
	age(t, db, "created_at", "61 minutes")
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	c.advance(time.Second)
	for range 8 { // as many tabs are loaded at once
		wg.Go(func() {
			w, err := s.SessionByToken(t.Context(), token)
			if err != nil {
				t.Error(err)
			}
			next, _, err := s.Renew(t.Context(), token, w)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[next] = true
		})
	}
	wg.Wait()
	next, left := renew(token) // the answer before got lost
	if len(seen) != 1 || !seen[next] || next == "" || next == token {
		t.Fatalf("the tabs were given %d tokens, and then another", len(seen))
	}
	if left > account.SessionAbsoluteTrusted-time.Hour || left < account.SessionAbsoluteTrusted-2*time.Hour {
		t.Errorf("%v are left", left)
	}
	c.advance(time.Second)
	again, err := s.SessionByToken(t.Context(), next)
	if err != nil || again.SessionID != who.SessionID || !again.Trusted {
		t.Errorf("by the new token: %+v, %v", again, err)
	}
	if more, _ := renew(next); more != "" {
		t.Error("the new token is changed at once")
	}
	if s.CSRFToken(who.SessionID) != s.CSRFToken(again.SessionID) {
		t.Error("forms of open pages stop working")
	}
}

func TestSession_AnOldTokenUsedLateEndsIt(t *testing.T) {
	s, db, c := setup(t)
	token, _ := signedIn(t, s, "a@example.com", false, "ops")
	age(t, db, "created_at", "61 minutes")
	c.advance(time.Second)
	who, err := s.SessionByToken(t.Context(), token)
	must(t, err)
	next, _, err := s.Renew(t.Context(), token, who)
	must(t, err)
	exec(t, db, `UPDATE session SET rotated_at = rotated_at - interval '55 seconds'`)
	c.advance(time.Second)
	if _, err := s.SessionByToken(t.Context(), token); err != nil {
		t.Errorf("within the minute: %v", err)
	}
	exec(t, db, `UPDATE session SET rotated_at = rotated_at - interval '6 seconds'`)
	c.advance(time.Second)
	for _, shown := range []string{token, next} {
		if _, err := s.SessionByToken(t.Context(), shown); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("after a copied token was used: %v", err)
		}
	}
	if count(t, db, `SELECT count(*) FROM audit WHERE action = 'session.ended' AND detail LIKE '%used again%' AND object = $1`, who.SessionID.String()) != 1 {
		t.Error("the theft is not recorded")
	}
}

func TestSession_OfTheReleaseBeforeIsNamedWhenFirstSeen(t *testing.T) {
	s, db, c := setup(t)
	token, _ := signedIn(t, s, "a@example.com", false, "ops")
	exec(t, db, `UPDATE session SET id = NULL, address = ''`)
	c.advance(time.Second)
	first, err := s.SessionByToken(t.Context(), token)
	must(t, err)
	c.advance(time.Second)
	second, err := s.SessionByID(t.Context(), first.SessionID)
	if err != nil || second.AccountID != first.AccountID {
		t.Errorf("by its id: %+v, %v", second, err)
	}
}

func TestSession_ListAndEndAreAPersonsOwn(t *testing.T) {
	s, _, _ := setup(t)
	var mine []account.Who
	for range 3 {
		_, who := signedIn(t, s, "a@example.com", true, "rep")
		mine = append(mine, who)
	}
	theirToken, theirs := signedIn(t, s, "b@example.com", false, "rep")
	list, err := s.Sessions(t.Context(), mine[0].AccountID)
	if err != nil || len(list) != 3 || list[0].Network != "203.0.113.0/24" || !list[0].Trusted {
		t.Fatalf("got %+v, %v", list, err)
	}
	if err := s.EndSession(t.Context(), mine[0], theirs.SessionID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another's session: %v", err)
	}
	must(t, s.EndSession(t.Context(), mine[0], mine[1].SessionID))
	if err := s.EndSession(t.Context(), mine[0], mine[1].SessionID); !fault.Is(err, fault.NotFound) {
		t.Errorf("ended before: %v", err)
	}
	if n, err := s.EndOthers(t.Context(), mine[0]); n != 1 || err != nil {
		t.Errorf("ended %d others, %v", n, err)
	}
	if _, err := s.SessionByID(t.Context(), mine[0].SessionID); err != nil {
		t.Errorf("one's own session: %v", err)
	}
	if _, err := s.SessionByToken(t.Context(), theirToken); err != nil {
		t.Errorf("another's session ended: %v", err)
	}
}

func TestSession_DevicesHaveWords(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                         "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68":       "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36":        "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                          "Chrome on ChromeOS",
		"<script>alert(1)</script>": "An unknown browser", "": "An unknown browser", "Something (Windows)": "A browser on Windows",
	} {
		if got := (account.Session{UserAgent: agent}).Browser(); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}

func TestCSRF_TokenBelongsToOneSessionAndOneInstallation(t *testing.T) {
	s, db, c := setup(t)
	_, one := signedIn(t, s, "a@example.com", false, "rep")
	_, two := signedIn(t, s, "a@example.com", false, "rep")
	token := s.CSRFToken(one.SessionID)
	if !s.CSRFValid(one.SessionID, token) || s.CSRFValid(two.SessionID, token) || s.CSRFValid(one.SessionID, "") || s.CSRFValid(one.SessionID, token+"x") ||
		s.CSRFValid(one.SessionID, strings.ToLower(token)) {
		t.Error("the token fits what it must not, or not what it must")
	}
	if s.CSRFValid(account.Who{}.SessionID, s.CSRFToken(account.Who{}.SessionID)) {
		t.Error("nobody has a token")
	}
	same := func(secret string) string {
		return account.NewStore(db.Gorm, c.now).WithSecret([]byte(secret)).CSRFToken(one.SessionID)
	}
	first, second := same("one secret"), same("one secret")
	if first != second || first == same("another") || first == token {
		t.Error("processes with one secret do not agree, or those with different ones do")
	}
}
