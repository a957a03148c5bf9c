package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/fault"
	"leadline/internal/outbound"
	"leadline/internal/postgres"
)

// AnchorerOptions are what an Anchorer needs.
type AnchorerOptions struct {
	DB           *postgres.DB
	Destinations []string // file:/path or http(s) URLs
	Dir          string   // where notes are kept of what webhooks got
	Sign         func(ctx context.Context, message []byte) (keyID int64, signature []byte, err error)
	PublicKey    func(ctx context.Context, id int64) (ed25519.PublicKey, error)
	HTTP         *outbound.Client
	Every        time.Duration // zero: a minute
	Now          func() time.Time
	Log          *slog.Logger
}

// Anchorer signs the end of the chain and sends it outside, each minute when it has moved and once more at the end. Several
// processes on one database share the signing; each sends to its own destinations all that they lack, in order.
type Anchorer struct {
	o            AnchorerOptions
	destinations []*destination

	wake chan struct{} // tests ask for a round by it

	mu     sync.Mutex
	state  Anchoring
	public map[int64]ed25519.PublicKey
}

// Anchoring is how anchoring goes, for people to see. It is what this process knows.
type Anchoring struct {
	Seq          int64 // the newest anchor; 0: none yet
	At           time.Time
	Problem      string // why signing fails; empty: it does not
	Destinations []DestinationState
}

// DestinationState is how far a destination has come.
type DestinationState struct {
	Name    string
	Seq     int64  // the newest anchor that arrived; 0: none that we know of
	Problem string // why the last try failed; empty: it did not
}

// NewAnchorer makes an Anchorer. It fails for a destination that it cannot read.
func NewAnchorer(o AnchorerOptions) (*Anchorer, error) {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	a := &Anchorer{o: o, public: map[int64]ed25519.PublicKey{}, wake: make(chan struct{}, 1)}
	for i, text := range o.Destinations {
		d, err := parseDestination(text, o.Dir, o.HTTP)
		if err != nil {
			return nil, fmt.Errorf("anchor destination %d: %w", i+1, err)
		}
		a.destinations = append(a.destinations, d)
		a.state.Destinations = append(a.state.Destinations, DestinationState{Name: d.name})
	}
	return a, nil
}

// State tells how anchoring goes.
func (a *Anchorer) State() Anchoring {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := a.state
	state.Destinations = append([]DestinationState(nil), state.Destinations...)
	return state
}

const lastRound = 5 * time.Second // limit for the round at the end

// Run anchors until ctx ends and once more then, and returns nil. End ctx after whatever writes to the chain has stopped and
// before the database closes.
func (a *Anchorer) Run(ctx context.Context) error {
	tick := time.NewTicker(a.o.Every)
	defer tick.Stop()
	a.Round(ctx, false)
	for {
		select {
		case <-ctx.Done():
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastRound)
			defer cancel()
			a.Round(limited, true)
			return nil
		case <-tick.C:
		case <-a.wake:
		}
		a.Round(ctx, false)
	}
}

// Round anchors the head if it has moved, unless another process did a moment ago (now: even then), and brings every destination up
// to date. What fails is logged, shown by State, and tried again in the next round. Not for concurrent use.
func (a *Anchorer) Round(ctx context.Context, now bool) {
	err := a.anchor(ctx, now)
	newest, readErr := a.newest(ctx)
	if err = errors.Join(err, readErr); err != nil && ctx.Err() == nil {
		a.o.Log.Error("the end of the audit chain was not anchored", "error", err)
	}
	a.mu.Lock()
	a.state.Problem = problemText(err)
	if readErr == nil {
		a.state.Seq, a.state.At = newest.Seq, newest.At
	}
	a.mu.Unlock()
	if readErr != nil {
		return
	}
	var sending sync.WaitGroup
	for i, d := range a.destinations {
		if d.url == "" { // files first: nothing can hold them up
			a.bring(ctx, i, newest)
		}
	}
	for i, d := range a.destinations {
		if d.url != "" {
			sending.Go(func() { a.bring(ctx, i, newest) })
		}
	}
	sending.Wait()
}

// bring brings one destination up to date and notes how that went.
func (a *Anchorer) bring(ctx context.Context, i int, newest AnchorRecord) {
	d := a.destinations[i]
	seq, err := a.deliver(ctx, d, newest)
	if err != nil && ctx.Err() == nil {
		a.o.Log.Error("anchors of the audit chain did not get outside; they are sent later", "destination", d.name, "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	state := &a.state.Destinations[i]
	state.Problem = problemText(err)
	if seq > 0 {
		state.Seq = seq
	}
}

// problemText words an error for the page: without paths of the server, which the log has.
func problemText(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		text = strings.ReplaceAll(text, path.Path, filepath.Base(path.Path))
	}
	return text
}

// anchor signs the head and stores the signature, when there is something new.
func (a *Anchorer) anchor(ctx context.Context, now bool) error {
	head, newest := AnchorRecord{At: a.o.Now().UTC().Truncate(time.Microsecond)}, AnchorRecord{}
	if err := a.o.DB.Jobs.QueryRow(ctx, `SELECT seq, hash FROM audit_head WHERE name = 'chain'`).Scan(&head.Seq, &head.Hash); err != nil {
		return fmt.Errorf("read the end of the chain: %w", err)
	}
	newest, err := a.newest(ctx)
	if err != nil {
		return err
	}
	// A little less than the interval, so that processes whose clocks tick at different moments take turns instead of adding up.
	if head.Seq <= newest.Seq || !now && head.At.Sub(newest.At) < a.o.Every-a.o.Every/10 && !newest.At.After(head.At) {
		return nil
	}
	if head.KeyID, head.Signature, err = a.o.Sign(ctx, head.message()); err != nil {
		return fmt.Errorf("sign the end of the chain: %w", err)
	}
	return a.store(ctx, head)
}

// Head signs and stores the end of the chain now, wherever it is, and gives the newest anchor with the key that verifies it. The
// destinations get it in the next round. A chain without rows is a NotFound fault.
func (a *Anchorer) Head(ctx context.Context) (AnchorRecord, error) {
	if err := a.anchor(ctx, true); err != nil {
		return AnchorRecord{}, err
	}
	newest, err := a.newest(ctx)
	if err != nil {
		return newest, err
	}
	if newest.Seq == 0 {
		return newest, fault.New(fault.NotFound, "The chain has no rows yet.")
	}
	newest.Public, err = a.publicKey(ctx, newest.KeyID)
	return newest, err
}

// anchorLock is the advisory lock that makes anchors appear in the order of their rows.
const anchorLock int64 = 0x4C4F<<48 | 1

func (a *Anchorer) store(ctx context.Context, head AnchorRecord) error {
	return postgres.InTx(ctx, a.o.DB.Jobs, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, anchorLock); err != nil {
			return fmt.Errorf("wait for the turn to anchor: %w", err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO audit_anchor (seq, at, hash, key_id, signature) SELECT $1, $2, $3, $4, $5
			WHERE NOT EXISTS (SELECT FROM audit_anchor n JOIN audit USING (seq, hash) WHERE n.seq >= $1) ON CONFLICT (seq) DO NOTHING`,
			head.Seq, head.At, head.Hash, head.KeyID, head.Signature)
		if err != nil {
			return fmt.Errorf("store the anchor: %w", err)
		}
		return nil
	})
}

// standing are the anchors that agree with the chain. Others, which somebody who changed the chain left behind, are for
// verification to name: they must not stand in the way of new ones.
const standing = `SELECT n.seq, n.at, n.hash, n.key_id, n.signature FROM audit_anchor n JOIN audit USING (seq, hash)`

// newest gives the newest anchor that stands, or the zero record.
func (a *Anchorer) newest(ctx context.Context) (AnchorRecord, error) {
	return a.one(ctx, standing+` ORDER BY n.seq DESC LIMIT 1`)
}

func (a *Anchorer) one(ctx context.Context, query string, args ...any) (AnchorRecord, error) {
	rows, err := a.o.DB.Jobs.Query(ctx, query, args...)
	if err != nil {
		return AnchorRecord{}, fmt.Errorf("read an anchor: %w", err)
	}
	found, err := pgx.CollectOneRow(rows, scanAnchor)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return found, fmt.Errorf("read an anchor: %w", err)
	}
	return found, nil
}
