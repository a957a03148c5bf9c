// Package playbook is the configuration as text: parsed with a line number for every problem, checked, stored as immutable
// numbered versions, exported again byte for byte, and kept live in every process.
//
// Parse and Check are pure. Apply and Export meet the database; Live follows what is published. Reps are written in the same
// text but are data, not part of a version: applying adds and updates them at once, and a roll-back leaves them alone.
//
// Used by main (apply, export, check, serve), by handlers through Live, and by the demo.
package playbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"runtime"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"leadline/internal/lead"
	"leadline/internal/outbox"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// Config is a configuration that was read without errors. It is immutable; its values are shared between goroutines.
type Config struct {
	Forms       []*lead.Form
	Teams       []Team
	Calendars   []rep.Calendar
	Reps        []rep.Rep // as written: without ids and presence
	Groups      []Group
	Pools       []*routing.Pool
	Territories []routing.Territory
	Stages      routing.Stages
	Rules       []routing.Rule
	Sets        []routing.Set
	Lists       []routing.List
	Tests       []Test
	Connections []Connection
	Clients     []Client
	Approvals   int // how many people beside the author must agree to what replaces this version: 0 or 1

	doc document
	at  map[string]position

	compile sync.Once
	table   *routing.Table // nil: there are errors
	found   []routing.Problem
	check   sync.Once
	said    []Problem
	write   sync.Once
	text    []byte // the canonical one
}

// Team is people who work together.
type Team struct {
	Slug     string
	Name     string
	Timezone string // IANA; UTC unless given
}

// Group is limits that all pools of a group share.
type Group struct {
	Slug  string
	Quota routing.Quota
}

// Test is a golden lead: a version that would send it elsewhere cannot be published.
type Test struct {
	Name   string
	Form   string
	At     time.Time // when it comes; zero: any ordinary day
	Lead   lead.Raw
	With   Circumstances
	Expect Expectation
}

// Expectation is where a golden lead must go. Empty parts are not looked at.
type Expectation struct {
	Pool, Rep, Rule string // by the rules
	To              string // e-mail address of the rep to whom it is offered first
	Stage           string // offered or waiting
	In              string // slug of the pool in which it is offered or waits
}

// Connection is a system outside, with references in place of credentials.
type Connection struct {
	Slug        string
	Kind        string
	Destination outbox.Destination
	BaseURL     string
	Token       string // like env:NAME, or empty
	Secret      string
	Channel     string
	Slots       int // calls in flight at most, of each process
}

// Client is a program that may post leads, with references in place of its keys.
type Client struct {
	Slug  string
	Forms []string
	Keys  []string // like secret:NAME
	Limit lead.Rate
}

// Parse reads one configuration text. When a problem is no warning the Config is nil. Whether its parts fit together is for
// Check to say.
func Parse(name string, src []byte) (*Config, []Problem) {
	return ParseFiles([]File{{Name: name, Source: src}})
}

// ParseFiles reads a configuration that is spread over several texts: their sections add up.
func ParseFiles(files []File) (*Config, []Problem) {
	r := &reader{at: map[string]position{}}
	for _, f := range files {
		r.read(f)
	}
	if Failed(r.problems) {
		return nil, r.problems
	}
	b := &builder{reader: r, cfg: &Config{at: r.at}}
	b.build()
	if Failed(r.problems) {
		return nil, r.problems
	}
	b.cfg.doc = r.doc
	return b.cfg, r.problems
}

// Canonical is the configuration without reps in its one written form: fixed order of sections and keys, no comments, no values
// that equal a default. Within a section the order stays as written. Parsing it gives the same Config again.
func (c *Config) Canonical() []byte {
	c.write.Do(func() {
		doc := c.doc
		doc.Reps = nil
		c.text = encode(doc)
	})
	return c.text
}

// Table compiles the rules as those of a version, and tells what is wrong with them; with an error the Table is nil. They are compiled
// once however often it is asked for.
func (c *Config) Table(version int64) (*routing.Table, []routing.Problem) {
	c.compile.Do(func() {
		c.table, c.found = routing.Compile(0, c.Pools, c.Rules, c.Territories, c.Lists, c.Sets...)
		if c.table != nil {
			c.table = c.table.WithStages(c.Stages)
		}
	})
	if c.table == nil {
		return nil, c.found
	}
	return c.table.At(version), c.found
}

// encode writes a document. The encoder holds on to all that it was given, so long sections are written a piece at a time, and pieces side
// by side.
func encode(doc document) []byte {
	const piece = 64
	whole := reflect.ValueOf(doc)
	head := encodeWhole(document{Version: doc.Version})
	var parts []document
	var more []bool // the part goes on with the section of the one before
	add := func(i int, value reflect.Value, goesOn bool) {
		part := document{Version: doc.Version}
		reflect.ValueOf(&part).Elem().Field(i).Set(value)
		parts, more = append(parts, part), append(more, goesOn)
	}
	for i := range whole.NumField() {
		section := whole.Field(i)
		if section.Kind() != reflect.Slice {
			if !section.IsZero() && whole.Type().Field(i).Name != "Version" {
				add(i, section, false)
			}
			continue
		}
		for from := 0; from < section.Len(); from += piece {
			add(i, section.Slice(from, min(from+piece, section.Len())), from > 0)
		}
	}
	texts := make([][]byte, len(parts))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		group.Go(func() error {
			texts[i] = encodeWhole(parts[i])[len(head):]
			if more[i] {
				_, texts[i], _ = bytes.Cut(texts[i], []byte{'\n'}) // the section's name stands there already
			}
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	return bytes.Join(append([][]byte{head}, texts...), nil)
}

func encodeWhole(doc document) []byte {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(doc); err != nil {
		panic("playbook: a document cannot be written: " + err.Error()) // strings, numbers and lists of them: never
	}
	if err := encoder.Close(); err != nil {
		panic("playbook: a document cannot be written: " + err.Error())
	}
	return out.Bytes()
}

// hash names a body by its content.
func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
