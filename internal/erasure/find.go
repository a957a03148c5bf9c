package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// wanted is how a person is looked for: by a lead, or by addresses in the form in which they are compared.
type wanted struct {
	lead   *uuid.UUID
	emails []string
	phones []string
}

// person is what was found of somebody.
type person struct {
	at     time.Time // the database's clock when the search began
	emails []string  // in the form in which they are compared
	phones []string
	leads  []found

	touches  []uuid.UUID // later submissions that joined the leads
	prints   [][]byte    // fingerprints that lead to them, and those that intake would make
	payloads int
	records  map[string]int
	shares   int
}

// found is one lead of a person, with what its contact says.
type found struct {
	id                 uuid.UUID
	form               string
	acceptedAt         time.Time
	email, phone, name string
	company            string
}

func nobody() error {
	return fault.New(fault.NotFound, "Nobody is known by that, or the person was erased already.")
}

// find collects everything about a person. It reads all contacts: erasing is rare, and an index on addresses would cost every lead.
func (s *Service) find(ctx context.Context, conn *pgx.Conn, w wanted) (*person, error) {
	p := &person{emails: w.emails, phones: w.phones}
	err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&p.at)
	if err != nil {
		return nil, fmt.Errorf("look for a person: %w", err)
	}
	if w.lead != nil {
		if err := p.begin(ctx, conn, *w.lead); err != nil {
			return nil, err
		}
	}
	asked := slices.Clone(p.phones)
	if len(p.emails) > 0 {
		if err := p.byEmail(ctx, conn); err != nil {
			return nil, err
		}
	}
	if len(p.phones) > 0 {
		if err := p.byPhone(ctx, conn, asked); err != nil {
			return nil, err
		}
	}
	if len(p.leads) == 0 {
		return nil, nobody()
	}
	return p, s.surroundings(ctx, conn, p)
}

// begin takes the addresses of one lead.
func (p *person) begin(ctx context.Context, conn *pgx.Conn, id uuid.UUID) error {
	rows, err := conn.Query(ctx, foundSQL+` WHERE l.id = coalesce((SELECT lead_id FROM touch WHERE id = $1), $1) AND l.erased_at IS NULL`, id)
	if err != nil {
		return fmt.Errorf("look for a lead: %w", err)
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFound)
	if errors.Is(err, pgx.ErrNoRows) {
		return nobody()
	}
	if err != nil {
		return fmt.Errorf("look for a lead: %w", err)
	}
	p.add(f)
	switch {
	case f.email != "":
		p.emails = []string{lead.EmailMatch(f.email)}
	case f.phone != "":
		p.phones = []string{f.phone}
	}
	return nil
}

const foundSQL = `
SELECT l.id, l.form, l.accepted_at, coalesce(c.email, ''), coalesce(c.phone, ''), coalesce(c.name, ''), coalesce(c.company, '')
FROM lead l LEFT JOIN contact c ON c.lead_id = l.id`

func scanFound(row pgx.CollectableRow) (f found, err error) {
	err = row.Scan(&f.id, &f.form, &f.acceptedAt, &f.email, &f.phone, &f.name, &f.company)
	return f, err
}

// byEmail adds the leads with one of the person's e-mail addresses, and notes their phone numbers. The database folds ASCII alone, so
// whatever holds other characters is compared here.
func (p *person) byEmail(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, foundSQL+` WHERE l.erased_at IS NULL AND c.email <> ''
		AND (lower(c.email COLLATE "C") = ANY($1) OR octet_length(c.email) <> char_length(c.email))`, p.emails)
	if err != nil {
		return fmt.Errorf("look for an e-mail address: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanFound)
	if err != nil {
		return fmt.Errorf("look for an e-mail address: %w", err)
	}
	for _, f := range all {
		if slices.Contains(p.emails, lead.EmailMatch(f.email)) {
			p.add(f)
			if f.phone != "" && !slices.Contains(p.phones, f.phone) {
				p.phones = append(p.phones, f.phone)
			}
		}
	}
	return nil
}

// byPhone adds leads without an e-mail address that have one of the person's phone numbers. One with another e-mail address may be
// a colleague at the same switchboard: it is only counted, and only for a number that was asked for.
func (p *person) byPhone(ctx context.Context, conn *pgx.Conn, asked []string) error {
	rows, err := conn.Query(ctx, foundSQL+` WHERE l.erased_at IS NULL AND c.phone = ANY($1)`, p.phones)
	if err != nil {
		return fmt.Errorf("look for a phone number: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanFound)
	if err != nil {
		return fmt.Errorf("look for a phone number: %w", err)
	}
	for _, f := range all {
		switch {
		case f.email == "":
			p.add(f)
		case len(p.emails) == 0 && slices.Contains(asked, f.phone):
			p.shares++
		}
	}
	return nil
}

func (p *person) add(f found) {
	if !slices.ContainsFunc(p.leads, func(g found) bool { return g.id == f.id }) {
		p.leads = append(p.leads, f)
	}
}

// surroundings finds what hangs on the person's leads.
func (s *Service) surroundings(ctx context.Context, conn *pgx.Conn, p *person) error {
	ids := p.ids()
	rows, err := conn.Query(ctx, `SELECT id FROM touch WHERE lead_id = ANY($1)`, ids)
	if err == nil {
		p.touches, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	}
	if err != nil {
		return fmt.Errorf("look for later submissions: %w", err)
	}
	// A number that a lead came under may have been corrected since; the fingerprint still leads from the old one to it.
	rows, err = conn.Query(ctx, `SELECT fp FROM fingerprint WHERE lead_id = ANY($1)`, ids)
	if err == nil {
		p.prints, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
	}
	if err != nil {
		return fmt.Errorf("look for fingerprints: %w", err)
	}
	for _, form := range p.forms() {
		for _, email := range p.emails {
			p.prints = append(p.prints, lead.PersonFingerprint(s.Secret, form, email, ""))
		}
		for _, phone := range p.phones {
			p.prints = append(p.prints, lead.PersonFingerprint(s.Secret, form, "", phone))
		}
	}
	err = conn.QueryRow(ctx, `SELECT count(*) FROM payload WHERE submission = ANY($1)`, p.submissions()).Scan(&p.payloads)
	if err != nil {
		return fmt.Errorf("look for payloads: %w", err)
	}
	rows, err = conn.Query(ctx, `SELECT connection, count(*) FROM delivery WHERE lead_id = ANY($1) AND destination = 'crm' AND (written > 0 OR sending > 0)
		GROUP BY connection`, ids)
	if err != nil {
		return fmt.Errorf("look for records in CRMs: %w", err)
	}
	p.records = map[string]int{}
	var connection string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&connection, &n}, func() error { p.records[connection] = n; return nil }); err != nil {
		return fmt.Errorf("look for records in CRMs: %w", err)
	}
	return nil
}

// ids are the person's leads in the order in which rows are locked.
func (p *person) ids() []uuid.UUID {
	ids := make([]uuid.UUID, len(p.leads))
	for i, f := range p.leads {
		ids[i] = f.id
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) })
	return ids
}

// submissions are the ids of everything the person sent, as far as it was found.
func (p *person) submissions() []uuid.UUID { return append(p.ids(), p.touches...) }

func (p *person) forms() []string {
	var forms []string
	for _, f := range p.leads {
		forms = append(forms, f.form)
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// keepBefore leaves only leads that were accepted before a moment: what comes later is a new enquiry.
func (p *person) keepBefore(at time.Time) {
	p.leads = slices.DeleteFunc(p.leads, func(f found) bool { return !f.acceptedAt.Before(at) })
}

// namedBy tells whether a text holds an address, a number or the whole name of the person.
func (p *person) namedBy(text string) bool {
	text = lead.EmailMatch(text)
	digits := onlyDigits(text)
	for _, f := range p.leads {
		if f.email != "" && strings.Contains(text, lead.EmailMatch(f.email)) ||
			len(f.phone) > 8 && strings.Contains(digits, onlyDigits(f.phone)[2:]) || // however it is dialled
			len(f.name) > 3 && strings.Contains(text, lead.EmailMatch(f.name)) {
			return true
		}
	}
	return false
}

// hintedAtBy tells, more carefully, whether a text that will be kept for years holds even a word of who the person is.
func (p *person) hintedAtBy(text string) bool {
	if p.namedBy(text) {
		return true
	}
	words := wordsOf(text)
	for _, f := range p.leads {
		local, _, _ := strings.Cut(f.email, "@")
		for _, word := range wordsOf(f.name + " " + local + " " + f.company) {
			if len(word) >= 3 && slices.Contains(words, word) {
				return true
			}
		}
	}
	return false
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(lead.EmailMatch(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func (p *person) result(id uuid.UUID) Result {
	return Result{
		ID: id, Leads: p.ids(), Forms: p.forms(), Submissions: len(p.submissions()), Payloads: p.payloads, Records: p.records, SharesPhone: p.shares,
	}
}
