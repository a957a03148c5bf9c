// Package spam judges submissions before they are stored: is this a person, a program, or are we in doubt? It asks nobody a riddle.
//
// A Guard looks at what a submission brings (when its page was made, what was filled into fields that people do not see, its words, its
// address) and at what happened in the last minutes, and answers with a score, named reasons and a verdict: take it, hold it for
// review, or ask the browser for a proof of work first. It never refuses a person, and it stores nothing about one: what it remembers
// are counters under keyed hashes, in memory of a fixed size. Judging takes microseconds; only a solved proof asks the database.
//
// handlers call Admit, Judge and Token for visitors; main owns Run, which keeps the reputation lists fresh. Whatever Judge holds is stored
// and answered like everything else: internal/intake writes it down, internal/hold lets people review it.
package spam

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"
)

// Options are what a Guard needs. Secret and Now are required.
type Options struct {
	Secret []byte // the same for all processes of one database
	Now    func() time.Time
	Log    *slog.Logger

	// Dir holds reputation lists; empty: none.
	Dir string

	// Spend takes a solved proof for a holder, once for all processes: false when somebody else has had it. Nil: no proof is believed.
	Spend func(ctx context.Context, proof, holder []byte, until time.Time) (bool, error)
}

// Guard judges submissions. Its methods may be called from any number of goroutines; Run once.
type Guard struct {
	Options
	tokenKey []byte
	proofKey []byte
	limits   *rates // what forms set: exceeding it is refused for a moment
	habits   *rates // what is usual: exceeding it is suspicious
	pages    *pages
	lists    *lists
}

// New makes a Guard. Its lists are empty until Run has read them, or Load was called.
func New(o Options) (*Guard, error) {
	if len(o.Secret) == 0 {
		return nil, fmt.Errorf("spam protection needs the server's secret")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Guard{Options: o, limits: newRates(), habits: newRates(), pages: newPages(), lists: newLists(o.Dir, o.Log)}
	var err error
	if g.tokenKey, err = hkdf.Key(sha256.New, o.Secret, nil, "leadline form token 1", sha256.Size); err != nil {
		return nil, fmt.Errorf("derive the key of form tokens: %w", err)
	}
	if g.proofKey, err = hkdf.Key(sha256.New, o.Secret, nil, "leadline proof of work 1", sha256.Size); err != nil {
		return nil, fmt.Errorf("derive the key of proofs: %w", err)
	}
	return g, nil
}

// Load reads the reputation lists now; the error says that the directory cannot be read.
func (g *Guard) Load() error { return g.lists.load() }

// Run looks every few seconds whether a list has changed, until ctx ends; then it returns nil.
func (g *Guard) Run(ctx context.Context) error {
	if g.Dir == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		if err := g.lists.load(); err != nil {
			g.Log.WarnContext(ctx, "reputation lists could not be read; the ones before stay", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
