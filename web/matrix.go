package web

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/account"
)

// matrixText is the table of who may do what: the one place where that is written.
//
//go:embed matrix.txt
var matrixText string

// reach says with which leads a route may be used. Ordered: each includes the ones before.
type reach int

const (
	reachNone reach = iota // may, but no lead is concerned
	reachOwn               // leads that the rep holds or that were offered to the rep
	reachTeam              // these, and leads in the pools or hands of the rep's team
	reachAll
)

// sight says how contact details are shown of leads that somebody else holds, or nobody. Ordered.
type sight int

const (
	sightHidden sight = iota
	sightMasked
	sightReveal // masked, until a reveal
)

// cell is what one role, or one kind of program, may do with a route.
type cell struct {
	may   bool
	reach reach
	sight sight
}

// union gives a person with several roles the most that any of them allows.
func (c cell) union(o cell) cell {
	return cell{may: c.may || o.may, reach: max(c.reach, o.reach), sight: max(c.sight, o.sight)}
}

// line is one line of the matrix.
type line struct {
	method, path string
	from         string
	anyone       bool
	roles        map[string]cell // every role has one
	token        cell
	scope        string // what a token needs
}

func (l *line) name() string { return l.method + " " + l.path }

// of gives what a person with these roles may do.
func (l *line) of(roles []string) cell {
	c := cell{may: l.anyone}
	for _, role := range roles {
		c = c.union(l.roles[role])
	}
	return c
}

// access is what the guard asks of a request to this route.
func (l *line) access() access {
	switch {
	case l.anyone && l.from == "page":
		return ourPage
	case l.anyone:
		return anyone
	case l.from == "local":
		return access{kind: byMonitor, scope: l.scope}
	case l.scope != "":
		return scope(l.scope)
	}
	var who []string
	for _, role := range account.Roles {
		if l.roles[role].may {
			who = append(who, role)
		}
	}
	a := roles(who...)
	if l.from == "socket" {
		a = socket(who...)
	}
	a.strict = l.from == "fresh"
	return a
}

// matrix is the parsed table. Immutable.
type matrix struct {
	lines []*line
	named map[string]*line
}

// columns are the table's, in order; what follows the last one is words for people.
var columns = append(append([]string{"method", "path", "from", "anyone"}, account.Roles...), "token")

// parseMatrix reads the table. Whatever it does not understand completely is an error: a misread line is a door.
func parseMatrix(text string) (*matrix, error) {
	m := &matrix{named: map[string]*line{}}
	headed := false
	for n, written := range strings.Split(text, "\n") {
		words := strings.Fields(written)
		switch {
		case len(words) == 0, strings.HasPrefix(words[0], "#"):
			continue
		case !headed:
			if len(words) < len(columns) || !slices.Equal(words[:len(columns)], columns) {
				return nil, fmt.Errorf("matrix line %d: the head must begin with %s", n+1, strings.Join(columns, " "))
			}
			headed = true
			continue
		case len(words) <= len(columns):
			return nil, fmt.Errorf("matrix line %d: a line has a cell for each column and says what the route is", n+1)
		}
		l, err := parseLine(words)
		if err == nil && m.named[l.name()] != nil {
			err = fmt.Errorf("%s is there twice", l.name())
		}
		if err != nil {
			return nil, fmt.Errorf("matrix line %d: %w", n+1, err)
		}
		m.lines = append(m.lines, l)
		m.named[l.name()] = l
	}
	return m, nil
}

func parseLine(words []string) (*line, error) {
	l := &line{method: words[0], path: words[1], from: words[2], roles: map[string]cell{}}
	if !slices.Contains([]string{fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodDelete, fiber.MethodOptions}, l.method) {
		return nil, fmt.Errorf("%q is no method", l.method)
	}
	if !strings.HasPrefix(l.path, "/") {
		return nil, fmt.Errorf("%q is no path", l.path)
	}
	if words[3] != "yes" && words[3] != "-" {
		return nil, fmt.Errorf("anyone is yes or -, not %q", words[3])
	}
	l.anyone = words[3] == "yes"
	for i, role := range account.Roles {
		c, err := parseCell(words[4+i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", role, err)
		}
		l.roles[role] = c
	}
	if err := l.parseToken(words[4+len(account.Roles)]); err != nil {
		return nil, err
	}
	return l, l.check()
}

func parseCell(text string) (cell, error) {
	right, seen, marked := strings.Cut(text, "/")
	reaches := map[string]cell{
		"-": {}, "yes": {may: true}, "own": {may: true, reach: reachOwn}, "team": {may: true, reach: reachTeam}, "all": {may: true, reach: reachAll},
	}
	c, known := reaches[right]
	if !known {
		return cell{}, fmt.Errorf("%q is no cell", text)
	}
	if !marked {
		return c, nil
	}
	sights := map[string]sight{"m": sightMasked, "r": sightReveal}
	if c.sight, known = sights[seen]; !known || c.reach == reachNone {
		return cell{}, fmt.Errorf("%q is no cell", text)
	}
	return c, nil
}

func (l *line) parseToken(text string) error {
	if text == "-" {
		return nil
	}
	scope, seen, marked := strings.Cut(text, "/")
	if !slices.Contains(account.Scopes, scope) {
		return fmt.Errorf("%q is no scope of a token", scope)
	}
	if marked && seen != "r" {
		return fmt.Errorf("%q is no cell for tokens", text)
	}
	l.scope = scope
	l.token = cell{may: true, reach: reachAll}
	if marked {
		l.token.sight = sightReveal
	}
	return nil
}

// check holds a line to what makes the table readable: a route is for visitors, for people who work here or for programs, and one
// about a lead says which leads.
func (l *line) check() error {
	people, unlike := 0, 0
	for _, c := range l.roles {
		if c.may {
			people++
		}
		if c != (cell{may: true}) {
			unlike++
		}
		if c.may && c.reach == reachNone && strings.Contains(l.path, "/leads/:id") && !l.anyone {
			return fmt.Errorf("%s is about a lead: say own, team or all", l.name())
		}
	}
	froms := []string{"page", "socket", "fresh"}
	switch {
	case l.anyone && (unlike > 0 || l.scope != ""):
		return fmt.Errorf("%s: what anyone may, every role may alike, without a token", l.name())
	case l.anyone:
		froms = []string{"any", "page"}
	case people > 0 && l.scope != "":
		return fmt.Errorf("%s is for people or for programs, not for both", l.name())
	case people == 0 && l.scope == "":
		return fmt.Errorf("%s is open to nobody", l.name())
	case l.scope != "":
		froms = []string{"any", "local"}
	}
	if !slices.Contains(froms, l.from) {
		return fmt.Errorf("%s: from must be one of %s", l.name(), strings.Join(froms, ", "))
	}
	return nil
}

// join finds the line of each route. A route without a line, or a line without a route, is an error.
func (m *matrix) join(routes []route) error {
	var problems []string
	seen := map[string]bool{}
	for _, r := range routes {
		name := r.method + " " + r.path
		if m.named[name] == nil {
			problems = append(problems, name+" has no line in the matrix")
		}
		if seen[name] {
			problems = append(problems, name+" is routed twice")
		}
		seen[name] = true
	}
	for _, l := range m.lines {
		if !seen[l.name()] {
			problems = append(problems, l.name()+" is in the matrix, but nothing answers there")
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("routes and matrix differ: %s", strings.Join(problems, "; "))
	}
	return nil
}
