// Package erasure takes a person out of everything that Leadline keeps, in one place and one transaction, and keeps them out.
//
// What goes: the contact, every raw payload with its key, the identities by which repeats are known, free words of people about the
// person, and what is left over in the lead's own row. What stays: that there was a lead, when, where it was sent and what became of
// it, so that counts, decisions and the audit chain still hold; decisions keep the least facts that lead to them again.
//
// Before anything is erased the erasure is written to a list outside the database, as keyed hashes and ids. A backup that is restored
// later holds the person again: ReplayMissing carries out, before the doors open, what the database has not heard of.
//
// It assumes a migrated database. main calls ReplayMissing at start and Erase for leadline erase; both take one lock, so that at any
// time one erasure is under way, wherever.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/lead"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
	"leadline/internal/routing"
)

// Options are what a Service needs; Committed and Log may be nil.
type Options struct {
	DB     *postgres.DB
	Secret []byte // the installation's; keys the hashes on the list, and the fingerprints of intake
	List   string // the file outside the database
	// TableOf gives the routing table of a version of the configuration: Tables.
	TableOf   func(ctx context.Context, version int64) (*routing.Table, error)
	Log       *slog.Logger
	Committed func() // events were written: wakes the live stream
}

// Service erases people. Safe for concurrent use.
type Service struct {
	Options
	list    *list
	subject []byte // key of the hashes on the list
}

// New makes a Service. Nothing is read before the first call.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Committed == nil {
		o.Committed = func() {}
	}
	return &Service{Options: o, list: &list{path: o.List}, subject: subjectKey(o.Secret)}
}

// Request names a person in one of three ways, and says why. The reason is kept in the audit chain: it must not name the person.
type Request struct {
	Lead   *uuid.UUID // any lead or later submission of the person
	Email  privacy.Text
	Phone  privacy.Text // of enquiries that came without an e-mail address
	Reason string
}

// Result says what was erased, or with Find what would be.
type Result struct {
	ID          uuid.UUID // of the erasure; zero from Find
	Leads       []uuid.UUID
	Forms       []string
	Submissions int            // those that made the leads, joined or corrected them
	Payloads    int            // raw payloads that were still kept
	Records     map[string]int // connection to how many of the leads it was sent: to be deleted there by hand
	// SharesPhone counts further leads that name the phone number asked for beside an e-mail address. They may be somebody else's, so
	// they are left alone; erase them by their id if they are not.
	SharesPhone int
}

// maxReason bounds a reason; more belongs into a file of the data protection officer.
const maxReason = 500

// lockKey is the advisory lock of whoever erases.
const lockKey int64 = 0x4C52 << 48

// Erase erases a person. When it returns nil, everything is gone and consoles have been told. NotFound: nobody is known by that.
// Invalid: the request is incomplete, or its reason names the person. After any other error the erasure may be on the list already; it is
// then carried out at the next start of a server, and repeating Erase is harmless.
func (s *Service) Erase(ctx context.Context, r Request) (Result, error) {
	who, err := r.check()
	if err != nil {
		return Result{}, err
	}
	var result Result
	err = s.locked(ctx, func(conn *pgx.Conn) error {
		found, err := s.find(ctx, conn, who)
		if err != nil {
			return err
		}
		if found.hintedAtBy(r.Reason) {
			return invalid("reason", "names_person", "The reason names the person. It is kept, so leave names, addresses and numbers out.")
		}
		e := entry{ID: uuid.Must(uuid.NewV7()), At: found.at.UTC(), Subjects: s.subjects(found), Leads: found.ids()}
		if err := s.list.append(e); err != nil {
			return err
		}
		if err := s.carryOut(ctx, conn, e, found, audit.PersonErased, r.Reason); err != nil {
			return fmt.Errorf("the erasure is on the list and will be carried out at the next start of a server; to have it now, repeat the command: %w", err)
		}
		result = found.result(e.ID)
		return s.stragglers(ctx, conn, wanted{emails: found.emails, phones: found.phones}, e, &result)
	})
	if err != nil {
		return Result{}, err
	}
	s.tell(ctx)
	return result, nil
}

// tell wakes the live streams, here and in other processes. A hint that is lost costs a moment, nothing else.
func (s *Service) tell(ctx context.Context) {
	s.Committed()
	if _, err := s.DB.Jobs.Exec(ctx, `SELECT pg_notify('leadline', 'event')`); err != nil {
		s.Log.WarnContext(ctx, "other processes were not told of an erasure", "error", err)
	}
}

// maxRounds bounds how often leads are looked for that were committed while the person was being erased.
const maxRounds = 3

// stragglers erases leads of the person that were accepted before the erasure and became visible during it.
func (s *Service) stragglers(ctx context.Context, conn *pgx.Conn, who wanted, e entry, result *Result) error {
	for range maxRounds {
		late, err := s.find(ctx, conn, who)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if late.keepBefore(e.At); len(late.leads) == 0 {
			return nil
		}
		e.Leads = append(e.Leads, late.ids()...)
		if err := s.list.append(e); err != nil {
			return err
		}
		if err := s.carryOut(ctx, conn, e, late, audit.PersonErased, ""); err != nil {
			return err
		}
		result.Leads = append(result.Leads, late.ids()...)
	}
	return nil
}

// Find tells what Erase would erase, and changes nothing.
func (s *Service) Find(ctx context.Context, r Request) (Result, error) {
	if r.Reason == "" {
		r.Reason = "none"
	}
	who, err := r.check()
	if err != nil {
		return Result{}, err
	}
	var result Result
	err = s.locked(ctx, func(conn *pgx.Conn) error {
		found, err := s.find(ctx, conn, who)
		if err == nil {
			result = found.result(uuid.Nil)
		}
		return err
	})
	return result, err
}

// check reads a request; addresses get the form in which they are stored.
func (r Request) check() (wanted, error) {
	ways := 0
	for _, given := range []bool{r.Lead != nil, r.Email != "", r.Phone != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return wanted{}, invalid("lead", "one_of", "Name the person by a lead, an e-mail address or a phone number: one of the three.")
	case strings.TrimSpace(r.Reason) == "":
		return wanted{}, invalid("reason", "required", "Say why, without naming the person.")
	case utf8.RuneCountInString(r.Reason) > maxReason:
		return wanted{}, invalid("reason", "too_long", fmt.Sprintf("This is longer than %d characters. Shorten it.", maxReason))
	}
	// A form without any rules of its own: what it makes of an address is what intake stored.
	sub, err := lead.NormaliseAnswers(&lead.Form{}, lead.Raw{Email: r.Email, Phone: r.Phone})
	if err != nil {
		return wanted{}, err
	}
	w := wanted{lead: r.Lead}
	if email := sub.Contact.Email.Plain(); email != "" {
		w.emails = []string{lead.EmailMatch(email)}
	}
	if phone := sub.Contact.Phone.Plain(); phone != "" {
		w.phones = []string{phone}
	}
	return w, nil
}

func invalid(field, code, message string) error {
	f := fault.New(fault.Invalid, "%s", message)
	f.Code, f.Fields = "fields", []fault.Field{{Field: field, Code: code, Message: message}}
	return f
}

// locked runs f on a connection of its own that holds the lock of erasures.
func (s *Service) locked(ctx context.Context, f func(conn *pgx.Conn) error) error {
	conn, err := s.DB.Connect(ctx, "leadline-erasure")
	if err != nil {
		return fmt.Errorf("connect to erase: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // with it goes the lock
	}()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, lockKey); err != nil {
		return fmt.Errorf("wait for other erasures: %w", err)
	}
	return f(conn)
}

// errDamaged says that the list cannot be relied on.
var errDamaged = errors.New("the erasure list is damaged")
