package playbook

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// Candidate is a configuration that could be live and is not: a draft as it stands, or a version of before.
type Candidate struct {
	Config   *Config
	Hash     string
	Version  *int64     // that it was; nil: it is a draft
	Draft    *uuid.UUID // nil: it is a version
	Revision *int       // of the draft
	draft    Draft
}

// CandidateOf finds a draft or, where draft is nil, a version. One that does not exist is a NotFound fault, one that this binary cannot read
// an Invalid one, and a draft that is no longer open a Conflict.
func CandidateOf(ctx context.Context, db *postgres.DB, draft *uuid.UUID, version int64) (Candidate, error) {
	if draft == nil {
		cfg, hash, err := published(ctx, db, version)
		return Candidate{Config: cfg, Hash: hash, Version: &version}, err
	}
	tx := db.Gorm.WithContext(ctx)
	return draftCandidate(tx, tx, *draft)
}

func draftCandidate(find, tx *gorm.DB, id uuid.UUID) (Candidate, error) {
	d, err := draftIn(find, tx, id)
	if err != nil {
		return Candidate{}, err
	}
	if err := d.open(); err != nil {
		return Candidate{}, err
	}
	cfg, problems := Parse("draft", []byte(d.Body))
	if Failed(problems) {
		return Candidate{}, Refusal(problems)
	}
	return Candidate{Config: cfg, Hash: d.Hash, Draft: &d.ID, Revision: &d.Revision, draft: d}, nil
}

// open refuses a draft of which nothing can become any more.
func (d *Draft) open() error {
	switch d.State {
	case DraftPublished:
		return fault.New(fault.Conflict, "This draft has become version %d.", *d.Published)
	case DraftDiscarded:
		return fault.New(fault.Conflict, "This draft was discarded.")
	}
	return nil
}
