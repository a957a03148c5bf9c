package erasure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"leadline/internal/audit"
	"leadline/internal/lead"
)

// ReplayMissing makes the list and the database agree: erasures that the database has not heard of, because an older backup was restored
// or a server died in the midst of one, are carried out; those that the file lacks are added to it. Call it after migrating and before
// anybody is let in. It returns how many erasures were carried out. A list that is damaged is an error, in words for the operator.
func (s *Service) ReplayMissing(ctx context.Context) (int, error) {
	var missing []entry
	err := s.locked(ctx, func(conn *pgx.Conn) error {
		listed, _, err := s.list.read()
		if err != nil {
			return err
		}
		known, err := s.known(ctx, conn)
		if err != nil {
			return err
		}
		if err := s.complete(listed, known); err != nil {
			return err
		}
		for _, e := range listed {
			if i := slices.IndexFunc(known, func(k entry) bool { return k.ID == e.ID }); i < 0 || !holds(known[i].Leads, e.Leads) {
				missing = append(missing, e)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		return s.again(ctx, conn, missing)
	})
	if err != nil {
		return 0, fmt.Errorf("carry out erasures again: %w", err)
	}
	if len(missing) > 0 {
		s.Log.WarnContext(ctx, "the database had not heard of some erasures; they were carried out again", "erasures", len(missing))
		s.tell(ctx)
	}
	return len(missing), nil
}

func holds(all, some []uuid.UUID) bool {
	return !slices.ContainsFunc(some, func(id uuid.UUID) bool { return !slices.Contains(all, id) })
}

// known are the erasures in the database, oldest first.
func (s *Service) known(ctx context.Context, conn *pgx.Conn) ([]entry, error) {
	rows, err := conn.Query(ctx, `SELECT id, at, subjects, leads FROM erasure ORDER BY at, id`)
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e entry, err error) {
		err = row.Scan(&e.ID, &e.At, &e.Subjects, &e.Leads)
		e.At = e.At.UTC()
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return all, nil
}

// completeEvery is how long an erasure by another node is on this node's list at the latest.
const completeEvery = time.Minute

// Run adds to the file what other nodes and commands erase, each minute until ctx ends: each node's file is enough when the database is
// restored beneath it.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(completeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.Complete(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "the erasure list could not be kept complete", "error", err)
		}
	}
}

// Complete adds to the file what the database knows and the file does not.
func (s *Service) Complete(ctx context.Context) error {
	return s.locked(ctx, func(conn *pgx.Conn) error {
		listed, _, err := s.list.read()
		if err != nil {
			return err
		}
		known, err := s.known(ctx, conn)
		if err != nil {
			return err
		}
		return s.complete(listed, known)
	})
}

// complete adds to the file what other nodes erased: each node's file is enough by itself.
func (s *Service) complete(listed, known []entry) error {
	var lacking []entry
	for _, k := range known {
		if i := slices.IndexFunc(listed, func(e entry) bool { return e.ID == k.ID }); i < 0 || !holds(listed[i].Leads, k.Leads) {
			lacking = append(lacking, k)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return s.list.append(lacking...)
}

// again carries out entries, with one look at all contacts.
func (s *Service) again(ctx context.Context, conn *pgx.Conn, missing []entry) error {
	people, err := s.recognise(ctx, conn, missing)
	if err != nil {
		return err
	}
	for i, e := range missing {
		p := people[i]
		if err := s.surroundings(ctx, conn, p); err != nil {
			return err
		}
		e.Leads = union(slices.Clone(e.Leads), p.ids())
		if err := s.carryOut(ctx, conn, e, p, audit.ErasureRepeated, ""); err != nil {
			return err
		}
	}
	return nil
}

// recognise finds, for each entry, the leads that it lists and those whose contact hashes to one of its subjects and that were accepted
// before it.
func (s *Service) recognise(ctx context.Context, conn *pgx.Conn, missing []entry) ([]*person, error) {
	people := make([]*person, len(missing))
	bySubject, byLead := map[string][]int{}, map[uuid.UUID][]int{}
	for i, e := range missing {
		people[i] = &person{at: e.At}
		for _, subject := range e.Subjects {
			bySubject[string(subject)] = append(bySubject[string(subject)], i)
		}
		for _, id := range e.Leads {
			byLead[id] = append(byLead[id], i)
		}
	}
	rows, err := conn.Query(ctx, foundSQL+` WHERE l.erased_at IS NULL OR c.lead_id IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("look for erased people: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		f, err := scanFound(rows)
		if err != nil {
			return nil, fmt.Errorf("look for erased people: %w", err)
		}
		for _, i := range byLead[f.id] {
			people[i].know(f)
		}
		for _, i := range bySubject[string(s.identity(f.email, f.phone))] {
			if f.acceptedAt.Before(missing[i].At) {
				people[i].know(f)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for erased people: %w", err)
	}
	return people, nil
}

// know adds a lead and the addresses by which intake would know the person again.
func (p *person) know(f found) {
	p.add(f)
	if f.email != "" && !slices.Contains(p.emails, lead.EmailMatch(f.email)) {
		p.emails = append(p.emails, lead.EmailMatch(f.email))
	}
	if f.phone != "" && !slices.Contains(p.phones, f.phone) {
		p.phones = append(p.phones, f.phone)
	}
}
