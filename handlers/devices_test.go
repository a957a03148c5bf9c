package handlers_test

import (
	"sync"
	"testing"
	"time"

	"leadline/internal/account"
)

// endsWithin is how long an open console may outlive its session, whatever ended it and on whichever server.
const endsWithin = 2 * time.Second

// Each cause acts through another store, as if on another server: nothing that this process remembers may help.
func TestConsole_StreamEndsSoonAfterItsSessionWhateverEndedIt(t *testing.T) {
	o := openOffice(t)
	elsewhere := account.NewStore(o.db.Gorm, time.Now)
	exec := func(sql string, id any) {
		_, err := o.db.Console.Exec(t.Context(), sql, id)
		must(t, err)
	}
	causes := map[string]func(email string, p *person, who account.Who){
		"signed out": func(_ string, p *person, _ account.Who) { must(t, elsewhere.SignOut(t.Context(), p.token)) },
		"device ended": func(_ string, _ *person, who account.Who) {
			must(t, elsewhere.EndSession(t.Context(), who, who.SessionID))
		},
		"others ended": func(_ string, _ *person, who account.Who) {
			_, err := elsewhere.EndOthers(t.Context(), account.Who{AccountID: who.AccountID})
			must(t, err)
		},
		"signed out by an admin": func(email string, _ *person, _ account.Who) {
			_, err := elsewhere.EndSessions(t.Context(), email)
			must(t, err)
		},
		"disabled": func(email string, _ *person, _ account.Who) { must(t, elsewhere.Disable(t.Context(), email)) },
		"other roles": func(email string, _ *person, _ account.Who) {
			_, err := elsewhere.Add(t.Context(), account.NewAccount{Email: email, Roles: []string{account.RoleOps}})
			must(t, err)
		},
		"other password": func(email string, _ *person, _ account.Who) {
			_, err := elsewhere.Add(t.Context(), account.NewAccount{Email: email, Roles: []string{account.RoleViewer}, Password: "quite another password"})
			must(t, err)
		},
		"roles changed by hand": func(_ string, _ *person, who account.Who) {
			exec(`UPDATE account SET roles = 'viewer ops' WHERE id = $1`, who.AccountID)
		},
		"idle": func(_ string, _ *person, who account.Who) {
			exec(`UPDATE session SET last_seen_at = clock_timestamp() - interval '30 minutes' WHERE id = $1`, who.SessionID)
		},
		"too old": func(_ string, _ *person, who account.Who) {
			exec(`UPDATE session SET created_at = clock_timestamp() - interval '12 hours' WHERE id = $1`, who.SessionID)
		},
		"copied token": func(_ string, p *person, who account.Who) {
			exec(`UPDATE session SET previous_hash = token_hash, token_hash = sha256('another'), rotated_at = clock_timestamp() - interval '2 minutes' WHERE id = $1`, who.SessionID)
			_, _ = elsewhere.SessionByToken(t.Context(), p.token)
		},
	}
	type open struct {
		name, email string
		screen      *console
		who         account.Who
	}
	var all []open
	for name := range causes {
		email := string(rune('a'+len(all))) + "@example.com"
		p := o.person(email, account.RoleViewer)
		who, err := o.accounts.SessionByToken(t.Context(), p.token)
		must(t, err)
		screen := p.console("")
		screen.until("a frame", func(frame) bool { return true })
		all = append(all, open{name, email, screen, who})
	}
	bystander := o.person("bystander@example.com", account.RoleViewer).console("")
	var mu sync.Mutex
	var wg sync.WaitGroup
	var slowest time.Duration
	for _, c := range all {
		wg.Go(func() {
			causes[c.name](c.email, c.screen.person, c.who)
			at := time.Now()
			select {
			case code := <-c.screen.closed:
				took := time.Since(at)
				if code != 1008 || took > endsWithin {
					t.Errorf("%s: closed with %d after %v", c.name, code, took)
				}
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, took)
			case <-time.After(patience):
				t.Errorf("%s: the stream stays open", c.name)
			}
		})
	}
	wg.Wait()
	t.Logf("the slowest of %d ended after %v", len(all), slowest)
	select {
	case code := <-bystander.closed:
		t.Errorf("somebody else's stream was closed with %d", code)
	default:
	}
}
