package crm

// class is how urgently a write wants a slot.
type class int

const (
	hot    class = iota // the visitor has just asked for somebody
	fresh               // new, but not from a high-intent form
	behind              // write-behind: at most half of the slots, so that a backlog never starves what is new
	classes
)

// slots bounds the calls that are in flight to one connection. The limit halves when the other side asks for less or gets
// slow, and grows again with successes. Not safe for concurrent use: its connection's lock guards it.
type slots struct {
	most      int
	limit     int
	active    int
	behind    int
	successes int
	waiting   [classes][]*waiter
}

// waiter is a goroutine that waits for a slot; ready is closed when it has one.
type waiter struct {
	ready chan struct{}
	gone  bool
}

// allow changes how many calls may be in flight at most. A limit that was lowered because the other side is slow stays lowered.
func (s *slots) allow(most int) {
	if s.limit == s.most || s.limit > most {
		s.limit = most
	}
	s.most = most
	s.grant()
}

func newSlots(most int) slots { return slots{most: most, limit: most} }

func (s *slots) free(c class) bool {
	return s.active < s.limit && (c != behind || s.behind < max(1, s.limit/2))
}

func (s *slots) take(c class) {
	s.active++
	if c == behind {
		s.behind++
	}
}

func (s *slots) release(c class) {
	s.active--
	if c == behind {
		s.behind--
	}
	s.grant()
}

// grant gives what is free to those who wait, the most urgent first.
func (s *slots) grant() {
	for c := range classes {
		for len(s.waiting[c]) > 0 && s.free(c) {
			next := s.waiting[c][0]
			s.waiting[c] = s.waiting[c][1:]
			if !next.gone {
				s.take(c)
				close(next.ready)
			}
		}
	}
}

func (s *slots) wait(c class) *waiter {
	w := &waiter{ready: make(chan struct{})}
	s.waiting[c] = append(s.waiting[c], w)
	return w
}

// shrink halves the limit; grow adds one for each ten successes, which at a limit in full use is exponential.
func (s *slots) shrink() { s.limit = max(1, s.limit/2) }

func (s *slots) grow() {
	if s.limit >= s.most {
		return
	}
	if s.successes++; s.successes >= 10 {
		s.successes = 0
		s.limit++
		s.grant()
	}
}
