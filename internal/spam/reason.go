package spam

import "slices"

// Reason names what spoke against a submission. Permanent: reasons are stored, filtered by and counted.
type Reason string

// The reasons.
const (
	HiddenField  Reason = "hidden_field"  // a field that people do not see was filled in
	ForgedToken  Reason = "forged_token"  // the page's token is not ours, or of another form
	ReusedToken  Reason = "reused_token"  // one page sent many different forms
	TooFast      Reason = "too_fast"      // sent sooner than anybody can press a button
	OldPage      Reason = "old_page"      // the page was made more than a day ago
	NoToken      Reason = "no_token"      // the page did not ask us for one, as plain integrations do
	Denied       Reason = "denied"        // the address or the e-mail domain is on a list of the operator
	Disposable   Reason = "disposable"    // a mailbox that lives for minutes
	Links        Reason = "links"         // links where people write words
	Markup       Reason = "markup"        // HTML or forum markup
	SpamWords    Reason = "spam_words"    // words of known advertising
	SameText     Reason = "same_text"     // one text in fields that never say the same
	Gibberish    Reason = "gibberish"     // letters by chance
	BusyAddress  Reason = "busy_address"  // far more from this address than usual
	BusyNetwork  Reason = "busy_network"  // the same, for the network around it
	Rotating     Reason = "rotating"      // one address after the other out of one network
	SamePerson   Reason = "same_person"   // the same person again and again
	Unproven     Reason = "unproven"      // a proof was asked for, and the browser could not give one
	UncheckedPoW Reason = "unchecked_pow" // the proof could not be checked just now
)

// weights say how much each reason speaks for a program. doubtful and certain are what sums are compared with.
var weights = map[Reason]int{
	HiddenField: 100, ForgedToken: 85, ReusedToken: 60, TooFast: 40, OldPage: 10, NoToken: 10,
	Denied: 100, Disposable: 40,
	Markup: 60, SpamWords: 25, SameText: 15, Gibberish: 20,
	BusyAddress: 20, BusyNetwork: 30, Rotating: 45, SamePerson: 40,
	Links: 0, Unproven: 0, UncheckedPoW: 0, // links by their number, the others by what they came with
}

const (
	doubtful = 40
	certain  = 80
	mostSure = 100
)

// Reasons lists all of them, for filters.
func Reasons() []Reason {
	var all []Reason
	for r := range weights {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// score is a sum with what it is made of.
type score struct {
	sum     int
	reasons []Reason
}

// add counts a reason once, times over for those that come in numbers.
func (s *score) add(r Reason, times int) {
	if times < 1 {
		return
	}
	s.addPoints(r, times*weights[r])
}

func (s *score) addPoints(r Reason, points int) {
	s.sum = min(mostSure, s.sum+points)
	s.reasons = append(s.reasons, r)
}
