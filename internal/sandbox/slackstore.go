package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxMessages bounds what one Slack channel holds; above it the oldest go.
const maxMessages = 10_000

// Message is one chat message.
type Message struct {
	Channel     string          `json:"channel"`
	ChannelName string          `json:"channel_name,omitempty"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts,omitempty"`
	BotID       string          `json:"bot_id"`
	Text        string          `json:"text"`
	Blocks      json.RawMessage `json:"blocks,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	At          time.Time       `json:"at"`
	Edits       int             `json:"edits"`
	EditedAt    *time.Time      `json:"edited_at,omitempty"`
}

// slackChannel is a channel or a direct conversation with its messages, oldest first.
type slackChannel struct {
	id, name string
	messages []*Message
}

// slackStore holds the workspace: its channels, members and messages.
type slackStore struct {
	now   func() time.Time
	saved func(savedLine)

	mu     sync.Mutex
	lastTS int64 // microseconds; timestamps name messages, so no two may be equal
	byID   map[string]*slackChannel
	byName map[string]*slackChannel
	order  []*slackChannel
	users  map[string]string // e-mail address to user id
	emails map[string]string // user id to e-mail address
}

func newSlackStore(now func() time.Time, channels, users []string) *slackStore {
	st := &slackStore{
		now: now, byID: map[string]*slackChannel{}, byName: map[string]*slackChannel{},
		users: map[string]string{}, emails: map[string]string{},
	}
	for i, name := range append([]string{"leads", "general"}, channels...) {
		if st.byName[name] == nil {
			st.addLocked(&slackChannel{id: fmt.Sprintf("C0%03dABCD", 123+i), name: name})
		}
	}
	for i, email := range users {
		id := fmt.Sprintf("U%03dWORK", 777+i)
		st.users[strings.ToLower(email)], st.emails[id] = id, strings.ToLower(email)
	}
	return st
}

func (st *slackStore) addLocked(c *slackChannel) {
	st.byID[c.id] = c
	if c.name != "" {
		st.byName[c.name] = c
	}
	st.order = append(st.order, c)
}

// channelID finds a channel by id or, where names are allowed, by name with or without a hash. "" means there is none.
func (st *slackStore) channelID(ref string, names bool) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if c := st.byID[ref]; c != nil {
		return c.id
	}
	if c := st.byName[strings.TrimPrefix(ref, "#")]; names && c != nil {
		return c.id
	}
	return ""
}

// post stores a message and gives it its timestamp.
func (st *slackStore) post(m Message) Message {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.now()
	st.lastTS = max(now.UnixMicro(), st.lastTS+1)
	m.TS = fmt.Sprintf("%d.%06d", st.lastTS/1e6, st.lastTS%1e6)
	m.At = now
	c := st.byID[m.Channel]
	m.ChannelName = c.name
	st.appendLocked(c, &m)
	st.saveLocked(&m)
	return m
}

func (st *slackStore) appendLocked(c *slackChannel, m *Message) {
	c.messages = append(c.messages, m)
	if len(c.messages) > maxMessages {
		c.messages[0] = nil
		c.messages = c.messages[1:]
	}
}

func (st *slackStore) saveLocked(m *Message) {
	if st.saved != nil {
		st.saved(savedLine{Message: m})
	}
}

// edit lets f change a message; f answers a Slack error code, or "" to keep the change. No such message: message_not_found.
func (st *slackStore) edit(channel, ts string, f func(*Message) string) (Message, string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	m := st.findLocked(channel, ts)
	if m == nil {
		return Message{}, "message_not_found"
	}
	changed := *m
	if code := f(&changed); code != "" {
		return Message{}, code
	}
	now := st.now()
	changed.Edits++
	changed.EditedAt = &now
	*m = changed
	st.saveLocked(m)
	return changed, ""
}

func (st *slackStore) findLocked(channel, ts string) *Message {
	c := st.byID[channel]
	if c == nil {
		return nil
	}
	for i := len(c.messages) - 1; i >= 0; i-- {
		if c.messages[i].TS == ts {
			return c.messages[i]
		}
	}
	return nil
}

// restore puts back a message that an earlier run stored; the newest state of a message comes last.
func (st *slackStore) restore(m *Message) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var sec, micro int64
	if _, err := fmt.Sscanf(m.TS, "%d.%d", &sec, &micro); err != nil {
		return
	}
	st.lastTS = max(st.lastTS, sec*1e6+micro)
	c := st.byID[m.Channel]
	if c == nil {
		c = &slackChannel{id: m.Channel, name: m.ChannelName}
		st.addLocked(c)
	}
	if old := st.findLocked(m.Channel, m.TS); old != nil {
		*old = *m
		return
	}
	st.appendLocked(c, m)
}

// history gives messages of a channel newest first, with oldest < ts < latest ("" is no bound; inclusive takes the bounds too),
// at most limit, and whether there are more.
func (st *slackStore) history(channel, oldest, latest string, inclusive bool, limit int) ([]Message, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []Message
	messages := st.byID[channel].messages
	for i := len(messages) - 1; i >= 0; i-- {
		m := messages[i]
		if m.ThreadTS != "" && m.ThreadTS != m.TS {
			continue // replies are read by conversations.replies
		}
		if latest != "" && (m.TS > latest || m.TS == latest && !inclusive) {
			continue
		}
		if oldest != "" && (m.TS < oldest || m.TS == oldest && !inclusive) {
			break
		}
		if len(out) == limit {
			return out, true
		}
		out = append(out, *m)
	}
	return out, false
}

// list copies all messages, channel by channel, oldest first.
func (st *slackStore) list() []Message {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := []Message{}
	for _, c := range st.order {
		for _, m := range c.messages {
			out = append(out, *m)
		}
	}
	return out
}

func (st *slackStore) clear() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, c := range st.order {
		c.messages = nil
	}
	if st.saved != nil {
		st.saved(savedLine{Cleared: vendorSlack})
	}
}

func (st *slackStore) userByEmail(email string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.users[strings.ToLower(email)]
}

// open gives the id of the direct conversation with a member, or "" when there is no such member.
func (st *slackStore) open(user string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.emails[user] == "" {
		return ""
	}
	id := "D" + strings.TrimPrefix(user, "U")
	if st.byID[id] == nil {
		st.addLocked(&slackChannel{id: id})
	}
	return id
}

// newest copies the n messages posted last over all channels, newest first, and says how many there are.
func (st *slackStore) newest(n int) ([]Message, int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []Message
	total := 0
	for _, c := range st.order {
		total += len(c.messages)
		for _, m := range c.messages[max(0, len(c.messages)-n):] {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b Message) int { return strings.Compare(b.TS, a.TS) })
	return out[:min(n, len(out))], total
}
