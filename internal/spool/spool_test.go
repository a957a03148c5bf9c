package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/keyring"
	"leadline/internal/spool"
)

// seal is not encryption, which the keyring's own tests prove; it binds content to its place, as the real one does.
func seal(_ context.Context, plain, aad []byte) (keyring.Envelope, error) {
	sealed := bytes.Clone(append(append([]byte{}, aad...), plain...))
	for i := range sealed {
		sealed[i] ^= 0x5a
	}
	return keyring.Envelope{KeyID: 7, Wrapped: []byte("wrapped"), Sealed: sealed}, nil
}

func open(_ context.Context, e keyring.Envelope, aad []byte) ([]byte, error) {
	plain := bytes.Clone(e.Sealed)
	for i := range plain {
		plain[i] ^= 0x5a
	}
	rest, ok := bytes.CutPrefix(plain, aad)
	if !ok || e.KeyID != 7 || string(e.Wrapped) != "wrapped" {
		return nil, keyring.ErrDamaged
	}
	return rest, nil
}

func start(t *testing.T, dir string, limit int64) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, Node: 3, Limit: limit, Now: time.Now, Seal: seal, Open: open})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func waiting(s *spool.Spool) int { n, _ := s.Waiting(); return n }

// each stores records one after the other.
func each(store func(id uuid.UUID, plain []byte) error) func(context.Context, []spool.Record) []error {
	return func(_ context.Context, records []spool.Record) []error {
		errs := make([]error, len(records))
		for i, r := range records {
			errs[i] = store(r.ID, r.Plain)
		}
		return errs
	}
}

// drained collects what a spool gives.
func drained(t *testing.T, s *spool.Spool) map[uuid.UUID]string {
	t.Helper()
	got := map[uuid.UUID]string{}
	err := s.Drain(context.Background(), each(func(id uuid.UUID, plain []byte) error {
		if _, twice := got[id]; twice {
			t.Errorf("record %s was given twice", id)
		}
		got[id] = string(plain)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSpool_GivesEveryRecordOnceAndRemovesItsFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := start(t, dir, 0)
	want := map[uuid.UUID]string{}
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	for g := range 16 {
		all.Go(func() {
			for i := range 20 {
				id, text := uuid.New(), fmt.Sprintf("secret words %d %d", g, i)
				if err := s.Append(context.Background(), id, []byte(text)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				want[id] = text
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if waiting(s) != 320 {
		t.Errorf("%d records wait", waiting(s))
	}
	for _, name := range files(t, dir, "*") {
		if text, err := os.ReadFile(name); err != nil || bytes.Contains(text, []byte("secret words")) {
			t.Errorf("%s holds words in clear (%v)", name, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others", name)
		}
	}
	if got := drained(t, s); len(got) != len(want) {
		t.Errorf("%d of %d records", len(got), len(want))
	} else {
		for id, text := range want {
			if got[id] != text {
				t.Errorf("record %s: %q, want %q", id, got[id], text)
			}
		}
	}
	if left := files(t, dir, "*"); len(left) != 0 || waiting(s) != 0 {
		t.Errorf("left: %v, %d records", left, waiting(s))
	}
}

func TestSpool_RefusesWhatDoesNotFitAndKeepsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, 1000)
	kept := 0
	for range 100 {
		err := s.Append(context.Background(), uuid.New(), make([]byte, 100))
		if err == nil {
			kept++
		} else if !errors.Is(err, spool.ErrFull) {
			t.Fatal(err)
		}
	}
	if kept == 0 || kept > 9 || waiting(s) != kept {
		t.Fatalf("%d kept in 1000 bytes, %d wait", kept, waiting(s))
	}
	// A limit counts what earlier processes left.
	if err := start(t, dir, 1000).Append(context.Background(), uuid.New(), make([]byte, 100)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("a second process: %v", err)
	}
	if got := drained(t, s); len(got) != kept {
		t.Errorf("%d of %d", len(got), kept)
	}
	if err := s.Append(context.Background(), uuid.New(), make([]byte, 100)); err != nil {
		t.Errorf("room was made: %v", err)
	}
}

func TestSpool_OnlyWhatWasRefusedIsGivenAgain(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, 0)
	for i := range 100 {
		if err := s.Append(context.Background(), uuid.New(), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	given, away := 0, errors.New("away")
	err := s.Drain(context.Background(), each(func(uuid.UUID, []byte) error {
		if given++; given > 50 {
			return away
		}
		return nil
	}))
	if !errors.Is(err, away) || waiting(s) != 50 || given > 100 {
		t.Fatalf("%v, %d wait of which %d were given", err, waiting(s), given)
	}
	if got := drained(t, s); len(got) != 50 || len(files(t, dir, "*")) != 0 {
		t.Errorf("%d given again, left: %v", len(got), files(t, dir, "*"))
	}
}

func TestSpool_OneRefusedRecordDoesNotHoldUpTheOthers(t *testing.T) {
	s := start(t, t.TempDir(), 0)
	var order []uuid.UUID
	for range 40 {
		id := uuid.New()
		order = append(order, id)
		if err := s.Append(context.Background(), id, nil); err != nil {
			t.Fatal(err)
		}
	}
	var given []uuid.UUID
	locked := errors.New("locked")
	err := s.Drain(context.Background(), each(func(id uuid.UUID, _ []byte) error {
		given = append(given, id)
		if id == order[4] {
			return locked
		}
		return nil
	}))
	if !errors.Is(err, locked) || waiting(s) != 1 || !slices.Equal(given, order) {
		t.Errorf("%v, %d wait, %d were given", err, waiting(s), len(given))
	}
	if got := drained(t, s); len(got) != 1 || waiting(s) != 0 {
		t.Errorf("%d were given again, %d wait", len(got), waiting(s))
	}
}

func TestSpool_LeavesTheFilesOfTheLivingAndTakesThoseOfTheGone(t *testing.T) {
	dir := t.TempDir()
	one, two := start(t, dir, 0), start(t, dir, 0)
	id := uuid.New()
	if err := one.Append(context.Background(), id, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := drained(t, two); len(got) != 0 {
		t.Fatal("took a living process's record")
	}
	one.Close() // as its end would: the lock falls
	if err := one.Append(context.Background(), id, []byte("y")); err == nil {
		t.Error("a closed spool took a record")
	}
	if waiting(start(t, dir, 0)) != 1 {
		t.Error("a new process does not count what was left")
	}
	if got := drained(t, two); got[id] != "x" {
		t.Errorf("got %v", got)
	}
}

func TestSpool_ATornEndIsDroppedAndDamageIsKept(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		harm    func(text []byte) []byte
		stored  int
		damaged bool
	}{
		{"torn frame", func(b []byte) []byte { return b[:len(b)-3] }, 2, false},
		{"torn head", func(b []byte) []byte { return append(b, 0, 0) }, 3, false},
		{"nothing but a torn first line", func(b []byte) []byte { return b[:5] }, 0, false},
		{"empty", func([]byte) []byte { return nil }, 0, false},
		{"flipped bit", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, 2, true},
		{"impossible length", func(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0) }, 3, true},
		{"another file", func([]byte) []byte { return []byte("something else entirely, not ours") }, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir, 0)
			for range 3 {
				if err := s.Append(ctx, uuid.New(), []byte("words")); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			name := files(t, dir, "*")[0]
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, c.harm(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := drained(t, start(t, dir, 0)); len(got) != c.stored {
				t.Errorf("%d stored, want %d", len(got), c.stored)
			}
			if kept := len(files(t, dir, "*.damaged")) == 1; kept != c.damaged || len(files(t, dir, "*.spool")) != 0 {
				t.Errorf("damaged file kept: %v, want %v", kept, c.damaged)
			}
		})
	}
}

func TestSpool_OneHopelessRecordDoesNotHoldUpTheOthers(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, 0)
	bad := uuid.New()
	for i := range 5 {
		id := uuid.New()
		if i == 2 {
			id = bad
		}
		if err := s.Append(context.Background(), id, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	stored := 0
	err := s.Drain(context.Background(), each(func(id uuid.UUID, _ []byte) error {
		if id == bad {
			return fmt.Errorf("too long: %w", spool.ErrHopeless)
		}
		stored++
		return nil
	}))
	if err != nil || stored != 4 || len(files(t, dir, "*.damaged")) != 1 || waiting(s) != 0 {
		t.Errorf("%v, %d stored, %d kept aside, %d wait", err, stored, len(files(t, dir, "*.damaged")), waiting(s))
	}
}
