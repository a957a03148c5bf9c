// Package load provides the open-loop load generator: it sends leads to a form at a fixed rate, whether or not the server keeps
// up, and counts each answer from the moment the lead was due. A server that stalls is therefore seen to stall, which a
// generator that waits for each answer would hide.
//
// To find out how much a server can take there is a closed loop as well (Options.Connections): each connection sends its next lead
// when the last one was answered. Its rate means something, its latencies only how long the queue was.
//
// It speaks HTTP/1.1 over connections of its own, so that on a small machine the generator costs little beside the server. It
// assumes a form that takes the standard fields, and is used by the command "load", by benchmarks and by tests.
package load

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leadline/internal/fault"
)

// Defaults of Options.
const (
	defaultTimeout = 30 * time.Second
	minWorkers     = 32
	maxWorkers     = 1024
	maxConnections = 10_000
)

// Options configures Run. Target, Form, Duration, Now and one of Rate and Connections are required.
type Options struct {
	Target   string        // http:// or https:// address of the server
	Also     []string      // further servers of the same installation: connections are dealt out in turn
	Form     string        // the form's slug
	Rate     float64       // leads per second, on average
	Duration time.Duration // how long leads become due; answers to the last ones are waited for
	Even     bool          // same gap between leads; false: random (Poisson) gaps, as from many independent visitors
	Workers  int           // connections at most; 0: as many as seconds of the rate, 32 to 1024
	People   int           // how many different people send; 0: every lead is somebody new
	First    int           // number of the first lead: a run that goes on where one with the same Seed ended sends other keys
	Timeout  time.Duration // for one answer; 0: 30 s
	Seed     uint64        // same seed, same people and gaps; 0: a new one each run
	Products []string      // each person wants one of them; none: nothing is said of products
	Now      func() time.Time

	// Connections, when set, asks for a closed loop over that many connections instead of a rate.
	Connections int

	Acked func(leadID string) // called for each stored lead, from several goroutines; nil: nobody listens
}

func (o *Options) check() error {
	for _, address := range o.targets() {
		target, err := url.Parse(address)
		if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
			return fault.New(fault.Invalid, "The target must be an address like http://127.0.0.1:8080, not %q.", address)
		}
	}
	switch {
	case o.Form == "":
		return fault.New(fault.Invalid, "Name the form to send to.")
	case o.Connections < 0 || o.Connections > maxConnections:
		return fault.New(fault.Invalid, "The number of connections must lie above 0 and at most %d.", maxConnections)
	case o.Connections > 0 && o.Rate != 0:
		return fault.New(fault.Invalid, "Give a rate or a number of connections, not both.")
	case o.Connections == 0 && (o.Rate <= 0 || o.Rate > 100_000):
		return fault.New(fault.Invalid, "The rate must lie above 0 and at most 100000 leads per second.")
	case o.Duration <= 0:
		return fault.New(fault.Invalid, "The duration must be longer than nothing.")
	}
	if o.Workers <= 0 {
		o.Workers = min(max(int(o.Rate), minWorkers), maxWorkers)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		o.Seed = binary.LittleEndian.Uint64(b[:])
	}
	return nil
}

// arrival is one lead that is due.
type arrival struct {
	n   int
	due time.Time
}

// Run sends leads until Options.Duration is over, waits for the outstanding answers and reports. It owns all its goroutines and
// returns when they ended. A cancelled context ends the run early; the report then covers what was sent, and the error is nil.
// The error is for options that make no sense; a server that fails is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	people, result := newPeople(o), newTally(o)
	start := o.Now()
	if o.Connections > 0 {
		closed(ctx, o, start, people, result)
	} else {
		open(ctx, o, start, people, result)
	}
	return result.report(start), nil
}

// open sends leads when they are due, and returns when all were answered.
func open(ctx context.Context, o Options, start time.Time, people *people, result *tally) {
	due := make(chan arrival, min(int(o.Rate*o.Duration.Seconds())+1, 1<<18))
	var workers sync.WaitGroup
	for i := range o.Workers {
		workers.Go(func() { //nolint:contextcheck // a cancelled run still waits for the answers it is owed
			c := newConn(o, i)
			defer c.close()
			var body []byte
			for a := range due {
				n := o.First + a.n
				body = people.body(body[:0], n)
				result.add(c.send(body, people.key(n), a.due))
			}
		})
	}
	dispatch(ctx, o, start, due, result)
	close(due)
	workers.Wait()
}

// closed keeps every connection busy until the time is over, and returns when all were answered.
func closed(ctx context.Context, o Options, start time.Time, people *people, result *tally) {
	var (
		next    atomic.Int64
		senders sync.WaitGroup
	)
	next.Store(int64(o.First))
	for i := range o.Connections {
		senders.Go(func() {
			c := newConn(o, i)
			defer c.close()
			var body []byte
			for ctx.Err() == nil && o.Now().Sub(start) < o.Duration {
				n := int(next.Add(1)) - 1
				body = people.body(body[:0], n)
				result.add(c.send(body, people.key(n), o.Now())) //nolint:contextcheck // a cancelled run still waits for the answers it is owed
			}
		})
	}
	senders.Wait()
}

// targets are all servers of the run.
func (o *Options) targets() []string { return append([]string{o.Target}, o.Also...) }

// endpoint is a server's address, parsed, and the form's path on it. Run has checked it.
func endpoint(address, form string) (*url.URL, string) {
	target, err := url.Parse(address)
	if err != nil {
		target = &url.URL{}
	}
	return target, fmt.Sprintf("%s/v1/forms/%s/leads", strings.TrimRight(target.EscapedPath(), "/"), url.PathEscape(form))
}
