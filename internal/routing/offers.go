package routing

import (
	"strings"
	"time"

	"leadline/internal/lead"
)

// OfferTerms say how a pool's leads are offered. Zero values were replaced by the defaults when the table was compiled.
type OfferTerms struct {
	Exclusive time.Duration // to one rep; 20 s
	Hot       time.Duration // to one rep, of a hot lead; Exclusive
	Turns     int           // members who are asked one by one before everybody is; 1
	Pool      time.Duration // to the whole pool; 60 s
	Attempts  int           // offers that were answered or ran out, until the ladder goes to its end; 5
	Total     time.Duration // from acceptance, until the ladder goes to its end; zero: no limit
	Manager   string        // e-mail of the rep who is asked when the last resort cannot, or empty
	Screen    time.Duration // within which a console must show an offer; 1 s, NoScreen: nobody asks
	Window    time.Duration // in which claims of a lead that is open to the pool count as made at once; zero: the first wins
}

// NoScreen in OfferTerms.Screen says that offers stand whether or not a console has shown them.
const NoScreen time.Duration = -1

// MostWindow bounds OfferTerms.Window: people who claim wait for so long to hear who won.
const MostWindow = 250 * time.Millisecond

func (o OfferTerms) withDefaults() OfferTerms {
	if o.Exclusive == 0 {
		o.Exclusive = DefaultExclusive
	}
	if o.Hot == 0 {
		o.Hot = o.Exclusive
	}
	if o.Turns == 0 {
		o.Turns = 1
	}
	if o.Pool == 0 {
		o.Pool = DefaultPoolOffer
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Screen == 0 {
		o.Screen = DefaultScreen
	}
	o.Manager = strings.ToLower(o.Manager)
	return o
}

// toOne is how long one rep has for a lead.
func (o OfferTerms) toOne(f Facts) time.Duration {
	if f.Intent == lead.IntentHigh {
		return o.Hot
	}
	return o.Exclusive
}

// turns is how many members are asked one by one.
func (p *Pool) turns() int { return max(1, min(p.Offer.Turns, len(p.Members))) }
