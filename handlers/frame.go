package handlers

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"leadline/internal/live"
	"leadline/views"
)

// frame is one message to a console. N numbers the frames of a connection and is what the console acknowledges.
type frame struct {
	N      int    `json:"n,omitempty"`
	Seq    int64  `json:"seq"`
	Now    int64  `json:"now"` // database clock, Unix milliseconds
	Ops    []op   `json:"ops,omitempty"`
	Say    string `json:"say,omitempty"`   // polite
	Alert  string `json:"alert,omitempty"` // assertive
	Sound  string `json:"sound,omitempty"`
	Missed string `json:"missed,omitempty"` // what happened while the console was away
	Offers int    `json:"offers"`
	Until  int64  `json:"until,omitempty"` // when the most pressing offer ends
	Mine   []seen `json:"mine,omitempty"`  // the offers to this rep alone: the console says which of them it shows
}

// seen is one offer that a screen shows, as its lead and the number of the attempt.
type seen struct {
	Lead    uuid.UUID `json:"lead"`
	Attempt int       `json:"attempt"`
}

// op is one change of the document. Op is list (ID: the list), insert (into List before Before), morph, remove or text.
type op struct {
	Op     string `json:"op"`
	ID     string `json:"id"`
	List   string `json:"list,omitempty"`
	Before string `json:"before,omitempty"`
	HTML   string `json:"html,omitempty"`
	Text   string `json:"text,omitempty"`
}

// shown is one card as a console has it: where, and in which state.
type shownCard struct{ id, mark string }

// picture is what a console shows after a frame.
type picture struct {
	lists    [3][]shownCard // as in listNames
	texts    [3]string
	presence string
}

var (
	listNames = [3]string{"offers", "mine", "pool"}
	textNames = [3]string{"offers-sum", "mine-sum", "pool-sum"}
)

// stage is a view prepared for comparing: marks first, HTML only for what changed.
type stage struct {
	picture picture
	cards   [3][]views.Card
	view    live.View
	next    time.Time // when some card's urgency changes by the clock alone; zero: never
}

func (s *scene) prepare(ctx context.Context, view live.View) (stage, error) {
	st := stage{view: view}
	st.cards[0], st.cards[2] = s.cards(view.Offers), s.cards(view.Pool)
	mine, err := s.mine(ctx, view.Mine)
	if err != nil {
		return st, err
	}
	st.cards[1] = mine
	versions := [3][]*live.Card{view.Offers, view.Mine, view.Pool}
	now, open := s.h.hub.Clock(), 0
	for l, cards := range st.cards {
		prefix := [3]string{"offer-", "mine-", "pool-"}[l]
		for i, c := range cards {
			phase, next := c.PhaseAt(now)
			if !next.IsZero() && (st.next.IsZero() || next.Before(st.next)) {
				st.next = next
			}
			st.picture.lists[l] = append(st.picture.lists[l], shownCard{prefix + c.ID, fmt.Sprint(versions[l][i].Version, phase.Name)})
			if l == 1 && c.FinishedAt.IsZero() {
				open++
			}
		}
	}
	st.picture.texts = [3]string{
		views.OfferSummary(len(view.Offers)), views.MineSummary(open), views.PoolSummary(view.PoolCount, len(view.Pool), view.PoolLate),
	}
	if s.me != nil {
		st.picture.presence = string(s.me.Presence) + s.me.PresenceReason
	}
	return st, nil
}

// snapshot gives a frame that makes any document current, and says what was missed since a position (0: nothing to say).
func (s *scene) snapshot(ctx context.Context, view live.View, since int64) (frame, error) {
	st, err := s.prepare(ctx, view)
	if err != nil {
		return frame{}, err
	}
	f, err := s.whole(ctx, st)
	if err != nil || since == 0 {
		return f, err
	}
	m, err := s.h.hub.MissedSince(ctx, since, s.audience())
	f.Missed = views.MissedSentence(m.OffersGone, m.NewInPool, lateOf(st.cards[1]))
	return f, err
}

func (s *scene) whole(ctx context.Context, st stage) (frame, error) {
	f := s.frame(st)
	for l, name := range listNames {
		html, err := s.list(ctx, l, st)
		if err != nil {
			return f, err
		}
		f.Ops = append(f.Ops, op{Op: "list", ID: name, HTML: html})
		f.Ops = append(f.Ops, op{Op: "text", ID: textNames[l], Text: st.picture.texts[l]})
	}
	ops, err := s.presenceOps(ctx)
	f.Ops = append(f.Ops, ops...)
	return f, err
}

func (s *scene) frame(st stage) frame {
	f := frame{Seq: st.view.Seq, Now: s.h.hub.Clock().UnixMilli(), Offers: len(st.view.Offers)}
	for _, c := range st.view.Offers {
		f.Mine = append(f.Mine, seen{c.ID, c.Attempt})
	}
	if len(st.view.Offers) > 0 && st.view.Offers[0].OfferDeadline != nil {
		f.Until = st.view.Offers[0].OfferDeadline.UnixMilli()
	}
	return f
}

// change gives a frame that brings a document from one picture to the next.
func (s *scene) change(ctx context.Context, was picture, st stage) (frame, error) {
	f := s.frame(st)
	for l := range listNames {
		ops, err := s.listOps(ctx, l, was.lists[l], st)
		if err != nil {
			return f, err
		}
		f.Ops = append(f.Ops, ops...)
		if was.texts[l] != st.picture.texts[l] {
			f.Ops = append(f.Ops, op{Op: "text", ID: textNames[l], Text: st.picture.texts[l]})
		}
	}
	if was.presence != st.picture.presence {
		ops, err := s.presenceOps(ctx)
		if err != nil {
			return f, err
		}
		f.Ops = append(f.Ops, ops...)
	}
	s.announce(&f, was, st)
	return f, nil
}

func (s *scene) listOps(ctx context.Context, l int, was []shownCard, st stage) ([]op, error) {
	now := st.picture.lists[l]
	before, after := map[string]string{}, map[string]bool{}
	for _, c := range was {
		before[c.id] = c.mark
	}
	for _, c := range now {
		after[c.id] = true
	}
	stayed := func(cards []shownCard, in func(string) bool) []string {
		var ids []string
		for _, c := range cards {
			if in(c.id) {
				ids = append(ids, c.id)
			}
		}
		return ids
	}
	had := func(id string) bool { _, ok := before[id]; return ok }
	if !slices.Equal(stayed(was, func(id string) bool { return after[id] }), stayed(now, had)) {
		html, err := s.list(ctx, l, st)
		return []op{{Op: "list", ID: listNames[l], HTML: html}}, err
	}
	var ops []op
	for _, c := range was {
		if !after[c.id] {
			ops = append(ops, op{Op: "remove", ID: c.id})
		}
	}
	next := ""
	for i := len(now) - 1; i >= 0; i-- { // from the end, so that the card to stand before is there already
		mark, was := before[now[i].id]
		if !was || mark != now[i].mark {
			html, err := s.item(ctx, l, i, st)
			if err != nil {
				return nil, err
			}
			if was {
				ops = append(ops, op{Op: "morph", ID: now[i].id, HTML: html})
			} else {
				ops = append(ops, op{Op: "insert", ID: now[i].id, List: listNames[l], Before: next, HTML: html})
			}
		}
		next = now[i].id
	}
	return ops, nil
}

// announce says what a person must hear: each new offer at once.
func (s *scene) announce(f *frame, was picture, st stage) {
	for i, c := range st.picture.lists[0] {
		if slices.ContainsFunc(was.lists[0], func(o shownCard) bool { return o.id == c.id }) {
			continue
		}
		f.Sound = "offer"
		f.Alert = views.OfferSentence(st.cards[0][i])
		return
	}
}

func (s *scene) presenceOps(ctx context.Context) ([]op, error) {
	if s.me == nil {
		return nil, nil
	}
	p := presenceView(*s.me)
	control, err := markup(ctx, views.PresenceControl(p))
	if err != nil {
		return nil, err
	}
	ready, err := markup(ctx, views.Ready(&p))
	return []op{{Op: "morph", ID: "presence", HTML: control}, {Op: "morph", ID: "ready", HTML: ready}}, err
}

func (s *scene) list(ctx context.Context, l int, st stage) (string, error) {
	var all bytes.Buffer
	for i := range st.cards[l] {
		html, err := s.item(ctx, l, i, st)
		if err != nil {
			return "", err
		}
		all.WriteString(html)
	}
	return all.String(), nil
}

// item renders one card. Pool cards look the same to every rep, so they are rendered once for all consoles.
func (s *scene) item(ctx context.Context, l, i int, st stage) (string, error) {
	card := st.cards[l][i]
	switch l {
	case 0:
		return markup(ctx, views.OfferCard(card))
	case 1:
		return markup(ctx, views.Mine(card))
	}
	key := fmt.Sprint(card.ID, st.picture.lists[l][i].mark, card.ReadOnly)
	return s.h.cards.get(key, func() (string, error) { return markup(ctx, views.PoolCard(card)) })
}

func markup(ctx context.Context, view templ.Component) (string, error) {
	var b bytes.Buffer
	if err := view.Render(ctx, &b); err != nil {
		return "", fmt.Errorf("render a part of the console: %w", err)
	}
	return b.String(), nil
}

func lateOf(mine []views.Card) int {
	late := 0
	for _, c := range mine {
		if c.FinishedAt.IsZero() && c.Goal != nil && c.Goal.Before(c.Now) {
			late++
		}
	}
	return late
}

// cardCache keeps rendered cards that many consoles show. It is emptied when full: the next frames fill it again.
type cardCache struct {
	mu   sync.Mutex
	html map[string]string
}

const cardsCached = 4096

func (c *cardCache) get(key string, render func() (string, error)) (string, error) {
	c.mu.Lock()
	html, ok := c.html[key]
	c.mu.Unlock()
	if ok {
		return html, nil
	}
	html, err := render()
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.html == nil || len(c.html) >= cardsCached {
		c.html = map[string]string{}
	}
	c.html[key] = html
	return html, nil
}

// refresh reads the rep again, because dispatch may have changed the presence.
func (s *scene) refresh(ctx context.Context) error {
	if s.me == nil {
		return nil
	}
	me, err := s.h.reps.ByID(ctx, s.me.ID)
	if err != nil {
		return err
	}
	s.me = &me
	return nil
}
