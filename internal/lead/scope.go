package lead

import (
	"strings"

	"github.com/google/uuid"
)

// Scope says whose leads a question may be about. It becomes a condition of the query that fetches the lead, so that a foreign lead is
// not found in the same way and time as one that does not exist. The zero Scope sees nothing.
type Scope struct {
	All   bool      // every lead; nothing else counts then
	Rep   uuid.UUID // leads that this rep holds, or that were ever offered to this rep alone
	Team  string    // leads in the hands of somebody in this team
	Pools []string  // leads in these pools
}

// Everything is the scope of programs with a token, of people who look after the desk, and of the server itself.
func Everything() Scope { return Scope{All: true} }

// Where is the condition on a lead called l, and its parameters, for stores that read leads.
func (s Scope) Where() (string, []any) {
	if s.All {
		return "true", nil
	}
	var either []string
	var args []any
	add := func(condition string, values ...any) {
		either, args = append(either, condition), append(args, values...)
	}
	if s.Rep != uuid.Nil {
		add("l.rep_id = ?", s.Rep)
		add("EXISTS (SELECT FROM offer o WHERE o.lead_id = l.id AND o.rep_id = ?)", s.Rep)
	}
	if s.Team != "" {
		add("EXISTS (SELECT FROM rep r WHERE r.id = l.rep_id AND r.team = ?)", s.Team)
	}
	if len(s.Pools) > 0 {
		add("l.pool IN ?", s.Pools)
	}
	if len(either) == 0 {
		return "false", nil
	}
	return "(" + strings.Join(either, " OR ") + ")", args
}

// Sight says for whom contact details are asked. The zero Sight sees none.
type Sight struct {
	Rep    uuid.UUID // sees the details of leads that this rep holds
	Looker uuid.UUID // an account or token: sees the details while a reveal of its own is open
	Masked bool      // may be given the details of any other lead in scope, to be shown masked
}
