package keyring_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"leadline/internal/audit"
	"leadline/internal/config"
	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
	"leadline/internal/privacy"
)

func TestSecrets_AreSetListedLookedUpAndRemoved(t *testing.T) {
	t.Parallel()
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.Command})
	db := pgtest.New(t)
	secrets := newRing(t, db, kek("a"), config.KeySource{}).Secrets()
	for name, value := range map[string]privacy.Secret{"crm": "first", "chat": "xoxb-1"} {
		if err := secrets.Set(ctx, name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := secrets.Set(ctx, "crm", "second"); err != nil {
		t.Fatal(err)
	}
	other := newRing(t, db, kek("a"), config.KeySource{}).Secrets() // another process
	if value, err := other.Lookup(ctx, "crm"); err != nil || value.Plain() != "second" {
		t.Errorf("%v, %v", value, err)
	}
	all, err := keyring.NewSecrets(db, nil).List(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "chat" || all[1].Name != "crm" || !all[1].Updated.After(all[1].Created) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := keyring.NewSecrets(db, nil).Remove(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Lookup(ctx, "crm"); !fault.Is(err, fault.NotFound) {
		t.Errorf("after it was removed: %v", err)
	}
	if err := secrets.Remove(ctx, "crm"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed again: %v", err)
	}
	for _, bad := range []string{"", "CRM", "-crm", "c r m", "xoxb.1", strings.Repeat("x", 64)} {
		if err := secrets.Set(ctx, bad, "x"); !fault.Is(err, fault.Invalid) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("called %q: %v", bad, err)
		}
	}
	for _, bad := range []privacy.Secret{"", privacy.Secret(strings.Repeat("x", keyring.SecretMost+1))} {
		if err := secrets.Set(ctx, "crm", bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("a value of %d bytes: %v", len(bad), err)
		}
	}
	if all := actions(t, db); all["secret.set"] != 3 || all["secret.removed"] != 1 || all["data_key.made"] != 1 || all["key.used"] != 2 {
		t.Errorf("recorded: %v", all)
	}
	var commands int
	if err := db.Console.QueryRow(ctx, `SELECT count(*) FROM audit WHERE actor_kind = 'command'`).Scan(&commands); err != nil || commands != 7 {
		t.Errorf("%d rows name the command line, %v", commands, err)
	}
}

func TestSecrets_DoNotOpenUnderAnotherName(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	secrets := newRing(t, db, kek("a"), config.KeySource{}).Secrets()
	for name, value := range map[string]privacy.Secret{"crm": "theirs", "chat": "xoxb-1"} {
		if err := secrets.Set(ctx, name, value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Console.Exec(ctx, `UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'crm') WHERE name = 'chat'`); err != nil {
		t.Fatal(err)
	}
	if value, err := secrets.Lookup(ctx, "chat"); !errors.Is(err, keyring.ErrDamaged) || value != "" {
		t.Errorf("%v", err)
	}
	if value, err := secrets.Lookup(ctx, "crm"); err != nil || value.Plain() != "theirs" {
		t.Errorf("the other: %v", err)
	}
}

func TestSecrets_StandInNoTableInClear(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	const value = "xoxb-hidden-in-the-database"
	ring := newRing(t, db, config.KeySource{Key: []byte(printable)}, config.KeySource{})
	if err := ring.Secrets().Set(ctx, "crm", value); err != nil {
		t.Fatal(err)
	}
	e, err := ring.Envelope(ctx, []byte(value), nil)
	if err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO payload (submission, data_key, wrapped, sealed) VALUES (gen_random_uuid(), $1, $2, $3)`
	if _, err := db.Console.Exec(ctx, insert, e.KeyID, e.Wrapped, e.Sealed); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ring.RotateData(ctx, keyring.Secret); err != nil {
		t.Fatal(err)
	}
	dump := dumped(t, db)
	for _, word := range []string{"crm", "secret.set"} { // that it reads what is there
		if !strings.Contains(dump, word) {
			t.Errorf("%q is not in the dump", word)
		}
	}
	for _, hidden := range []string{value, printable} {
		for _, spelling := range []string{hidden, hex.EncodeToString([]byte(hidden)), base64.StdEncoding.EncodeToString([]byte(hidden))[:20]} {
			if strings.Contains(dump, spelling) {
				t.Errorf("%q is in the dump", spelling)
			}
		}
	}
}

// dumped is every row of every table as text.
func dumped(t *testing.T, db *postgres.DB) string {
	t.Helper()
	rows, err := db.Console.Query(t.Context(), `SELECT query_to_xml(format('SELECT t::text FROM %I.%I t', schemaname, tablename), true, false, '')::text
		FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		all.WriteString(table)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestRotateData_SealsSecretsAnewAndKeepsPayloadsReadable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	ring, other := newRing(t, db, kek("a"), config.KeySource{}), newRing(t, db, kek("a"), config.KeySource{})
	if err := ring.Secrets().Set(ctx, "crm", "value"); err != nil {
		t.Fatal(err)
	}
	old, err := other.Envelope(ctx, []byte("payload"), nil)
	if err != nil {
		t.Fatal(err)
	}
	secretKey, resealed, err := ring.RotateData(ctx, keyring.Secret)
	if err != nil || resealed != 1 {
		t.Fatalf("resealed %d, %v", resealed, err)
	}
	payloadKey, _, err := ring.RotateData(ctx, keyring.Payload)
	if err != nil || payloadKey == old.KeyID {
		t.Fatalf("payload key %d, %v", payloadKey, err)
	}
	var under int64
	if err := db.Console.QueryRow(ctx, `SELECT data_key FROM secret`).Scan(&under); err != nil || under != secretKey {
		t.Errorf("the secret is under key %d, %v", under, err)
	}
	for _, r := range []*keyring.Ring{ring, other, newRing(t, db, kek("a"), config.KeySource{})} {
		if value, err := r.Secrets().Lookup(ctx, "crm"); err != nil || value.Plain() != "value" {
			t.Errorf("the secret: %v", err)
		}
		if plain, err := r.OpenEnvelope(ctx, old, nil); err != nil || string(plain) != "payload" {
			t.Errorf("the old payload: %v", err)
		}
	}
	if e, err := other.Envelope(ctx, nil, nil); err != nil || e.KeyID != old.KeyID {
		t.Errorf("a process that has not heard of it: key %d, %v", e.KeyID, err)
	}
	if err := other.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if e, err := other.Envelope(ctx, nil, nil); err != nil || e.KeyID != payloadKey {
		t.Errorf("a process that has: key %d, %v", e.KeyID, err)
	}
	other.WearOut()
	if e, err := other.Envelope(ctx, []byte("x"), nil); err != nil || e.KeyID != payloadKey {
		t.Errorf("with a new wrapping key: key %d, %v", e.KeyID, err)
	} else if plain, err := ring.OpenEnvelope(ctx, e, nil); err != nil || string(plain) != "x" {
		t.Errorf("under a new wrapping key: %q, %v", plain, err)
	}
}

func TestRotateMaster_WrapsEveryKeyAnew(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	before := newRing(t, db, kek("a"), config.KeySource{})
	if err := before.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := before.Secrets().Set(ctx, "crm", "value"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := before.RotateData(ctx, keyring.Payload); err != nil {
		t.Fatal(err)
	}
	if _, err := newRing(t, db, kek("b"), config.KeySource{}).RotateMaster(ctx); !strings.Contains(err.Error(), "LEADLINE_KEK_PREVIOUS") {
		t.Errorf("without the previous key: %v", err)
	}
	between := newRing(t, db, kek("b"), kek("a"))
	if n, err := between.RotateMaster(ctx); err != nil || n != 4 {
		t.Fatalf("%d keys, %v", n, err)
	}
	if n, err := between.RotateMaster(ctx); err != nil || n != 0 {
		t.Errorf("again: %d keys, %v", n, err)
	}
	for _, r := range []*keyring.Ring{before, between, newRing(t, db, kek("b"), config.KeySource{})} { // before had opened its keys
		if value, err := r.Secrets().Lookup(ctx, "crm"); err != nil || value.Plain() != "value" {
			t.Errorf("%v: %v", r, err)
		}
	}
	if _, err := newRing(t, db, kek("a"), config.KeySource{}).Secrets().Lookup(ctx, "crm"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with the old key alone: %v", err)
	}
	if all := actions(t, db); all["master_key.rotated"] != 1 || all["data_key.rotated"] != 1 {
		t.Errorf("recorded: %v", all)
	}
}

func TestGiveUp_MakesRoomForNewKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	before := newRing(t, db, kek("a"), config.KeySource{})
	if err := before.Secrets().Set(ctx, "crm", "value"); err != nil {
		t.Fatal(err)
	}
	signing, _, err := before.Sign(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	after := newRing(t, db, kek("b"), config.KeySource{})
	if err := after.Ready(ctx); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("%v", err)
	}
	lostKEK := ""
	if err := db.Console.QueryRow(ctx, `SELECT kek FROM data_key LIMIT 1`).Scan(&lostKEK); err != nil {
		t.Fatal(err)
	}
	if _, err := before.GiveUp(ctx, lostKEK); !fault.Is(err, fault.Conflict) {
		t.Errorf("whoever has the key gave it up: %v", err)
	}
	if lost, err := after.GiveUp(ctx, lostKEK); err != nil || lost.Keys != 2 || !slices.Equal(lost.Secrets, []string{"crm"}) {
		t.Fatalf("%+v, %v", lost, err)
	}
	if _, err := after.GiveUp(ctx, lostKEK); !fault.Is(err, fault.NotFound) {
		t.Errorf("again: %v", err)
	}
	if err := after.Ready(ctx); err != nil {
		t.Errorf("%v", err)
	}
	if err := after.Secrets().Set(ctx, "crm", "value"); err != nil {
		t.Errorf("%v", err)
	}
	if n, err := newRing(t, db, kek("c"), kek("b")).RotateMaster(ctx); err != nil || n != 3 {
		t.Errorf("the next rotation: %d keys, %v", n, err)
	}
	if key, err := after.PublicKey(ctx, signing); err != nil || len(key) == 0 {
		t.Errorf("signatures from before cannot be verified: %v", err)
	}
}

func TestRotation_NeverFailsAReader(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db := pgtest.New(t)
	a, b := newRing(t, db, kek("a"), kek("b")), newRing(t, db, kek("b"), kek("a"))
	if err := a.Secrets().Set(ctx, "crm", "value"); err != nil {
		t.Fatal(err)
	}
	old, err := a.Envelope(ctx, []byte("payload"), []byte("lead"))
	if err != nil {
		t.Fatal(err)
	}
	var using sync.WaitGroup
	use := func(what string, do func() error) {
		using.Go(func() {
			for ctx.Err() == nil {
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	for _, r := range []*keyring.Ring{a, b} {
		use("look up", func() error {
			value, err := r.Secrets().Lookup(context.Background(), "crm")
			if err == nil && value.Plain() != "value" {
				err = errors.New("another value")
			}
			return err
		})
		use("set", func() error { return r.Secrets().Set(context.Background(), "crm", "value") })
		use("a process that has just started", func() error {
			_, err := newRing(t, db, kek("b"), kek("a")).OpenEnvelope(context.Background(), old, []byte("lead"))
			return err
		})
		use("seal and open", func() error {
			e, err := r.Envelope(context.Background(), []byte("x"), []byte("lead"))
			if err == nil {
				_, err = b.OpenEnvelope(context.Background(), e, []byte("lead"))
			}
			return errors.Join(err, r.Refresh(context.Background()))
		})
		use("sign", func() error { _, _, err := r.Sign(context.Background(), []byte("head")); return err })
	}
	for i := range 12 {
		r := []*keyring.Ring{a, b}[i%2]
		for _, purpose := range keyring.Purposes {
			if _, _, err := r.RotateData(ctx, purpose); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.RotateMaster(ctx); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	using.Wait()
	if plain, err := a.OpenEnvelope(context.Background(), old, []byte("lead")); err != nil || string(plain) != "payload" {
		t.Errorf("the first payload: %q, %v", plain, err)
	}
}
