package intake

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// outage tells everybody who waits for a commit that the database is away, so that nobody waits for it in vain. It begins when a writer
// cannot connect, and ends when one can, or commits on a connection that it still had.
type outage struct {
	away atomic.Bool

	mu        sync.Mutex
	connected int
	began     chan struct{} // closed while away
}

func newOutage() *outage { return &outage{began: make(chan struct{})} }

// start gives a channel that is closed while the database is away.
func (o *outage) start() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.began
}

// on tells whether the database is away.
func (o *outage) on() bool { return o.away.Load() }

// refused notes that a writer could not connect. A server that is merely full is not away as long as another writer has a connection.
func (o *outage) refused(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var answer *pgconn.PgError
	full := errors.As(err, &answer) && answer.Code == "53300"
	if full && o.connected > 0 || o.away.Load() {
		return
	}
	o.away.Store(true)
	close(o.began)
}

// gained notes that a writer has a connection.
func (o *outage) gained() {
	o.mu.Lock()
	o.connected++
	o.mu.Unlock()
	o.over()
}

// lost notes that a writer gave its connection up.
func (o *outage) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connected--
}

// over notes that the database answers.
func (o *outage) over() {
	if !o.away.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away.CompareAndSwap(true, false) {
		o.began = make(chan struct{})
	}
}
