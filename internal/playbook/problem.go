package playbook

import (
	"fmt"
	"slices"
)

// Problem is something wrong in a configuration text, or worth a look if Warning.
type Problem struct {
	File    string
	Line    int    // 1-based; 0: the text as a whole
	Path    string // like pools[0].offer.exclusive
	Code    string // for programs: unknown, duplicate, format, tie, ...
	Message string // a sentence without a full stop
	Remedy  string // what to do about it; may be empty
	Warning bool
}

// String is the problem as a person reads it: file.yaml:12: pool "dach" has no members; add members: [{rep: E-MAIL}].
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if where != "" {
		where += ": "
	}
	if p.Warning {
		where += "warning: "
	}
	if p.Remedy == "" {
		return where + p.Message
	}
	return where + p.Message + "; " + p.Remedy
}

// Failed tells whether any of the problems is more than a warning.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}
