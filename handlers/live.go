package handlers

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"leadline/internal/account"
	"leadline/internal/dispatch"
	"leadline/internal/fault"
	"leadline/internal/live"
)

// The pace of a console's socket.
const (
	beatEvery    = 5 * time.Second        // frame and ping; the pong is the rep's presence
	poolEvery    = 200 * time.Millisecond // changes of the pool are gathered for this long
	sessionEvery = time.Second            // with the session cache, a sign-out closes the socket within two seconds
	writeWithin  = 5 * time.Second
	hearWithin   = 3 * beatEvery
	readAtMost   = 4 << 10
	acksKept     = 64  // frames whose painting was not confirmed yet
	paintsKept   = 256 // leads per frame whose delay is measured

	confirmedKept = 256 // offers that this console said it shows
)

var writeBuffers sync.Pool

// caller is what Socket leaves for serve: who upgraded, and with what.
type caller struct {
	who   account.Who
	all   bool // may watch every pool
	since int64
	lists bool // the page shows the lists
	names bool // the page says which offers it shows; pages of the release before only that they painted a frame
}

// Socket upgrades to the live stream: GET /live/socket. The exact origin was compared before; it is compared once more here,
// because a wrong word in the routes table must not open the stream to other sites.
func (h *Console) Socket(c *fiber.Ctx) error {
	origin := c.Get(fiber.HeaderOrigin)
	if !OwnOrigin(c, h.publicURL, origin) {
		return fault.New(fault.Forbidden, "The live stream is open to our own pages only.")
	}
	if !websocket.IsWebSocketUpgrade(c) {
		return fiber.ErrUpgradeRequired
	}
	since, _ := strconv.ParseInt(c.Query("since"), 10, 64)
	c.Locals("caller", caller{
		who: WhoOf(c), all: GrantOf(c).Leads.All, since: since, lists: c.Query("view") == "console", names: c.Query("names") == "1",
	})
	return websocket.New(h.serve, websocket.Config{
		Origins:         []string{origin}, // exact, and never empty: an empty list lets everybody in
		RecoverHandler:  h.recovered,
		ReadBufferSize:  512,
		WriteBufferSize: 4096,
		WriteBufferPool: &writeBuffers,
	})(c)
}

// serve is one console's connection. It reads here and writes in one other goroutine, and returns only after that one has:
// the connection goes back to a pool then.
func (h *Console) serve(conn *websocket.Conn) {
	who, ok := conn.Locals("caller").(caller)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &socket{h: h, conn: conn, caller: who, painted: make(chan int, acksKept)}
	if !w.open(ctx) {
		return
	}
	defer h.hub.Unsubscribe(w.sub)
	h.metrics.ConsoleConnections(1)
	defer h.metrics.ConsoleConnections(-1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = conn.Close() }() // ends the reading below
		w.write(ctx)
	}()
	w.read()
	cancel()
	<-done
}

// recovered keeps a panic in one connection from reaching the peer or the process.
func (h *Console) recovered(*websocket.Conn) {
	if p := recover(); p != nil {
		h.log.Error("panic in a console's connection", "panic", p, "stack", string(debug.Stack()))
	}
}

// socket is the state of one connection. The reading side touches sub, painted, repID and confirmed
// alone; of pages that name nothing it is the writing side that touches confirmed.
type socket struct {
	caller
	h       *Console
	conn    *websocket.Conn
	sub     *live.Subscription
	scene   *scene
	painted chan int

	repID     uuid.UUID // zero: a person who only watches
	confirmed map[seen]bool

	shown    picture
	seq      int64
	frames   int
	mine     []seen                      // the offers of the newest frame
	unpaint  map[int][]time.Time         // accepted_at of leads first shown by a frame that was not acknowledged yet
	pooled   map[int][]dispatch.PoolLead // leads open to a pool, likewise
	lastSent time.Time
	next     time.Time
}

// open finds the rep and joins the hub; false: the connection is closed already.
func (w *socket) open(ctx context.Context) bool {
	me, err := w.h.rep(ctx, w.who)
	if err != nil {
		w.close(websocket.CloseTryAgainLater, "try again")
		return false
	}
	w.scene = sceneOf(w.h, w.who, me, w.all)
	w.unpaint, w.pooled, w.confirmed = map[int][]time.Time{}, map[int][]dispatch.PoolLead{}, map[seen]bool{}
	if me != nil {
		w.repID = me.ID
	}
	sub, ok := w.h.hub.Subscribe(w.scene.audience())
	if !ok {
		w.close(websocket.CloseServiceRestart, "restarting")
		return false
	}
	w.sub = sub
	return true
}

// read takes acknowledgements and pongs until the connection ends.
func (w *socket) read() {
	w.conn.SetReadLimit(readAtMost)
	heard := func() { _ = w.conn.SetReadDeadline(w.h.now().Add(hearWithin)) }
	heard()
	w.conn.SetPongHandler(func(string) error {
		heard()
		w.sub.Alive()
		return nil
	})
	for {
		_, body, err := w.conn.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			Ack   int    `json:"ack"`
			Shown []seen `json:"shown"`
		}
		if json.Unmarshal(body, &m) == nil && m.Ack > 0 {
			if w.names {
				w.confirm(m.Shown)
			}
			select {
			case w.painted <- m.Ack:
			default: // measuring may miss some, never hold anything up
			}
		}
	}
}

// confirm tells dispatch, once each, which offers the person can see: these stay until their deadline.
func (w *socket) confirm(offers []seen) {
	if w.repID == uuid.Nil {
		return
	}
	var fresh []dispatch.OfferRef
	for _, o := range offers {
		if w.confirmed[o] {
			continue
		}
		if len(w.confirmed) >= confirmedKept {
			clear(w.confirmed)
		}
		w.confirmed[o] = true
		fresh = append(fresh, dispatch.OfferRef{Lead: o.Lead, Attempt: o.Attempt})
	}
	if len(fresh) > 0 {
		w.h.dispatch.Shown(w.repID, fresh)
	}
}

// write is the only goroutine that writes to the connection.
func (w *socket) write(ctx context.Context) {
	beat, session := time.NewTicker(beatEvery), time.NewTicker(sessionEvery)
	gather, phase := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer func() { beat.Stop(); session.Stop(); gather.Stop(); phase.Stop() }()
	err := w.first(ctx)
	for err == nil {
		if !w.next.IsZero() {
			phase.Reset(max(10*time.Millisecond, w.next.Sub(w.h.hub.Clock())))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.sub.Done():
			w.close(websocket.CloseServiceRestart, "restarting")
			return
		case n := <-w.painted:
			w.measure(n)
			if !w.names {
				w.confirm(w.mine)
			}
		case <-w.sub.Changed():
			urgent := w.sub.Urgent()
			if wait := poolEvery - w.h.now().Sub(w.lastSent); !urgent && wait > 0 {
				gather.Reset(wait)
				continue
			}
			err = w.update(ctx, urgent)
		case <-gather.C:
			err = w.update(ctx, false)
		case <-phase.C:
			err = w.update(ctx, false)
		case <-beat.C:
			err = w.beat(ctx)
		case <-session.C:
			if !w.signedIn(ctx) {
				w.close(websocket.ClosePolicyViolation, "signed out")
				return
			}
		}
	}
	w.close(websocket.CloseTryAgainLater, "too slow")
}

// first brings the document up to date, whatever it shows.
func (w *socket) first(ctx context.Context) error {
	view := w.sub.View(0, w.scene.day())
	st, err := w.scene.prepare(ctx, view)
	if err != nil {
		return err
	}
	f, err := w.scene.snapshot(ctx, view, w.since)
	if err != nil {
		return err
	}
	w.pending(st)
	w.shown, w.seq, w.next = st.picture, view.Seq, st.next
	w.h.greetOffers(&f, st)
	return w.send(f)
}

// greetOffers makes an offer that waits already as audible as one that comes.
func (h *Console) greetOffers(f *frame, st stage) {
	if len(st.view.Offers) > 0 {
		f.Sound = "offer"
	}
}

// update sends what changed. personal: dispatch may have changed the rep's presence, too.
func (w *socket) update(ctx context.Context, personal bool) error {
	f, st, err := w.compose(ctx, personal)
	if err != nil {
		return err
	}
	if len(f.Ops) == 0 && f.Alert == "" {
		w.seq = st.view.Seq
		return nil
	}
	return w.deliver(f, st)
}

// beat sends a frame even when nothing changed, and asks for a sign of life.
func (w *socket) beat(ctx context.Context) error {
	f, st, err := w.compose(ctx, true)
	if err != nil {
		return err
	}
	if err := w.deliver(f, st); err != nil {
		return err
	}
	return w.conn.WriteControl(websocket.PingMessage, nil, w.h.now().Add(writeWithin))
}

func (w *socket) compose(ctx context.Context, personal bool) (frame, stage, error) {
	if personal {
		if err := w.scene.refresh(ctx); err != nil {
			return frame{}, stage{}, err
		}
	}
	st, err := w.scene.prepare(ctx, w.sub.View(w.seq, w.scene.day()))
	if err != nil {
		return frame{}, st, err
	}
	f, err := w.scene.change(ctx, w.shown, st)
	return f, st, err
}

// deliver sends a frame and remembers which leads it was the first to show.
func (w *socket) deliver(f frame, st stage) error {
	fresh := st.view.Arrived
	for i, c := range st.picture.lists[0] {
		if st.view.Offers[i].Attempt <= 1 && !contains(w.shown.lists[0], c.id) {
			fresh = append(fresh, st.view.Offers[i].AcceptedAt)
		}
	}
	w.pending(st)
	w.shown, w.seq, w.next = st.picture, st.view.Seq, st.next
	if len(fresh) > 0 && w.lists {
		if len(w.unpaint) >= acksKept {
			clear(w.unpaint)
		}
		w.unpaint[w.frames+1] = fresh[:min(len(fresh), paintsKept)]
	}
	return w.send(f)
}

// pending notes which leads of a pool the next frame is the first to show to this rep.
func (w *socket) pending(st stage) {
	if w.repID == uuid.Nil || !w.lists {
		return
	}
	var fresh []dispatch.PoolLead
	for i, c := range st.picture.lists[2] {
		if !contains(w.shown.lists[2], c.id) {
			fresh = append(fresh, dispatch.PoolLead{Lead: st.view.Pool[i].ID, Pool: st.view.Pool[i].Pool})
		}
	}
	if len(fresh) == 0 {
		return
	}
	if len(w.pooled) >= acksKept {
		clear(w.pooled)
	}
	w.pooled[w.frames+1] = fresh
}

func contains(cards []shownCard, id string) bool {
	for _, c := range cards {
		if c.id == id {
			return true
		}
	}
	return false
}

func (w *socket) send(f frame) error {
	w.frames++
	f.N, w.mine = w.frames, f.Mine
	if !w.lists {
		f.Ops = withoutLists(f.Ops)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	w.lastSent = w.h.now()
	if err := w.conn.SetWriteDeadline(w.lastSent.Add(writeWithin)); err != nil {
		return err
	}
	return w.conn.WriteMessage(websocket.TextMessage, body)
}

// withoutLists leaves what concerns every page: the rep's own presence.
func withoutLists(ops []op) []op {
	var kept []op
	for _, o := range ops {
		if o.ID == "presence" {
			kept = append(kept, o)
		}
	}
	return kept
}

// measure records how long leads took from the answer to the visitor until they were painted here, and tells dispatch of those in pools.
func (w *socket) measure(n int) {
	now := w.h.hub.Clock()
	for _, accepted := range w.unpaint[n] {
		w.h.metrics.SubmitToConsole(now.Sub(accepted).Seconds())
	}
	delete(w.unpaint, n)
	w.h.dispatch.Painted(w.pooled[n])
	delete(w.pooled, n)
}

// signedIn tells whether the session still stands for the same person. A database that is away signs nobody out.
func (w *socket) signedIn(ctx context.Context) bool {
	who, err := w.h.accounts.SessionByID(ctx, w.who.SessionID)
	if err != nil {
		return !fault.Is(err, fault.Unauthenticated)
	}
	return who.AccountID == w.who.AccountID && sameRep(who.RepID, w.who.RepID) && slices.Equal(who.Roles, w.who.Roles)
}

func sameRep(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (w *socket) close(code int, why string) {
	_ = w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), w.h.now().Add(time.Second))
}
