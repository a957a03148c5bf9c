package spam

import (
	"context"
	"net/netip"
	"time"

	"leadline/internal/lead"
)

// Verdict is what is to be done with a submission.
type Verdict string

// The verdicts.
const (
	Accept    Verdict = "accept"    // like any other
	Hold      Verdict = "hold"      // store it, answer like any other, tell nobody before a person has looked
	Challenge Verdict = "challenge" // ask the browser for a proof of work first
)

// Visit is one submission as it arrives at the door.
type Visit struct {
	Form    *lead.Form
	Raw     *lead.Raw
	Address string // of the network; loopback says nothing about who it is
	Page    bool   // sent by a browser that wants a page back: it cannot solve anything
}

// Judgement is a verdict and why.
type Judgement struct {
	Verdict   Verdict
	Score     int // 0 to 100
	Reasons   []Reason
	Challenge *Proof // with the verdict Challenge
}

// Judge looks at a submission. It changes nothing but counters, and a proof that it takes is spent.
func (g *Guard) Judge(ctx context.Context, v Visit) Judgement {
	now := g.Now()
	address := parseAddress(v.Address)
	domain := emailDomain(v.Raw.Email.Plain())
	if g.lists.current().allows(address, domain) {
		return Judgement{Verdict: Accept}
	}
	var s score
	if v.Raw.Trap.Honey != "" {
		s.add(HiddenField, 1)
	}
	dated := g.page(&s, v, now)
	g.traffic(&s, v, address, dated, now)
	if g.lists.current().denies(address, domain) {
		s.add(Denied, 1)
	}
	if domain != "" && lead.DomainClass(domain) == lead.DomainDisposable {
		s.add(Disposable, 1)
	}
	content(&s, v.Raw)
	return g.settle(ctx, v, s, now)
}

// page judges when the page was made and how often it was used; dated tells whether it came with a token of ours.
func (g *Guard) page(s *score, v Visit, now time.Time) (dated bool) {
	token := v.Raw.Trap.Token
	if token == "" {
		s.add(NoToken, 1)
		return false
	}
	made, nonce, ok := g.openToken(v.Form.Slug, token)
	age := now.Sub(made)
	switch {
	case !ok || age < -clockSkew:
		s.add(ForgedToken, 1)
		return false
	case age < leastDwell:
		s.add(TooFast, 1)
	case age > mostDwell:
		s.add(OldPage, 1)
	}
	if g.pages.used(nonce, v.Raw.ClientKey, now) > mostUses {
		s.add(ReusedToken, 1)
	}
	return true
}

// What is usual, per address, network and person. Exceeding it is never refused by itself.
var (
	usualAddress = lead.Rate{Events: 60, Per: time.Minute}
	usualNetwork = lead.Rate{Events: 600, Per: time.Minute}
	usualTurning = lead.Rate{Events: 20, Per: time.Minute}
)

// traffic judges how much arrived from the same place and the same person. Loopback is a proxy that we were not told of, or ourselves:
// it stands for everybody, so it says nothing.
func (g *Guard) traffic(s *score, v Visit, address netip.Addr, dated bool, now time.Time) {
	if limit := v.Form.PerPerson; limit.Events > 0 {
		if who, known := personKey(v.Raw); known && !g.retried(v, who, limit, now) &&
			!g.habits.take(g.habits.key(whom{kind: person, form: v.Form.Slug, person: who}), limit, limit.Events, now) {
			s.add(SamePerson, 1)
		}
	}
	if !address.IsValid() || address.IsLoopback() {
		return
	}
	near, around := prefixes(address)
	if !g.habits.take(g.habits.key(whom{kind: perAddress, prefix: near}), usualAddress, usualAddress.Events/2, now) {
		if s.add(BusyAddress, 1); dated {
			s.sum = min(mostSure, s.sum+weights[BusyAddress]) // a page filled in by people is never sent that often
		}
	}
	if !g.habits.take(g.habits.key(whom{kind: perNetwork, prefix: around}), usualNetwork, usualNetwork.Events/2, now) {
		s.add(BusyNetwork, 1)
	}
	turns := g.habits.key(whom{kind: turning, prefix: around})
	if !dated && g.pages.turned(turns, near) && !g.habits.take(turns, usualTurning, usualTurning.Events/2, now) {
		s.add(Rotating, 1)
	}
}

// retried tells whether a person sent this under the same key before: whoever tries again while we cannot answer has sent it once, however
// often that takes.
func (g *Guard) retried(v Visit, who string, limit lead.Rate, now time.Time) bool {
	if v.Raw.ClientKey == "" {
		return false
	}
	key := g.habits.key(whom{kind: retry, form: v.Form.Slug, person: who + "\x00" + v.Raw.ClientKey})
	return !g.habits.take(key, lead.Rate{Events: 1, Per: limit.Per}, 1, now)
}

// settle turns a score into a verdict, within what the form allows.
func (g *Guard) settle(ctx context.Context, v Visit, s score, now time.Time) Judgement {
	j := Judgement{Verdict: Accept, Score: s.sum, Reasons: s.reasons}
	if s.sum < doubtful {
		return j
	}
	suspect := Hold
	if v.Form.Spam.NoHold {
		suspect = Accept
	}
	j.Verdict = suspect
	able := !v.Page && !v.Form.Spam.NoChallenge
	if s.sum >= certain || !able || v.Raw.Trap.Solution == "" {
		return j
	}
	switch v.Raw.Trap.Solution {
	case SolverMissing:
		j.Reasons = append(j.Reasons, Unproven)
		return j
	case SolverReady:
	default:
		proven, err := g.proven(ctx, v, now)
		if err != nil {
			g.Log.WarnContext(ctx, "a proof of work could not be checked; what it came with is held", "error", err)
			j.Reasons = append(j.Reasons, UncheckedPoW)
			return j
		}
		if proven {
			j.Verdict = Accept
			return j
		}
	}
	challenge, err := g.challenge(v.Form.Slug, now)
	if err != nil {
		g.Log.ErrorContext(ctx, "no proof of work could be made", "error", err)
		return j
	}
	j.Verdict, j.Challenge = Challenge, challenge
	return j
}
