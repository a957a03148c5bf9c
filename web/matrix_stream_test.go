package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"leadline/web"
)

// The live stream brings nobody what their requests would not: the first frame, and those that follow changes of everybody's leads.
func TestMatrix_StreamBringsNobodyForeignLeads(t *testing.T) {
	t.Parallel()
	p := newProber(newWorld(t, web.New), 1)
	streams := map[*sender]*websocket.Conn{}
	for _, from := range p.senders {
		if !from.person() {
			continue
		}
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(p.url, "http", "ws", 1)+"/live/socket?view=console",
			http.Header{"Cookie": {from.cookie}, "Origin": {p.url}})
		if res != nil {
			_ = res.Body.Close()
		}
		may := !from.void && len(from.roles) > 0
		if (err == nil) != may {
			t.Errorf("%s opens the stream: %v", from.name, err)
		}
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = conn.Close() })
		streams[from] = conn
	}
	read := func(from *sender, holders []string) string {
		t.Helper()
		if err := streams[from].SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, frame, err := streams[from].ReadMessage()
		if err != nil {
			t.Fatalf("%s reads the stream: %v", from.name, err)
		}
		var text struct{ Ops []struct{ HTML string } } // plain text, with the quotes of JSON undone
		if err := json.Unmarshal(frame, &text); err != nil {
			t.Fatal(err)
		}
		all := string(frame)
		for _, op := range text.Ops {
			all += op.HTML
		}
		p.leaks(probe{from: from, method: http.MethodGet, pattern: "/live/socket", plant: -1}, all, holders, false)
		return all
	}
	planted := p.holders(false)
	for from := range streams {
		read(from, planted)
	}
	for _, name := range []string{"sven", "nora", "solo"} { // each takes what waits for them
		from := p.named("rep " + name)
		if status, _, _ := p.send(probe{from: from, method: http.MethodPost, pattern: "/live/next", plant: -1, kind: typeForm, body: "place=pool-x", part: true}); status != http.StatusOK {
			t.Fatalf("%s takes a lead: %d", name, status)
		}
	}
	now := p.holders(true)
	for from := range streams {
		read(from, now) // a change of theirs, or else the next beat
	}
	for _, f := range p.found {
		t.Error(f)
	}
}

func (w *world) named(name string) *sender {
	for _, s := range w.senders {
		if s.name == name {
			return s
		}
	}
	w.t.Fatalf("there is no sender %s", name)
	return nil
}
