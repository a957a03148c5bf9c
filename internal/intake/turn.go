package intake

import (
	"context"
	"sync"
	"time"

	"leadline/internal/fault"
)

// mostBehind is how many submissions of one person may wait behind the one that is being stored.
const mostBehind = 64

// turns lets one submission of a person at a time into the queue. A person's submissions cannot share a batch, so a flood of them would
// bring every batch down to one row; here it stands in a line of its own and nobody else waits. How full that line is says nothing
// about what the person ever sent: it is empty milliseconds later.
type turns struct {
	shard [64]turnShard
}

type turnShard struct {
	mu     sync.Mutex
	people map[string][]chan struct{} // who has the turn, and who waits for it in order
}

// take waits for the person's turn and gives what ends it. A Throttled fault when too many wait already, or for too long.
func (t *turns) take(ctx context.Context, fingerprint []byte) (done func(), err error) {
	s := &t.shard[0]
	if len(fingerprint) > 0 {
		s = &t.shard[fingerprint[0]%uint8(len(t.shard))]
	}
	who := string(fingerprint)
	s.mu.Lock()
	if s.people == nil {
		s.people = map[string][]chan struct{}{}
	}
	line, busy := s.people[who]
	if !busy {
		s.people[who] = nil
		s.mu.Unlock()
		return func() { s.next(who) }, nil
	}
	if len(line) >= mostBehind {
		s.mu.Unlock()
		return nil, tooManyAtOnce()
	}
	mine := make(chan struct{})
	s.people[who] = append(line, mine)
	s.mu.Unlock()
	select {
	case <-mine:
		return func() { s.next(who) }, nil
	case <-ctx.Done():
	}
	if !s.leave(who, mine) {
		s.next(who) // it was our turn in this very moment
	}
	return nil, tooManyAtOnce()
}

// next hands the turn on.
func (s *turnShard) next(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.people[who]
	if len(line) == 0 {
		delete(s.people, who)
		return
	}
	s.people[who] = line[1:]
	close(line[0])
}

// leave takes somebody out of the line; false when they are no longer in it.
func (s *turnShard) leave(who string, mine chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.people[who] {
		if c == mine {
			s.people[who] = append(s.people[who][:i:i], s.people[who][i+1:]...)
			return true
		}
	}
	return false
}

func tooManyAtOnce() *fault.Error {
	return &fault.Error{Kind: fault.Throttled, RetryAfter: time.Second, Message: "The same answers are being sent many times at once. Yours are not lost: send them again in a moment."}
}
