package routing

import "slices"

// Decline says why a rep passed an offer. The codes are permanent: they stand on offers, in events and in the API.
type Decline string

// The codes. What each means for turns is ReturnsTurn's to say.
const (
	WrongTerritory Decline = "wrong_territory"
	OnACall        Decline = "on_a_call"
	WrongLanguage  Decline = "language"
	Conflict       Decline = "conflict" // of interest: a customer or partner of theirs, somebody they know
	LooksLikeSpam  Decline = "spam"
	IsDuplicate    Decline = "duplicate"
	OtherReason    Decline = "other"
)

// Declines lists every code, as they are offered to people.
var Declines = []Decline{OnACall, WrongTerritory, WrongLanguage, Conflict, LooksLikeSpam, IsDuplicate, OtherReason}

// Known tells whether it is one of Declines.
func (d Decline) Known() bool { return slices.Contains(Declines, d) }

// ReturnsTurn tells whether the rep gets the turn back: the lead was not theirs to take, or no lead at all. Who was busy or would
// rather not has had the turn, as if the time had run out.
func (d Decline) ReturnsTurn() bool {
	switch d {
	case WrongTerritory, WrongLanguage, Conflict, LooksLikeSpam, IsDuplicate:
		return true
	}
	return false
}

// ReturnTurn gives a member back what the last turn in a pool took. It answers false where there is nothing to give back: no such member,
// or a strategy that keeps no credits.
func (w *World) ReturnTurn(p *Pool, repEmail string) bool {
	turn, had := w.Turns[p.TurnsKey()][repEmail]
	if p.Strategy != Weighted || !had || !turn.Joined || !slices.ContainsFunc(p.Members, func(m Member) bool { return m.Rep == repEmail }) {
		return false
	}
	turn.Credit++
	w.Turns[p.TurnsKey()][repEmail] = turn
	return true
}
