package keyring_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"leadline/internal/config"
	"leadline/internal/fault"
	"leadline/internal/keyring"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// kek is a key-encryption key of one letter.
func kek(letter string) config.KeySource {
	return config.KeySource{Key: []byte(strings.Repeat(letter, 32))}
}

// newRing is a process with LEADLINE_SECRET "secret" and these key-encryption keys; none is the zero source.
func newRing(t testing.TB, db *postgres.DB, current, previous config.KeySource) *keyring.Ring {
	t.Helper()
	master, err := keyring.ReadMaster(t.Context(), []byte("the installation's secret"), current, previous)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), db, master)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// actions counts what the audit chain says about keys and secrets.
func actions(t *testing.T, db *postgres.DB) map[string]int {
	t.Helper()
	rows, err := db.Console.Query(t.Context(), `SELECT action, count(*) FROM audit GROUP BY action`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var action string
		var n int
		if err := rows.Scan(&action, &n); err != nil {
			t.Fatal(err)
		}
		all[action] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRing_OpensWhatItSealedAndNothingElse(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ring := newRing(t, pgtest.New(t), kek("a"), config.KeySource{})
	id, sealed, err := ring.Seal(ctx, keyring.Secret, []byte("xoxb-1"), []byte("chat"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := ring.Open(ctx, id, sealed, []byte("chat")); err != nil || string(plain) != "xoxb-1" {
		t.Fatalf("%q, %v", plain, err)
	}
	other, _, err := ring.Seal(ctx, keyring.Payload, []byte("xoxb-1"), []byte("chat"))
	if err != nil {
		t.Fatal(err)
	}
	later, _, err := ring.RotateData(ctx, keyring.Secret)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for what, attempt := range map[string]struct {
		id     int64
		sealed []byte
		aad    string
	}{
		"another name":    {id, sealed, "crm"},
		"no name":         {id, sealed, ""},
		"another purpose": {other, sealed, "chat"},
		"the next key":    {later, sealed, "chat"},
		"a changed byte":  {id, changed, "chat"},
		"cut off":         {id, sealed[:20], "chat"},
		"nothing":         {id, nil, "chat"},
	} {
		if plain, err := ring.Open(ctx, attempt.id, attempt.sealed, []byte(attempt.aad)); !errors.Is(err, keyring.ErrDamaged) || plain != nil {
			t.Errorf("%s: %q, %v", what, plain, err)
		}
	}
	if _, err := ring.Open(ctx, 4711, sealed, []byte("chat")); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key that does not exist: %v", err)
	}
}

func TestEnvelope_OpensWholeAndInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	ring := newRing(t, db, kek("a"), config.KeySource{})
	seal := func(text, aad string) keyring.Envelope {
		e, err := ring.Envelope(ctx, []byte(text), []byte(aad))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	a, b := seal("first", "lead 1"), seal("second", "lead 2")
	for _, r := range []*keyring.Ring{ring, newRing(t, db, kek("a"), config.KeySource{})} {
		if plain, err := r.OpenEnvelope(ctx, a, []byte("lead 1")); err != nil || string(plain) != "first" {
			t.Errorf("%q, %v", plain, err)
		}
	}
	if bytes.Equal(a.Wrapped[32:], b.Wrapped[32:]) || len(a.Sealed) != len("first")+16 {
		t.Errorf("%d, %d", len(a.Wrapped), len(a.Sealed))
	}
	signing, _, err := ring.Sign(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, at int) []byte { c := slices.Clone(b); c[at] ^= 1; return c }
	for what, attempt := range map[string]keyring.Envelope{
		"the other's content": {KeyID: a.KeyID, Wrapped: a.Wrapped, Sealed: b.Sealed},
		"the other's key":     {KeyID: a.KeyID, Wrapped: b.Wrapped, Sealed: a.Sealed},
		"the other whole":     b,
		"a signing key":       {KeyID: signing, Wrapped: a.Wrapped, Sealed: a.Sealed},
		"another salt":        {KeyID: a.KeyID, Wrapped: flip(a.Wrapped, 0), Sealed: a.Sealed},
		"another nonce":       {KeyID: a.KeyID, Wrapped: flip(a.Wrapped, 40), Sealed: a.Sealed},
		"a changed key":       {KeyID: a.KeyID, Wrapped: flip(a.Wrapped, 50), Sealed: a.Sealed},
		"changed content":     {KeyID: a.KeyID, Wrapped: a.Wrapped, Sealed: flip(a.Sealed, 0)},
		"no key":              {KeyID: a.KeyID, Sealed: a.Sealed},
		"no content":          {KeyID: a.KeyID, Wrapped: a.Wrapped},
	} {
		if plain, err := ring.OpenEnvelope(ctx, attempt, []byte("lead 1")); !errors.Is(err, keyring.ErrDamaged) || plain != nil {
			t.Errorf("%s: %q, %v", what, plain, err)
		}
	}
}

func TestSign_IsVerifiedByThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	ring := newRing(t, db, kek("a"), config.KeySource{})
	id, signature, err := ring.Sign(ctx, []byte("head 1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ring.RotateData(ctx, keyring.Audit); err != nil {
		t.Fatal(err)
	}
	next, _, err := ring.Sign(ctx, []byte("head 2"))
	if err != nil || next == id {
		t.Fatalf("after the rotation: key %d, %v", next, err)
	}
	stranger := newRing(t, db, kek("z"), config.KeySource{}) // verifying needs no key-encryption key
	public, err := stranger.PublicKey(ctx, id)
	if err != nil || !ed25519.Verify(public, []byte("head 1"), signature) || ed25519.Verify(public, []byte("head 2"), signature) {
		t.Errorf("the old key does not verify: %v", err)
	}
	secret, _, err := ring.Seal(ctx, keyring.Secret, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.PublicKey(ctx, secret); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key that signs nothing: %v", err)
	}
	if _, err := db.Console.Exec(ctx, `UPDATE data_key SET public = $1 WHERE id = $2`, make([]byte, 32), next); err != nil {
		t.Fatal(err)
	}
	if _, _, err := newRing(t, db, kek("a"), config.KeySource{}).Sign(ctx, nil); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("a public half that was exchanged: %v", err)
	}
}

func TestRing_FirstKeyIsMadeOnceAndEachProcessRecordsItsUse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const processes = 4
	ids := make([]int64, 8*processes)
	var wg sync.WaitGroup
	for p := range processes {
		ring := newRing(t, db, kek("a"), config.KeySource{})
		for i := range 8 {
			wg.Go(func() {
				e, err := ring.Envelope(context.Background(), []byte("x"), nil)
				if err != nil {
					t.Error(err)
				}
				ids[8*p+i] = e.KeyID
			})
		}
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] == 0 || ids[0] != ids[len(ids)-1] {
		t.Errorf("keys %v", ids)
	}
	if all := actions(t, db); all["data_key.made"] != 1 || all["key.used"] != processes {
		t.Errorf("recorded: %v", all)
	}
}

func TestRing_DoesNotOpenAKeyThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	id, sealed, err := newRing(t, db, kek("a"), config.KeySource{}).Seal(ctx, keyring.Secret, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Console.Exec(ctx, `ALTER TABLE audit_head RENAME TO elsewhere`); err != nil {
		t.Fatal(err)
	}
	if plain, err := newRing(t, db, kek("a"), config.KeySource{}).Open(ctx, id, sealed, nil); err == nil {
		t.Errorf("opened without a record: %q", plain)
	}
}

func TestRing_NamesTheSettingWhenTheKeyIsAnother(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := pgtest.New(t)
	id, sealed, err := newRing(t, db, config.KeySource{}, config.KeySource{}).Seal(ctx, keyring.Secret, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The derived key still opens once there is a LEADLINE_KEK, so that moving to one needs no LEADLINE_KEK_PREVIOUS.
	if plain, err := newRing(t, db, kek("a"), config.KeySource{}).Open(ctx, id, sealed, nil); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	master, err := keyring.ReadMaster(ctx, []byte("another installation's secret"), config.KeySource{}, config.KeySource{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyring.Open(ctx, db, master)
	if err != nil {
		t.Fatal(err)
	}
	var known *fault.Error
	for what, err := range map[string]error{"Ready": other.Ready(ctx), "Set": other.Secrets().Set(ctx, "crm", "x")} {
		if !errors.As(err, &known) || known.Code != keyring.CodeUnknownKEK || known.RetryAfter == 0 {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, word := range []string{"LEADLINE_KEK", "LEADLINE_KEK_PREVIOUS", "LEADLINE_SECRET", master.Fingerprint()} {
			if !strings.Contains(known.Message, word) {
				t.Errorf("%s does not name %s: %s", what, word, known.Message)
			}
		}
	}
}

func TestRing_PrintsNoKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ring := newRing(t, pgtest.New(t), kek("a"), kek("b"))
	if err := ring.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	master, err := keyring.ReadMaster(ctx, []byte(strings.Repeat("s", 32)), kek("a"), kek("b"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", ring, master, &master)
	}
	text, err := json.Marshal([]any{ring, master})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "ring", ring, "master", master)
	for _, letter := range []string{"a", "b", "s"} {
		key := strings.Repeat(letter, 8)
		for _, hidden := range []string{key, hex.EncodeToString([]byte(key)), strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", letter[0]), 4))} {
			if strings.Contains(out.String(), hidden) {
				t.Errorf("%q came out in %s", hidden, out.String())
			}
		}
	}
	if out.Len() > 4000 {
		t.Errorf("it prints more than a fingerprint: %s", out.String())
	}
}

func BenchmarkEnvelope(b *testing.B) {
	ring := newRing(b, pgtest.New(b), kek("a"), config.KeySource{})
	if err := ring.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	plain, aad := bytes.Repeat([]byte("x"), 600), bytes.Repeat([]byte("y"), 16)
	b.ReportAllocs()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ring.Envelope(context.Background(), plain, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := ring.Envelope(context.Background(), plain, aad); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("open", func(b *testing.B) {
		e, err := ring.Envelope(context.Background(), plain, aad)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ring.OpenEnvelope(context.Background(), e, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
}
