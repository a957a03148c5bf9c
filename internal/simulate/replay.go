package simulate

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/routing"
)

// Replayed counts what became of stored decisions that were made again.
type Replayed struct {
	Decisions int `json:"decisions"` // all that were looked at
	Later     int `json:"later"`     // of these, not the first of their lead
	Erased    int `json:"erased"`    // of leads whose facts were reduced: compared by rule, band, pool and person alone
	Older     int `json:"older"`     // from before inputs were stored: compared likewise
	Different int `json:"different"` // with at least one difference
}

// Finding is a stored decision that does not come out the same.
type Finding struct {
	Lead        uuid.UUID            `json:"lead_id"`
	At          time.Time            `json:"at"`
	Version     int64                `json:"version"`
	Differences []routing.Difference `json:"differences"`
}

// Replay makes the decisions of the time before now again, the newest limit of them (0: all), each with the table of the version it was
// made under, and hands every one that differs to found. A version that is no longer there, or no longer says what it said, is a difference.
func Replay(ctx context.Context, db *postgres.DB, tables Tables, within time.Duration, limit int, found func(Finding)) (Replayed, error) {
	var sum Replayed
	err := eachDecision(ctx, db, within, limit, func(s stored) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, differences, err := again(ctx, tables, s)
		if err != nil {
			return err
		}
		sum.Decisions++
		if !s.first {
			sum.Later++
		}
		switch {
		case s.erased:
			sum.Erased++
		case r != nil && r.World == nil:
			sum.Older++
		}
		if len(differences) == 0 {
			return nil
		}
		sum.Different++
		f := Finding{Lead: s.lead, At: s.at, Differences: differences}
		if r != nil {
			f.Version = r.Under
		}
		found(f)
		return nil
	})
	return sum, err
}

// again makes one decision again. The record is nil when it cannot be read.
func again(ctx context.Context, tables Tables, s stored) (*routing.Record, []routing.Difference, error) {
	r, err := routing.ReadRecord(s.record)
	if err != nil {
		return nil, []routing.Difference{{Part: "record", Was: "a decision", Is: err.Error()}}, nil //nolint:nilerr // what cannot be read is a finding
	}
	if s.erased && r.Reduced {
		return r, nil, nil // the version could not be compiled when the person was erased; only harmless facts were kept
	}
	table, hash, err := tables(ctx, r.Under, r.UnderHash)
	var gone *fault.Error
	switch {
	case errors.As(err, &gone):
		return r, []routing.Difference{{Part: "version", Was: r.UnderHash, Is: gone.Message}}, nil
	case err != nil:
		return r, nil, err
	case r.UnderHash != "" && r.UnderHash != hash:
		return r, []routing.Difference{{Part: "version", Was: r.UnderHash, Is: hash}}, nil
	}
	return r, r.Replay(table, s.erased), nil
}

// Compiled is the table of a configuration, or an Invalid fault that names the first thing in the way.
func Compiled(cfg *playbook.Config, version int64) (*routing.Table, error) {
	table, problems := cfg.Compile(version)
	if table != nil {
		return table, nil
	}
	for _, p := range problems {
		if !p.Warning {
			return nil, fault.New(fault.Invalid, "The rules cannot be used: %s", p)
		}
	}
	return nil, fault.New(fault.Invalid, "The rules cannot be used.")
}

// parsedBody reads the text of a configuration as it was stored.
func parsedBody(body string) (*playbook.Config, error) {
	cfg, problems := playbook.Parse("stored configuration", []byte(body))
	if cfg == nil {
		return nil, playbook.Refusal(problems)
	}
	return cfg, nil
}
