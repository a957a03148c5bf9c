package intake

import (
	"bytes"
	"sync"

	"leadline/internal/lead"
)

// promises remembers, for each client key, what the spool keeps of it, so that a visitor who asks again during an outage takes no more
// room in it and no more work afterwards: the same answers under the same key count once anyhow. Its methods may be called from many
// goroutines.
type promises struct {
	mu   sync.Mutex
	last map[string]*promise
}

// promise is one submission that is being spooled, or was.
type promise struct {
	fingerprint, digest []byte
	made                chan struct{} // closed once err says whether it is kept
	err                 error
}

func promised(sub *lead.Submission) string { return sub.Form + "\x00" + ledgerKey(sub) }

// keep spools a submission, unless the last one under its key said the same: then it waits for that one's outcome.
func (p *promises) keep(sub *lead.Submission, spool func() error) error {
	p.mu.Lock()
	last := p.last[promised(sub)]
	if last != nil && bytes.Equal(last.fingerprint, sub.Fingerprint) && bytes.Equal(last.digest, sub.Digest) {
		p.mu.Unlock()
		<-last.made
		return last.err
	}
	mine := &promise{fingerprint: sub.Fingerprint, digest: sub.Digest, made: make(chan struct{})}
	if p.last == nil {
		p.last = map[string]*promise{}
	}
	p.last[promised(sub)] = mine
	p.mu.Unlock()
	mine.err = spool()
	close(mine.made)
	if mine.err != nil {
		p.forget(sub)
	}
	return mine.err
}

// forget lets the next submission under a key be spooled again: the spool has given this one back, or never had it.
func (p *promises) forget(sub *lead.Submission) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := p.last[promised(sub)]; last != nil && bytes.Equal(last.digest, sub.Digest) {
		delete(p.last, promised(sub))
	}
}

// forgetAll is for when the spool is empty: whatever it could not give back must not count as kept.
func (p *promises) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, last := range p.last {
		select {
		case <-last.made:
			delete(p.last, key)
		default: // it is on its way into the spool
		}
	}
}
