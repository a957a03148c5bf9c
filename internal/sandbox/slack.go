package sandbox

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxMessageText is Slack's limit on the text of a message, in characters.
const maxMessageText = 40_000

// Slack's pace: messages per second and channel with a small burst, a ceiling for the workspace, and the tiers of the other methods.
const (
	channelBurst       = 5
	workspacePerMinute = 300
)

// slackMethod is one method of the Web API.
type slackMethod struct {
	perMinute float64 // over all channels; a burst of one minute's worth is tolerated
	noJSON    bool    // reads its arguments from the query or a form only
	run       func(s *slack, bot string, args slackArgs) answer
}

func slackMethods() map[string]slackMethod {
	return map[string]slackMethod{
		"auth.test":             {perMinute: 300, run: (*slack).authTest},
		"chat.postMessage":      {perMinute: workspacePerMinute, run: (*slack).postMessage},
		"chat.update":           {perMinute: 50, run: (*slack).update},
		"conversations.history": {perMinute: 50, run: (*slack).history},
		"conversations.list":    {perMinute: 20, run: (*slack).listChannels},
		"conversations.open":    {perMinute: 50, run: (*slack).open},
		"users.lookupByEmail":   {perMinute: 50, noJSON: true, run: (*slack).lookupByEmail},
	}
}

// slack is the part of Slack's Web API that posts and updates messages. Failures are HTTP 200 with ok:false, as in the original.
type slack struct {
	*slackStore
	token   string
	methods map[string]slackMethod
	pace    *pace
}

func newSlack(o Options) *slack {
	return &slack{
		slackStore: newSlackStore(o.Now, o.SlackChannels, o.SlackUsers),
		token:      o.SlackToken,
		methods:    slackMethods(),
		pace:       newPace(o.Now),
	}
}

func slackError(code string) any { return map[string]any{"ok": false, "error": code} }

func slackFails(code string) answer { return answer{status: http.StatusOK, body: slackError(code)} }

func slackOK(body map[string]any) answer {
	body["ok"] = true
	return answer{status: http.StatusOK, body: body}
}

// rateLimited is the one failure that Slack does not answer with 200.
func rateLimited(wait time.Duration) answer {
	seconds := max(1, int((wait+time.Second-1)/time.Second))
	return answer{
		status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": strconv.Itoa(seconds)},
		body: slackError("ratelimited"),
	}
}

// call is /slack/api/{method}.
func (s *slack) call(r *http.Request, body []byte) answer {
	name := r.PathValue("method")
	m, known := s.methods[name]
	if !known {
		return answer{status: http.StatusOK, body: map[string]any{"ok": false, "error": "unknown_method", "req_method": name}}
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !bearer || token == "":
		return slackFails("not_authed")
	case s.token != "" && token != s.token, s.token == "" && !strings.HasPrefix(token, "xoxb-"):
		return slackFails("invalid_auth")
	}
	args, code := readSlackArgs(r, body, m.noJSON)
	if code != "" {
		return slackFails(code)
	}
	if wait := s.pace.take(name, m.perMinute/60, m.perMinute); wait > 0 {
		return rateLimited(wait)
	}
	return m.run(s, botID(token), args)
}

// botID names the bot behind a token: messages of one bot cannot be changed by another.
func botID(token string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(token)) // a hash never fails to write
	return fmt.Sprintf("B%08X", h.Sum32())
}

func (s *slack) authTest(bot string, _ slackArgs) answer {
	return slackOK(map[string]any{
		"url": "https://sandbox.slack.example/", "team": "Sandbox", "team_id": "T0SANDBOX",
		"user": "leadline", "user_id": "U0LEADLINE", "bot_id": bot,
	})
}

func (s *slack) postMessage(bot string, a slackArgs) answer {
	channel := s.channelID(a.text("channel"), true)
	if channel == "" {
		return slackFails("channel_not_found")
	}
	if wait := s.pace.take("channel "+channel, 1, channelBurst); wait > 0 {
		return rateLimited(wait)
	}
	if bad := contentProblem(a); bad != nil {
		return *bad
	}
	m := s.post(Message{
		Channel: channel, BotID: bot, Text: a.text("text"), ThreadTS: a.text("thread_ts"),
		Blocks: a.json("blocks"), Metadata: a.json("metadata"),
	})
	return slackOK(map[string]any{"channel": channel, "ts": m.TS, "message": wire(m, false)})
}

// update changes a message in place. Unlike chat.postMessage it takes no channel names.
func (s *slack) update(bot string, a slackArgs) answer {
	channel := s.channelID(a.text("channel"), false)
	if channel == "" {
		return slackFails("channel_not_found")
	}
	if bad := contentProblem(a); bad != nil {
		return *bad
	}
	m, code := s.edit(channel, a.text("ts"), func(m *Message) string {
		if m.BotID != bot {
			return "cant_update_message"
		}
		m.Text = a.text("text")
		m.Blocks = a.json("blocks")
		if md := a.json("metadata"); md != nil {
			m.Metadata = md
		}
		return ""
	})
	if code != "" {
		return slackFails(code)
	}
	return slackOK(map[string]any{"channel": channel, "ts": m.TS, "text": m.Text, "message": wire(m, false)})
}

func (s *slack) history(_ string, a slackArgs) answer {
	channel := s.channelID(a.text("channel"), false)
	if channel == "" {
		return slackFails("channel_not_found")
	}
	limit := 100
	if l := a.text("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 999 {
			return slackFails("invalid_limit")
		}
		limit = n
	}
	found, more := s.slackStore.history(channel, a.text("oldest"), a.text("latest"), a.flag("inclusive"), limit)
	messages := make([]any, 0, len(found))
	for _, m := range found {
		messages = append(messages, wire(m, a.flag("include_all_metadata")))
	}
	return slackOK(map[string]any{"messages": messages, "has_more": more})
}

func (s *slack) listChannels(string, slackArgs) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	channels := []any{}
	for _, c := range s.order {
		if c.name != "" {
			channels = append(channels, map[string]any{"id": c.id, "name": c.name, "is_channel": true, "is_member": true, "is_archived": false})
		}
	}
	return slackOK(map[string]any{"channels": channels, "response_metadata": map[string]any{"next_cursor": ""}})
}

func (s *slack) open(_ string, a slackArgs) answer {
	id := s.slackStore.open(a.text("users"))
	if id == "" {
		return slackFails("user_not_found")
	}
	return slackOK(map[string]any{"channel": map[string]any{"id": id}})
}

func (s *slack) lookupByEmail(_ string, a slackArgs) answer {
	email := a.text("email")
	id := s.userByEmail(email)
	if id == "" {
		return slackFails("users_not_found")
	}
	return slackOK(map[string]any{"user": map[string]any{"id": id, "profile": map[string]any{"email": email}}})
}

// contentProblem checks text and blocks; nil means they may be posted.
func contentProblem(a slackArgs) *answer {
	text, blocks := a.text("text"), a.json("blocks")
	var bad answer
	if blocks != nil {
		if problems := blockProblems(blocks); len(problems) > 0 {
			bad = answer{status: http.StatusOK, body: map[string]any{
				"ok": false, "error": "invalid_blocks", "errors": problems,
				"response_metadata": map[string]any{"messages": problems},
			}}
			return &bad
		}
	}
	switch {
	case text == "" && (blocks == nil || string(blocks) == "[]"):
		bad = slackFails("no_text")
	case utf8.RuneCountInString(text) > maxMessageText:
		bad = slackFails("msg_too_long")
	default:
		return nil
	}
	return &bad
}

// wire is a message as the Web API shows it. Metadata comes only to those who ask for it.
func wire(m Message, metadata bool) map[string]any {
	out := map[string]any{"type": "message", "bot_id": m.BotID, "ts": m.TS, "text": m.Text}
	if m.Blocks != nil {
		out["blocks"] = m.Blocks
	}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.EditedAt != nil {
		out["edited"] = map[string]any{"user": m.BotID, "ts": fmt.Sprintf("%d.000000", m.EditedAt.Unix())}
	}
	if metadata && m.Metadata != nil {
		out["metadata"] = m.Metadata
	}
	return out
}

// slackArgs are a call's arguments: JSON values, or texts from the query or a form.
type slackArgs map[string]json.RawMessage

// readSlackArgs reads arguments by content type. The second value is Slack's error code, or "".
func readSlackArgs(r *http.Request, body []byte, noJSON bool) (slackArgs, string) {
	args := slackArgs{}
	args.addForm(r.URL.Query())
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
	case kind == "application/json" && noJSON:
		// the original ignores JSON here and then misses its arguments
		return nil, "invalid_arguments"
	case kind == "application/json":
		if err := json.Unmarshal(body, &args); err != nil {
			return nil, "invalid_json"
		}
	case err == nil && kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, "invalid_form_data"
		}
		args.addForm(form)
	default:
		return nil, "invalid_post_type"
	}
	return args, ""
}

func (a slackArgs) addForm(form url.Values) {
	for k := range form {
		if text, err := json.Marshal(form.Get(k)); err == nil {
			a[k] = text
		}
	}
}

// text gives an argument as text; numbers and booleans as they were written.
func (a slackArgs) text(name string) string {
	var s string
	if err := json.Unmarshal(a[name], &s); err == nil {
		return s
	}
	raw := string(a[name])
	if raw == "null" {
		return ""
	}
	return raw
}

func (a slackArgs) flag(name string) bool {
	v := a.text(name)
	return v == "true" || v == "1"
}

// json gives an argument that is itself JSON: as a value, or as text that holds it (form calls). nil when absent.
func (a slackArgs) json(name string) json.RawMessage {
	raw := a[name]
	var s string
	if err := json.Unmarshal(raw, &s); err == nil {
		raw = json.RawMessage(s)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}
