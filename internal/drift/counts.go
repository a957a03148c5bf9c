package drift

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// What is kept of a form and kind, in memory and in the database: further causes are counted together, so that nobody who makes up
// names of fields can fill either.
const (
	maxGroups  = 200
	maxSamples = 3
)

// key names a group.
type key struct {
	form string
	kind Kind
	// cause is empty in the key that counts the causes of a form and kind.
	cause string
}

// isOther tells whether this is the group of all causes beyond the bound; it is not counted among them.
func (k key) isOther() bool { return strings.HasPrefix(k.cause, otherPrefix) }

// count is what was seen of a group since it was last written down.
type count struct {
	n           int64
	first, last time.Time
	samples     []string
	demo        bool
}

// counts is the table in memory.
type counts struct {
	mu     sync.Mutex
	groups map[key]*count
	causes map[key]int // how many of a form and kind
}

func newCounts() *counts { return &counts{groups: map[key]*count{}, causes: map[key]int{}} }

// add counts one finding.
func (c *counts) add(form string, demo bool, f finding, at time.Time) {
	one := count{n: 1, first: at, last: at, demo: demo}
	if f.sample != "" {
		one.samples = []string{f.sample}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.merge(key{form, f.kind, f.cause}, one)
}

// merge adds a count to its group, or to the one for all others when there are too many. The lock is held.
func (c *counts) merge(k key, more count) {
	g := c.groups[k]
	if of := (key{form: k.form, kind: k.kind}); g == nil && !k.isOther() {
		if c.causes[of] >= maxGroups {
			k.cause, more.samples = otherPrefix+string(k.kind), nil
			g = c.groups[k]
		} else {
			c.causes[of]++
		}
	}
	if g == nil {
		g = &count{first: more.first, last: more.last, demo: more.demo}
		c.groups[k] = g
	}
	g.n += more.n
	if more.first.Before(g.first) {
		g.first = more.first
	}
	if more.last.After(g.last) {
		g.last = more.last
	}
	for _, s := range more.samples {
		if len(g.samples) < maxSamples && !slices.Contains(g.samples, s) {
			g.samples = append(g.samples, s)
		}
	}
}

// take empties the table and gives what was in it.
func (c *counts) take() map[key]*count {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.groups
	c.groups, c.causes = map[key]*count{}, map[key]int{}
	return taken
}

// giveBack puts counts back that could not be written down.
func (c *counts) giveBack(taken map[key]*count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, more := range taken {
		c.merge(k, *more)
	}
}
