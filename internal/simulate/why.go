package simulate

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Answer is why one decision about a lead went the way it did, as far as one rep is concerned.
type Answer struct {
	At      time.Time `json:"at"`
	Version int64     `json:"version"`
	Rule    string    `json:"rule"`
	Pool    string    `json:"pool"`         // where the rules sent the lead
	To      string    `json:"to,omitempty"` // e-mail address of who got the offer
	routing.Explanation
}

// Why answers "why not me?" for one rep and each decision about a lead, oldest first. A lead without decisions gives none. A version that
// this binary can no longer read is a fault.
func Why(ctx context.Context, db *postgres.DB, tables Tables, lead uuid.UUID, who rep.Rep) ([]Answer, error) {
	all, err := ofLead(ctx, db, lead)
	if err != nil {
		return nil, err
	}
	answers := []Answer{}
	for _, s := range all {
		r, err := routing.ReadRecord(s.record)
		if err != nil {
			return nil, err
		}
		table, hash, err := tables(ctx, r.Under, r.UnderHash)
		if err != nil {
			return nil, err
		}
		if r.UnderHash != "" && r.UnderHash != hash {
			return nil, fault.New(fault.Invalid, "Version %d is no longer the one that decided about this lead.", r.Under)
		}
		answers = append(answers, Answer{
			At: s.at, Version: r.Under, Rule: r.Rule, Pool: r.Pool, To: r.To, Explanation: r.Why(table, who.Email, &routing.Person{Rep: who}),
		})
	}
	return answers, nil
}

// KnownRep finds the rep that somebody asks about; an unknown one is an Invalid fault at the field rep.
func KnownRep(ctx context.Context, reps *rep.Store, email string) (rep.Rep, error) {
	who, err := reps.ByEmail(ctx, email)
	var missing *fault.Error
	if errors.As(err, &missing) && missing.Kind == fault.NotFound {
		return who, &fault.Error{
			Kind: fault.Invalid, Message: "There is no such rep.", Fields: []fault.Field{{Field: "rep", Code: "unknown", Message: "Give the e-mail address of a rep."}},
		}
	}
	return who, err
}
