package intake_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/keyring"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// sent is a request of a person: what it says, and its bytes.
func sent(email privacy.Text, name, key, body string) lead.Raw {
	return lead.Raw{Name: privacy.Text(name), Email: email, ClientKey: key, BodyType: "text/odd; v=1", Body: privacy.Text(body), CorrelationID: "c-" + name}
}

func TestPayload_EverySubmissionIsKeptAsItCameAndAReplayIsNot(t *testing.T) {
	b := setup(t, nil)
	ctx := context.Background()
	first := b.accept(sent(person(1), "Anna", key(1), `{"name":"Anna <&>  "}`))
	b.accept(sent(person(1), "Anna", key(1), `a replay`))
	repeat := b.accept(sent(person(1), "Ann", key(2), "not \xff\x00 text"))
	b.accept(sent(person(1), "Anne", key(1), "resent")) // the same key with another answer
	if err := b.Amend(ctx, demo, repeat.SubmissionID, sent("", "Annie", "", "more")); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		kind, body, correlation string
		amends                  uuid.UUID
	}{
		{"first", `{"name":"Anna <&>  "}`, "c-Anna", uuid.Nil},
		{"repeat", "not \xff\x00 text", "c-Ann", uuid.Nil},
		{"amend", "resent", "c-Anne", first.SubmissionID},
		{"amend", "more", "c-Annie", repeat.SubmissionID},
	}
	kept := b.payloads(repeat.SubmissionID)
	if len(kept) != len(want) {
		t.Fatalf("%d payloads", len(kept))
	}
	for i, w := range want {
		p := kept[i]
		if p.Kind != w.kind || p.Body.Plain() != w.body || p.ContentType != "text/odd; v=1" || p.CorrelationID.Plain() != w.correlation || p.Amends != w.amends || p.At.IsZero() {
			t.Errorf("payload %d: %s %q %q amends %s", i, p.Kind, p.Body.Plain(), p.CorrelationID.Plain(), p.Amends)
		}
	}
	if kept[0].Submission != first.SubmissionID || kept[1].Submission != repeat.SubmissionID {
		t.Error("payloads belong to other submissions")
	}
	if n := b.count(`SELECT count(*) FROM audit WHERE action = 'payload.read' AND object = $1 AND detail = '{"submissions":4}'`, first.LeadID.String()); n != 1 {
		t.Errorf("%d records of the reading", n)
	}
	if n := b.count(`SELECT count(*) FROM touch WHERE payload <> '{}'`); n != 0 {
		t.Errorf("%d touches hold answers in clear", n)
	}
	if n := b.count(`SELECT count(*) FROM payload p WHERE position('Ann'::bytea IN p.sealed) > 0`); n != 0 {
		t.Errorf("%d payloads in clear", n)
	}
}

func TestPayload_OpensForItsOwnSubmissionAlone(t *testing.T) {
	b := setup(t, nil)
	one, two := b.accept(sent(person(1), "Anna", key(1), "one")), b.accept(sent(person(2), "Ben", key(2), "two"))
	b.exec(`UPDATE payload p SET data_key = o.data_key, wrapped = o.wrapped, sealed = o.sealed FROM payload o WHERE p.submission = $1 AND o.submission = $2`,
		one.LeadID, two.LeadID)
	store := lead.NewPayloadStore(b.db.Gorm, b.ring.OpenEnvelope)
	if _, _, err := store.Read(context.Background(), lead.Everything(), one.LeadID, uuid.Nil); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("a payload that was put in place of another: %v", err)
	}
	if n := b.count(`SELECT count(*) FROM audit WHERE action = 'payload.read'`); n != 0 {
		t.Error("what could not be read was recorded as read")
	}
	if _, _, err := store.Read(context.Background(), lead.Everything(), uuid.Must(uuid.NewV7()), uuid.Nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such lead: %v", err)
	}
}

func TestPayload_WithoutAKeyNothingIsTaken(t *testing.T) {
	for name, seal := range map[string]func(context.Context, []byte, []byte) (keyring.Envelope, error){
		"none": nil, "failing": func(context.Context, []byte, []byte) (keyring.Envelope, error) {
			return keyring.Envelope{}, errors.New("no key")
		},
	} {
		b := setup(t, nil)
		own := b.accept(leadRaw(2, key(2)))
		keyless, _ := b.start(func(o *intake.Options) { o.Seal = seal })
		var f *fault.Error
		if _, err := keyless.Accept(context.Background(), demo, leadRaw(1, key(1)), lead.Arrival{}); !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
			t.Errorf("%s: accept: %v", name, err)
		}
		if err := keyless.Amend(context.Background(), demo, own.SubmissionID, lead.Raw{Name: "x"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: amend: %v", name, err)
		}
		if n := b.count(`SELECT count(*) FROM lead`); n != 1 {
			t.Errorf("%s: %d leads", name, n)
		}
	}
}

// TestPayload_AnErasedLeadTakesNoMore stands in for a correction that comes while the person is erased.
func TestPayload_AnErasedLeadTakesNoMore(t *testing.T) {
	b := setup(t, nil)
	ctx := context.Background()
	own := b.accept(sent(person(1), "Anna", key(1), "one"))
	alias := b.accept(sent(person(1), "Anna", key(2), "two"))
	b.exec(`UPDATE lead SET erased_at = clock_timestamp()`)
	for _, id := range []uuid.UUID{own.SubmissionID, alias.SubmissionID} {
		if err := b.Amend(ctx, demo, id, lead.Raw{Name: "x"}); !fault.Is(err, fault.NotFound) {
			t.Errorf("amend: %v", err)
		}
		if _, err := b.Status(ctx, demo.Slug, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("status: %v", err)
		}
	}
	// The key was found in the ledger, and is gone when the correction comes to it.
	b.exec(`DELETE FROM fingerprint`)
	b.exec(`CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER forget BEFORE UPDATE ON client_key FOR EACH ROW EXECUTE FUNCTION forget()`)
	again, err := b.Accept(ctx, demo, sent(person(1), "Anna B.", key(1), "three"), lead.Arrival{})
	if err != nil || again.SubmissionID != own.SubmissionID {
		t.Errorf("somebody else took the digest first: %+v, %v", again, err)
	}
	if kept := b.payloads(own.LeadID); len(kept) != 2 || !bytes.Equal([]byte(kept[0].Body.Plain()), []byte("one")) {
		t.Errorf("%d payloads", len(kept))
	}
}
