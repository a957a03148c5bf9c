package web_test

import (
	"slices"
	"strings"
	"testing"

	"leadline/internal/account"
	"leadline/web"
)

// What must stay true of the matrix however it grows. The prober holds the server to the matrix; this holds the matrix to the rules.
func TestMatrix_KeepsToTheRules(t *testing.T) {
	revealing := 0
	for _, row := range web.Table() {
		name := row.Method + " " + row.Path
		aboutLead := strings.Contains(row.Path, "/leads/:id") && !strings.HasPrefix(row.Path, "/v1/forms/")
		if aboutLead && (row.Kind == "anyone" || row.Kind == "page" || row.Kind == "monitor") {
			t.Errorf("%s is about a lead and asks nobody who they are", name)
		}
		for role, cell := range row.Cells {
			reach, sight, _ := strings.Cut(cell, "/")
			if role == account.RoleRep && (reach == "all" || sight != "") {
				t.Errorf("%s: a rep reaches %s; reps see their own contacts, and no others in any form", name, cell)
			}
			if role == account.RoleViewer && sight == "r" {
				t.Errorf("%s: a viewer may reveal", name)
			}
			if sight == "r" && row.Path == "/leads/:id/reveal" {
				revealing++
			}
		}
		changes := row.Method != "GET" && row.Method != "HEAD" && row.Method != "OPTIONS"
		if slices.Contains(row.Roles, account.RoleViewer) && changes && aboutLead {
			t.Errorf("%s: a viewer changes a lead", name)
		}
		if row.Kind == "token" && row.Method == "GET" && aboutLead && !row.Masks && row.Path == "/v1/leads/:id" {
			t.Errorf("%s shows contacts to programs unmasked and unrecorded", name)
		}
	}
	if revealing != 2 {
		t.Errorf("%d roles may reveal, want ops and admin", revealing)
	}
}

// A route without a line, a line without a route, and everything that could be misread stops the server.
func TestMatrix_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	s := setup(t)
	line := "GET      /leads/:id                       page    -       team  all/r  all/r  all/m   -                  a lead\n"
	if !strings.Contains(web.Text(), line) {
		t.Fatal("the line to change is not there")
	}
	for name, changed := range map[string]string{
		"a route without a line": "",
		"a line without a route": line + strings.Replace(line, "/leads/:id ", "/leads/:id/x ", 1),
		"a line twice":           line + line,
		"an unknown cell":        strings.Replace(line, "team ", "teams", 1),
		"an unknown mark":        strings.Replace(line, "all/m", "all/x", 1),
		"a mark without a lead":  strings.Replace(line, "all/m", "yes/m", 1),
		"a lead without a reach": strings.Replace(line, "team", "yes ", 1),
		"a missing cell":         strings.Replace(line, "all/m", "", 1),
		"no words":               "GET /leads/:id page - team all/r all/r all/m -\n",
		"an unknown method":      strings.Replace(line, "GET ", "GETS", 1),
		"an unknown from":        strings.Replace(line, "page", "home", 1),
		"not from a page":        strings.Replace(line, "page", "any ", 1),
		"anyone and a role":      strings.Replace(line, "page    -  ", "page    yes", 1),
		"people and programs":    strings.Replace(line, "all/m   -         ", "all/m   leads:read", 1),
		"an unknown scope":       "GET /leads/:id any - - - - - leads:all a lead\n",
		"open to nobody":         "GET /leads/:id page - - - - - - a lead\n",
	} {
		if _, err := web.NewWith(s.deps, strings.Replace(web.Text(), line, changed, 1), nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := web.NewWith(s.deps, strings.Replace(web.Text(), "viewer  token ", "token  viewer ", 1), nil); err == nil {
		t.Error("columns in another order were taken")
	}
	if _, err := web.New(s.deps); err != nil {
		t.Errorf("the matrix as it is: %v", err)
	}
}
