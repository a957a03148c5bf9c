package web

import "github.com/gofiber/fiber/v2"

// Row is a line of the matrix as tests see it.
type Row struct {
	Method, Path, Kind, Scope string
	Roles                     []string // who may, of people
	Cells                     map[string]string
	Masks                     bool // a token sees contact details masked
}

// Table gives the matrix.
func Table() []Row {
	m, err := parseMatrix(matrixText)
	if err != nil {
		panic(err)
	}
	var rows []Row
	for _, l := range m.lines {
		a := l.access()
		row := Row{Method: l.method, Path: l.path, Kind: string(a.kind), Scope: a.scope, Roles: a.roles, Cells: map[string]string{}, Masks: l.token.sight > sightHidden}
		for role, c := range l.roles {
			if c.may {
				row.Cells[role] = [...]string{"yes", "own", "team", "all"}[c.reach] + [...]string{"", "/m", "/r"}[c.sight]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Text is the matrix as it is written.
func Text() string { return matrixText }

// Parse reads a matrix.
func Parse(text string) error {
	_, err := parseMatrix(text)
	return err
}

// NewWith assembles a server with another matrix, and with handlers that replace gives for routes like "GET /live".
func NewWith(d Deps, text string, replace map[string]fiber.Handler) (*Server, error) {
	return assemble(d, text, func(r route) fiber.Handler {
		if h := replace[r.method+" "+r.path]; h != nil {
			return h
		}
		return r.handler
	})
}

// LagEvery is how long what was found about the load is good for.
const LagEvery = lagEvery
