package playbook

import (
	"fmt"
	"time"

	"leadline/internal/routing"
)

// The bounds of what an offer says beside its times.
const (
	mostTurns    = 100
	mostAttempts = 100
	mostTotal    = 7 * 24 * time.Hour
	leastScreen  = 500 * time.Millisecond
	mostScreen   = 10 * time.Second
	leastFair    = 10 * time.Millisecond
)

// offer reads on which terms a pool's leads are offered.
func (b *builder) offer(path, what string, d *offerDoc) routing.OfferTerms {
	o := routing.OfferTerms{
		Exclusive: b.duration(path+".exclusive", what+".exclusive", &d.Exclusive, leastOffer, mostOffer, routing.DefaultExclusive),
		Turns:     b.count(path+".turns", what+".turns", &d.Turns, mostTurns, 1),
		Pool:      b.duration(path+".pool", what+".pool", &d.Pool, leastOffer, mostOffer, routing.DefaultPoolOffer),
		Attempts:  b.count(path+".attempts", what+".attempts", &d.Attempts, mostAttempts, routing.DefaultAttempts),
		Total:     b.duration(path+".total", what+".total", &d.Total, leastOffer, mostTotal, 0),
		Manager:   b.email(path+".manager", what+".manager", &d.Manager),
		Screen:    routing.NoScreen,
	}
	o.Hot = b.duration(path+".hot", what+".hot", &d.Hot, leastOffer, mostOffer, o.Exclusive)
	if d.Screen != none {
		o.Screen = b.duration(path+".screen", what+".screen", &d.Screen, leastScreen, mostScreen, routing.DefaultScreen)
	}
	o.Window = b.window(path+".window", what+".window", &d.Window)
	return o
}

// window reads for how long claims count as made at once; none is the default and becomes empty.
func (b *builder) window(path, what string, text *string) time.Duration {
	if *text == none {
		*text = ""
	}
	if *text == "" {
		return 0
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d < leastFair || d > routing.MostWindow {
		b.fail(path, "duration", fmt.Sprintf("use a time from %s to %s, like 150ms, or none", leastFair, routing.MostWindow), "%s cannot be %q", what, *text)
		return 0
	}
	*text = d.String()
	return d
}

// none is how the text says that something is switched off which is on when nothing is said.
const none = "none"

// count reads a whole number from 1; text that says the default becomes empty.
func (b *builder) count(path, what string, text **int, most, otherwise int) int {
	if *text == nil {
		return otherwise
	}
	n := **text
	if n < 1 || n > most {
		b.fail(path, "range", fmt.Sprintf("use a number from 1 to %d", most), "%s cannot be %d", what, n)
	}
	if n == otherwise {
		*text = nil
	}
	return n
}

// sla reads how much time a pool's leads may take.
func (b *builder) sla(path, what string, d *slaDoc, p *routing.Pool) {
	clock := func(key string, text *string) time.Duration {
		return b.duration(path+"."+key, what+"."+key, text, time.Second, mostGoal, 0)
	}
	p.FirstTouch = clock("first_touch", &d.FirstTouch)
	p.Calendar = routing.Calendar(b.word(path+".calendar", what+".calendar", &d.Calendar,
		string(routing.PoolHours), string(routing.RepHours), string(routing.NoCalendar)))
	p.SLA = routing.SLA{
		System: clock("system", &d.System), Accept: clock("accept", &d.Accept), Attempt: clock("first_attempt", &d.Attempt), Contact: clock("contact", &d.Contact),
		Calling: b.hours(path+".calling", what+".calling", &d.Calling, "").String(),
		Act:     routing.Act(b.word(path+".act", what+".act", &d.Act, texts(routing.Acts)...)),
	}
}

// texts are words of the text as plain strings.
func texts[S ~string](words []S) []string {
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = string(w)
	}
	return plain
}
