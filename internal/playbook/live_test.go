package playbook_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/config"
	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/outbox"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
	"leadline/internal/rep"
)

func apply(t *testing.T, db *postgres.DB, text string) (version int64, changed bool) {
	t.Helper()
	version, changed, err := playbook.Apply(context.Background(), db, parse(t, text), "test", "", false)
	if err != nil {
		t.Fatal(err)
	}
	return version, changed
}

func export(t *testing.T, db *postgres.DB) []byte {
	t.Helper()
	text, err := playbook.Export(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newLive(db *postgres.DB) *playbook.Live {
	env := map[string]string{"CRM_SECRET": "whsec_eA=="}
	return playbook.NewLive(db, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, slog.New(slog.DiscardHandler))
}

func TestExport_AppliedAndExportedAgainIsTheSameToTheByte(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if version, changed := apply(t, db, sales); version != 1 || !changed {
		t.Fatalf("first: %d %v", version, changed)
	}
	first := export(t, db)
	if version, changed := apply(t, db, string(first)); version != 1 || changed {
		t.Errorf("applying what was exported made version %d (%v):\n%s", version, changed, first)
	}
	if second := export(t, db); !bytes.Equal(first, second) {
		t.Errorf("exports differ:\n%s\n%s", first, second)
	}
	if version, changed := apply(t, db, sales); version != 1 || changed {
		t.Errorf("the original text again made version %d (%v)", version, changed)
	}
	empty := pgtest.New(t)
	apply(t, empty, string(first))
	if moved := export(t, empty); !bytes.Equal(first, moved) {
		t.Errorf("another installation exports differently:\n%s\n%s", first, moved)
	}
}

func TestApply_UpdatesPeopleAtOnceAndLeavesOutOnesAlone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := pgtest.New(t)
	apply(t, db, sales)
	reps := rep.NewStore(db.Gorm)
	if _, err := reps.SetPresence(ctx, "mia@example.com", rep.Available, rep.ByAPI, ""); err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(sales, "name: Mia,", "name: Mia Vogel,", 1)
	if version, changed := apply(t, db, renamed); version != 1 || changed {
		t.Errorf("people made a version: %d %v", version, changed)
	}
	mia, err := reps.ByEmail(ctx, "mia@example.com")
	if err != nil || mia.Name != "Mia Vogel" || mia.Presence != rep.Available {
		t.Errorf("%+v, %v", mia, err)
	}

	rules, _ := strings.CutPrefix(sales, "# our sales\n")
	before, after, _ := strings.Cut(rules, "reps:\n")
	_, after, _ = strings.Cut(after, "pools:\n")
	cfg, _ := playbook.Parse("partial", []byte(before+"pools:\n"+after))
	if _, _, err := playbook.Apply(ctx, db, cfg, "test", "", false); err != nil {
		t.Errorf("a text without reps, all of whom exist: %v", err)
	}
	if all, err := reps.All(ctx); err != nil || len(all) != 3 {
		t.Errorf("%d reps left, %v", len(all), err)
	}

	stranger, _ := playbook.Parse("x", []byte(strings.Replace(minimal, "{rep: mia@example.com}", "{rep: nobody@example.com}", 1)))
	if _, _, err := playbook.Apply(ctx, db, stranger, "test", "", false); !fault.Is(err, fault.Invalid) {
		t.Errorf("a rep whom nobody knows: %v", err)
	}
	broken, _ := playbook.Parse("x", []byte(strings.Replace(minimal, "then: {pool: p}", "then: {pool: q}", 1)))
	if _, _, err := playbook.Apply(ctx, db, broken, "test", "", false); !fault.Is(err, fault.Invalid) {
		t.Errorf("a configuration with errors: %v", err)
	}
}

func TestApply_AtTheSameTimeGivesEachVersionItsNumber(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var wg sync.WaitGroup
	for i := range 6 {
		cfg := parse(t, strings.Replace(minimal, "{slug: demo}", "{slug: demo"+string(rune('a'+i))+"}", 1))
		wg.Go(func() {
			if _, _, err := playbook.Apply(context.Background(), db, cfg, "test", "", false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var numbers int
	if err := db.Console.QueryRow(context.Background(), "SELECT count(DISTINCT number) FROM config_version WHERE number BETWEEN 1 AND 6").Scan(&numbers); err != nil || numbers != 6 {
		t.Errorf("%d numbers, %v", numbers, err)
	}
}

func TestLive_FollowsWhatIsPublished(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	live := newLive(db)
	if s := live.Current(); s == nil || s.Version != 0 || s.Table == nil || len(s.Forms) != 0 {
		t.Fatalf("before anything is published: %+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- live.Run(ctx) }()
	apply(t, db, sales)
	waitFor(t, func() bool { return live.Current().Version == 1 })
	s := live.Current()
	if s.Forms["demo"] == nil || s.Table.Version() != 1 || s.Table.Pool("dach") == nil || len(s.Teams) != 1 || len(s.Targets()) != 2 {
		t.Errorf("%+v", s)
	}
	if c := s.Connections; c[0].Secret.Plain() != "whsec_eA==" || c[0].Missing != "" || c[1].Missing != "env:SLACK_TOKEN is not set" {
		t.Errorf("connections: %q, %q", c[0].Missing, c[1].Missing)
	}
	apply(t, db, strings.Replace(sales, "exclusive: 20s", "exclusive: 25s", 1))
	waitFor(t, func() bool { return live.Current().Version == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestLive_KeepsTheFormerVersionWhenItCannotReadTheNewOne(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := pgtest.New(t)
	live := newLive(db)
	apply(t, db, minimal)
	if err := live.Refresh(ctx); err != nil || live.Current().Version != 1 {
		t.Fatalf("version %d, %v", live.Current().Version, err)
	}
	if _, err := db.Console.Exec(ctx, "INSERT INTO config_version (number, hash, body) VALUES (2, 'x', 'version: 1\nfuture: {}\n')"); err != nil {
		t.Fatal(err)
	}
	if err := live.Refresh(ctx); err != nil || live.Current().Version != 1 {
		t.Errorf("version %d, %v", live.Current().Version, err)
	}
	if version, _ := apply(t, db, minimal); version != 3 {
		t.Errorf("version %d", version)
	}
	if err := live.Refresh(ctx); err != nil || live.Current().Version != 3 {
		t.Errorf("version %d, %v", live.Current().Version, err)
	}
}

// stored refers to a secret that is stored in place of one in the environment.
var stored = strings.Replace(sales, `secret: "env:CRM_SECRET"`, `secret: "secret:crm"`, 1)

func newRing(t *testing.T, db *postgres.DB, secret string) *keyring.Ring {
	t.Helper()
	master, err := keyring.ReadMaster(t.Context(), []byte(secret), config.KeySource{}, config.KeySource{})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), db, master)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestLive_FollowsStoredSecretsWithoutANewVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	secrets := newRing(t, db, "here").Secrets()
	live := newLive(db)
	live.UseSecrets(newRing(t, db, "here").Secrets().Lookup) // another process
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- live.Run(ctx) }()
	crm := func() outbox.Connection {
		if s := live.Current(); s.Version == 1 {
			return s.Connections[0]
		}
		return outbox.Connection{}
	}
	if version, changed := apply(t, db, stored); version != 1 || !changed {
		t.Fatalf("a secret that does not exist yet: %d %v", version, changed)
	}
	waitFor(t, func() bool { return crm().Missing == "secret:crm is not set; run: leadline secret set crm" })
	for _, value := range []privacy.Secret{"whsec_eA==", "whsec_eQ=="} {
		if err := secrets.Set(ctx, "crm", value); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return crm().Secret == value && crm().Missing == "" })
	}
	if err := secrets.Remove(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return crm().Missing != "" && crm().Secret == "" })
	if number := live.Current().Version; number != 1 {
		t.Errorf("version %d", number)
	}
	if text := string(export(t, db)); !strings.Contains(text, "secret:crm") || strings.Contains(text, "whsec_") {
		t.Errorf("exported:\n%s", text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestLive_SaysWhyAStoredSecretDoesNotOpen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	apply(t, db, stored)
	if err := newRing(t, db, "here").Secrets().Set(t.Context(), "crm", "whsec_eA=="); err != nil {
		t.Fatal(err)
	}
	live := newLive(db)
	if err := live.Refresh(t.Context()); err != nil || live.Current().Connections[0].Missing == "" {
		t.Errorf("without a keyring: %+v, %v", live.Current().Connections, err)
	}
	live = newLive(db)
	live.UseSecrets(newRing(t, db, "elsewhere").Secrets().Lookup)
	if err := live.Refresh(t.Context()); err != nil || !strings.Contains(live.Current().Connections[0].Missing, "LEADLINE_KEK") {
		t.Errorf("with another key: %+v, %v", live.Current().Connections, err)
	}

	live = newLive(db)
	broken := errors.New("the line is cut")
	live.UseSecrets(func(context.Context, string) (privacy.Secret, error) {
		if broken != nil {
			return "", broken
		}
		return "whsec_eA==", nil
	})
	if err := live.Refresh(t.Context()); !errors.Is(err, broken) || live.Current().Version != 0 {
		t.Errorf("when it cannot be read now: version %d, %v", live.Current().Version, err)
	}
	broken = nil
	if err := live.Refresh(t.Context()); err != nil || live.Current().Connections[0].Secret != "whsec_eA==" {
		t.Errorf("when it can be read again: %+v, %v", live.Current().Connections, err)
	}
}

func TestSnapshot_ShowsNoCredential(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	apply(t, db, stored)
	live := newLive(db)
	live.UseSecrets(func(context.Context, string) (privacy.Secret, error) { return "whsec_hidden", nil })
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := live.Current().Connections
	text, err := json.Marshal(c)
	if err != nil || c[0].Secret.Plain() != "whsec_hidden" {
		t.Fatalf("%v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text = fmt.Appendf(text, verb+verb+verb, c, c[0], &c[0])
	}
	if strings.Contains(string(text), "whsec_") || strings.Contains(string(text), hex.EncodeToString([]byte("whsec_"))) {
		t.Errorf("it came out: %s", text)
	}
}

// waitFor waits for something that another goroutine brings about.
func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not happen")
		}
	}
}
