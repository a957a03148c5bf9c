package intake_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/internal/spool"
)

// away takes the test's database away, as a stopped server would be, until back is called.
func (b *bench) away() (back func()) {
	b.t.Helper()
	config := b.db.Console.Config().ConnConfig.Copy()
	name := pgx.Identifier{config.Database}.Sanitize()
	database := config.Database
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	do := func(query string, args ...any) {
		b.t.Helper()
		if _, err := conn.Exec(context.Background(), query, args...); err != nil {
			b.t.Fatal(err)
		}
	}
	do(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS false`)
	do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database)
	back = sync.OnceFunc(func() {
		do(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS true`)
		_ = conn.Close(context.Background())
		b.db.Console.Reset() // its connections are dead, and the test asks through it
	})
	b.t.Cleanup(back)
	return back
}

func (b *bench) spool(dir string) *spool.Spool {
	b.t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, Now: time.Now, Seal: b.ring.Envelope, Open: b.ring.OpenEnvelope})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Close)
	return s
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestSpool_WhatComesWhileTheDatabaseIsAwayIsStoredOnceWhenItIsBack(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	var fresh atomic.Int64
	box := b.spool(dir)
	b.Service, b.stop = b.start(func(o *intake.Options) {
		o.Spool = box
		o.Committed = func(n int) { fresh.Add(int64(n)) }
	})
	b.accept(leadRaw(0, key(0)))
	back := b.away()
	const people = 60
	var all sync.WaitGroup
	for p := range people {
		for try := range 2 { // everybody presses twice: with one key, with two, or with none
			all.Go(func() {
				raw := leadRaw(p, key(p))
				switch p % 3 {
				case 1:
					raw.ClientKey = key(1000 + 2*p + try)
				case 2:
					raw.ClientKey = ""
				}
				start := time.Now()
				_, err := b.Accept(context.Background(), demo, raw, lead.Arrival{})
				if !fault.Is(err, fault.Unavailable) || code(err) != "spooled" || time.Since(start) > 5*time.Second {
					t.Errorf("person %d: %v after %v", p, err, time.Since(start))
				}
			})
		}
	}
	all.Wait()
	const asked = people / 3 // with the same key twice: kept once
	if n, oldest := box.Waiting(); n != 2*people-asked || oldest.IsZero() {
		t.Fatalf("%d wait since %v", n, oldest)
	}
	back()
	eventually(t, "the spool to be empty", func() bool { n, _ := box.Waiting(); return n == 0 })
	if n := b.count(`SELECT count(*) FROM lead JOIN contact ON lead_id = id`); n != people || fresh.Load() < people {
		t.Errorf("%d leads of %d people, %d announced", n, people, fresh.Load())
	}
	// A client that did not give up: the answer it gets now is that of a retry.
	if got := b.accept(leadRaw(3, key(3))); !got.Duplicate {
		t.Errorf("the retry of a spooled submission: %+v", got)
	}
}

// TestSpool_KeepsTheLastAnswersOfAVisitorWhoChangesTheirMind: asking again for the same is one record, but going back to earlier answers
// is a new one.
func TestSpool_KeepsTheLastAnswersOfAVisitorWhoChangesTheirMind(t *testing.T) {
	b := newBench(t)
	box := b.spool(t.TempDir())
	b.Service, b.stop = b.start(func(o *intake.Options) { o.Spool = box })
	back := b.away()
	const first, second = "+4930901821", "+4930901822"
	for i, phone := range []privacy.Text{first, first, second, second, first} {
		_, err := b.Accept(t.Context(), demo, lead.Raw{Email: person(1), Phone: phone, ClientKey: key(1)}, lead.Arrival{})
		if n, _ := box.Waiting(); code(err) != "spooled" || n != i/2+1 {
			t.Fatalf("%v, %d records wait", err, n)
		}
	}
	back()
	eventually(t, "the spool to be empty", func() bool { n, _ := box.Waiting(); return n == 0 })
	if _, c := b.lead(b.accept(lead.Raw{Email: person(1), ClientKey: key(99)}).LeadID); c.Phone != first {
		t.Errorf("the lead has the number %s", c.Phone.Plain())
	}
}

func TestSpool_OutlivesTheProcess(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	first := b.spool(dir)
	service, stop := b.start(func(o *intake.Options) { o.Spool = first })
	if _, err := service.Accept(context.Background(), demo, leadRaw(1, key(1)), lead.Arrival{}); err != nil {
		t.Fatal(err)
	}
	back := b.away()
	if _, err := service.Accept(context.Background(), demo, leadRaw(2, ""), lead.Arrival{}); code(err) != "spooled" {
		t.Fatal(err)
	}
	stop()
	first.Close()
	back()
	second := b.spool(dir)
	b.start(func(o *intake.Options) { o.Spool = second })
	eventually(t, "the next process to store it", func() bool { return b.count(`SELECT count(*) FROM lead`) == 2 })
}

// TestSpool_AnOlderCorrectionDoesNotUndoANewerOne: what was sent first, and spooled, may reach the database last.
func TestSpool_AnOlderCorrectionDoesNotUndoANewerOne(t *testing.T) {
	b := setup(t, nil)
	ctx := context.Background()
	form := func(phone privacy.Text) lead.Raw {
		return lead.Raw{Email: person(1), Phone: phone, ClientKey: key(1)}
	}
	phone := func() privacy.Text {
		_, c := b.lead(b.accept(lead.Raw{Email: person(1), ClientKey: key(99)}).LeadID)
		return c.Phone
	}
	const wrong, right, latest = "+4930901821", "+4930901822", "+4930901823"

	early := b.Prepared(demo, form(wrong)) // sent, but the database was away
	b.accept(form(right))
	if err := b.Unspool(ctx, early); err != nil {
		t.Fatal(err)
	}
	if got := phone(); got.Plain() != right {
		t.Errorf("an older submission changed the lead: %s", got.Plain())
	}
	middle, last := b.Prepared(demo, form(wrong)), b.Prepared(demo, form(latest))
	for range 2 { // draining again changes nothing
		for _, sub := range []*lead.Submission{last, middle} {
			if err := b.Unspool(ctx, sub); err != nil {
				t.Fatal(err)
			}
		}
		if got := phone(); got.Plain() != latest {
			t.Errorf("got %s", got.Plain())
		}
	}
	if n := b.count(`SELECT count(*) FROM touch WHERE kind = 'amend'`); n != 1 {
		t.Errorf("%d amendments", n)
	}
}

func TestSpool_ARecordHoldsEveryPartOfASubmission(t *testing.T) {
	var sub lead.Submission
	fill(t, reflect.ValueOf(&sub).Elem())
	again, err := intake.Respool(&sub)
	if err != nil || !reflect.DeepEqual(&sub, again) {
		t.Errorf("%v\ngot  %#v\nwant %#v", err, again, &sub)
	}
}

// fill sets everything in a value to something that is not zero, so that a part that is added later is looked at too.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("words in clear")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(42)
	case reflect.Float64:
		v.SetFloat(4.5)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		t.Fatalf("a submission has a part of kind %s that this test does not know", v.Kind())
	}
}

func TestAccept_AFullSpoolRefusesAndKeepsWhatItHas(t *testing.T) {
	b := newBench(t)
	box, err := spool.Open(spool.Options{Dir: t.TempDir(), Limit: 4000, Now: time.Now, Seal: b.ring.Envelope, Open: b.ring.OpenEnvelope})
	if err != nil {
		t.Fatal(err)
	}
	service, _ := b.start(func(o *intake.Options) { o.Spool = box })
	back := b.away()
	kept, refused := 0, 0
	for i := range 10 {
		_, err := service.Accept(context.Background(), demo, leadRaw(i, key(i)), lead.Arrival{})
		switch code(err) {
		case "spooled":
			kept++
		case "database_away", "unknown_outcome":
			refused++
		default:
			t.Fatalf("got %v", err)
		}
	}
	if n, _ := box.Waiting(); kept == 0 || refused == 0 || n != kept {
		t.Fatalf("%d kept, %d refused, %d wait", kept, refused, n)
	}
	back()
	eventually(t, "what was kept to be stored", func() bool { return b.count(`SELECT count(*) FROM lead`) >= kept })
}

// TestSpool_AForeignKeyIsSpooledAsItWasSent lets callers leave at once while a writer finds that their keys are others'. What they sent
// is spooled as they sent it, and it counts once, whoever was faster.
func TestSpool_AForeignKeyIsSpooledAsItWasSent(t *testing.T) {
	b := newBench(t)
	box := b.spool(t.TempDir())
	b.Service, b.stop = b.start(func(o *intake.Options) { o.Spool = box })
	gone, leave := context.WithCancel(t.Context())
	leave()
	const people = 100
	var all sync.WaitGroup
	for p := range people {
		b.accept(leadRaw(p, key(p)))
		all.Go(func() {
			if _, err := b.Accept(gone, demo, leadRaw(people+p, key(p)), lead.Arrival{}); err != nil && code(err) != "spooled" {
				t.Errorf("person %d: %v", people+p, err)
			}
		})
	}
	all.Wait()
	eventually(t, "the spool to be empty", func() bool { n, _ := box.Waiting(); return n == 0 })
	if leads, touches := b.count(`SELECT count(*) FROM lead`), b.count(`SELECT count(*) FROM touch`); leads != 2*people || touches != 0 {
		t.Errorf("%d leads and %d touches of %d people", leads, touches, 2*people)
	}
}
