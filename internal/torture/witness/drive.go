package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	answerLimit = 6 * time.Second // for one attempt
	restFirst   = 25 * time.Millisecond
	restMost    = time.Second
)

// Options are what Drive needs; all of them.
type Options struct {
	File     string
	Seed     uint64
	Rate     float64  // form fills a second
	AtOnce   int      // visitors under way at most; those beyond do not come: a slow machine is not buried
	Targets  []string // http://host:port of servers on one database
	Patience time.Duration
	Now      func() time.Time
}

// Driven says what the visitors were told.
type Driven struct {
	Seed    uint64 `json:"seed"`
	Fills   int    `json:"fills"`
	Tries   int64  `json:"tries"`
	OK      int64  `json:"ok"`
	Refused int64  `json:"refused"`
	Unknown int64  `json:"unknown"`
	Away    int64  `json:"away"`    // visitors who did not come because too many waited
	GivenUp int64  `json:"givenup"` // visitors who never learnt what became of theirs, within Patience
}

type driver struct {
	o       Options
	books   *journal
	client  *http.Client
	tries   atomic.Int64
	ok      atomic.Int64
	refused atomic.Int64
	unknown atomic.Int64
	givenUp atomic.Int64
}

// Drive sends until ctx ends, then lets the visitors who are under way finish, at most Patience long.
func Drive(ctx context.Context, o Options) (Driven, error) {
	books, err := newJournal(o.File)
	if err != nil {
		return Driven{}, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, MaxIdleConns: 1024, IdleConnTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	d := &driver{o: o, books: books, client: &http.Client{Timeout: answerLimit, Transport: transport}}
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sum := Driven{Seed: o.Seed}
	var all sync.WaitGroup
	under := make(chan struct{}, o.AtOnce)
	tick := time.NewTicker(time.Duration(float64(time.Second) / o.Rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		}
		select {
		case under <- struct{}{}:
		default:
			sum.Away++
			continue
		}
		f := newFill(o.Seed, sum.Fills)
		sum.Fills++
		all.Go(func() {
			d.visit(hard, f)
			<-under
		})
	}
	limit := time.AfterFunc(o.Patience, stop)
	defer limit.Stop()
	all.Wait()
	sum.Tries, sum.OK, sum.Refused, sum.Unknown, sum.GivenUp = d.tries.Load(), d.ok.Load(), d.refused.Load(), d.unknown.Load(), d.givenUp.Load()
	return sum, books.file.Close()
}

// visit is one visitor from the first click to the last.
func (d *driver) visit(ctx context.Context, f fill) {
	switch f.kind {
	case Leaves, Keyless, Wrong:
		d.try(ctx, f, First)
	case Double:
		d.both(func() { d.until(ctx, f, First) })
	case Twice:
		d.both(func() { d.try(ctx, f, First) })
	case Correct:
		if d.until(ctx, f, First) {
			d.until(ctx, f, Correction)
		}
	case Returns:
		if d.until(ctx, f, First) {
			d.until(ctx, f, Return)
		}
	default:
		d.until(ctx, f, First)
	}
}

// both does something twice at the same moment.
func (d *driver) both(click func()) {
	var two sync.WaitGroup
	two.Go(click)
	two.Go(click)
	two.Wait()
}

// until tries the same again until there is a definite answer; false: there was none, or a refusal.
func (d *driver) until(ctx context.Context, f fill, step Step) bool {
	for rest := restFirst; ; rest = min(2*rest, restMost) {
		switch d.try(ctx, f, step) {
		case OK:
			return true
		case Refused:
			return false
		}
		timer := time.NewTimer(rest/2 + rand.N(rest)) //nolint:gosec // jitter
		select {
		case <-ctx.Done():
			timer.Stop()
			d.givenUp.Add(1)
			return false
		case <-timer.C:
		}
	}
}

// try is one attempt, with its two lines in the books.
func (d *driver) try(ctx context.Context, f fill, step Step) Class {
	body, digest, err := f.body(step)
	if err != nil {
		panic(err) // texts and truth values: cannot fail
	}
	n := d.tries.Add(1)
	target := d.o.Targets[rand.IntN(len(d.o.Targets))] //nolint:gosec // any will do
	l := Line{At: d.o.Now(), Try: n, Fill: f.n, Kind: f.kind, Step: step, Key: f.key(step), Digest: digest, Target: target}
	if f.kind != Wrong {
		l.Email, l.Phone = f.email(), f.phone(step)
	}
	if err := d.books.add(l); err != nil {
		panic(err)
	}
	l.Class, l.Status, l.ID, l.Said, l.Duplicate = d.send(ctx, target, body)
	l.At = d.o.Now()
	switch l.Class {
	case OK:
		d.ok.Add(1)
	case Refused:
		d.refused.Add(1)
	default:
		d.unknown.Add(1)
	}
	if err := d.books.add(l); err != nil {
		panic(err)
	}
	return l.Class
}

// send posts one form and reads the answer.
func (d *driver) send(ctx context.Context, target string, body []byte) (class Class, status int, id, said string, duplicate bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target+"/v1/forms/demo/leads", bytes.NewReader(body))
	if err != nil {
		return Unknown, 0, "", err.Error(), false
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return Unknown, 0, "", short(err), false
	}
	defer func() { _ = res.Body.Close() }() // what has been read counts
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return Unknown, res.StatusCode, "", "answer cut", false
	}
	var answer struct {
		LeadID    string `json:"lead_id"`
		Duplicate bool   `json:"duplicate"`
		Code      string `json:"code"`
	}
	broken := json.Unmarshal(text, &answer)
	switch {
	case res.StatusCode/100 == 2 && broken == nil && answer.LeadID != "":
		return OK, res.StatusCode, answer.LeadID, "", answer.Duplicate
	case res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusRequestTimeout:
		return Refused, res.StatusCode, "", answer.Code, false
	}
	return Unknown, res.StatusCode, "", answer.Code, false
}

// short is the innermost reason, without addresses.
func short(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprint(err)
		}
		err = inner
	}
}
