package routing

import (
	"bytes"
	"encoding/json"
)

// Difference is something that a decision, made again, has otherwise than what was stored.
type Difference struct {
	Part string `json:"part"` // rule, band, pool, rep, decision, place, to, candidates or stages
	Was  string `json:"was"`
	Is   string `json:"is"`
}

// Replay makes a decision again with the table of the version that it was made under, and gives what differs: nothing, unless what was
// stored or the rules have been changed. erased tells leads whose facts are no longer those of the decision: of them only
// rule, band, pool and the person that the rule names are compared. So it is with decisions from before inputs were stored.
func (r *Record) Replay(t *Table, erased bool) []Difference {
	var d differences
	if r.Case == nil || r.World == nil {
		if !r.Reduced {
			now := Place(t, &World{Now: r.Facts.AcceptedAt}, Case{Facts: r.Facts, New: true})
			d.target(r.Decision, now.Decision)
		}
		return d
	}
	if erased {
		if !r.Reduced && !r.Case.Routed {
			d.target(r.Decision, Place(t, r.World.Clone(), r.Again()).Decision)
		}
		return d
	}
	now := Place(t, r.World.Clone(), r.Again())
	d.target(r.Decision, now.Decision)
	if len(d) == 0 {
		d.compare("decision", r.Decision, now.Decision)
	}
	d.compare("place", r.Outcome, now)
	d.text("to", r.To, now.to())
	if now.Considered == nil {
		now.Considered = []Considered{}
	}
	d.compare("candidates", r.Candidates, now.Considered)
	if r.Stages != nil {
		d.compare("stages", r.Stages, now.Stages)
	}
	return d
}

type differences []Difference

// target compares where the rules send the lead.
func (d *differences) target(was, is Decision) {
	d.text("rule", was.Rule, is.Rule)
	d.text("band", was.Band, is.Band)
	d.text("pool", was.Pool, is.Pool)
	d.text("rep", was.Rep, is.Rep)
}

func (d *differences) text(part, was, is string) {
	if was != is {
		*d = append(*d, Difference{part, was, is})
	}
}

// compare looks at everything that is stored of two values, whatever fields they have.
func (d *differences) compare(part string, was, is any) {
	a, b := written(was), written(is)
	if !bytes.Equal(a, b) {
		*d = append(*d, Difference{part, string(a), string(b)})
	}
}

func written(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return []byte("cannot be written: " + err.Error())
	}
	return text
}
