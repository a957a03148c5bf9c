package web

// Row is a line of the routes table as tests see it.
type Row struct {
	Method, Path, Kind, Scope string
	Roles                     []string
}

// Table gives the routes table of a server.
func Table(d Deps) []Row {
	s := &server{Deps: d, public: d.PublicURL.String()}
	var rows []Row
	for _, r := range s.routes() {
		rows = append(rows, Row{Method: r.method, Path: r.path, Kind: string(r.who.kind), Scope: r.who.scope, Roles: r.who.roles})
	}
	return rows
}
