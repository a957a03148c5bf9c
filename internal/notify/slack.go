package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
)

const (
	slackAnswerLimit = 1 << 20
	slackLookBack    = 200 // messages of the channel that are searched for a lost answer
	slackEvent       = "leadline_lead"
)

// slack posts through Slack's Web API.
type slack struct {
	http    *outbound.Client
	base    string
	token   privacy.Secret
	channel string // as configured: a name or an id
	public  string // our own address

	mu sync.Mutex
	id string // the channel's id, once known
}

func newSlack(c outbox.Connection, client *outbound.Client, public string) (*slack, error) {
	address, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || outbound.CheckURL(address) != nil:
		return nil, errors.New("base_url is not an http or https address")
	case c.Channel == "":
		return nil, errors.New("no channel is configured")
	}
	return &slack{
		http: client, base: strings.TrimRight(c.BaseURL, "/"), token: c.Token, channel: c.Channel, public: strings.TrimRight(public, "/"),
	}, nil
}

// slackAnswer is what the methods used here answer with.
type slackAnswer struct {
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	Channel  string `json:"channel"`
	TS       string `json:"ts"`
	Channels []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"channels"`
	Messages []struct {
		TS       string `json:"ts"`
		Metadata struct {
			Payload slackPayload `json:"event_payload"`
		} `json:"metadata"`
	} `json:"messages"`
	Next struct {
		Cursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// slackPayload is our mark on a message: the only thing to know it by when Slack's answer got lost.
type slackPayload struct {
	LeadID string `json:"lead_id"`
}

// Post implements Channel.
func (s *slack) Post(ctx context.Context, card Card) (Ref, error) {
	message := s.cardMessage(card)
	message["metadata"] = map[string]any{"event_type": slackEvent, "event_payload": slackPayload{LeadID: card.LeadID.String()}}
	return s.post(ctx, message)
}

// PostDigest implements Channel.
func (s *slack) PostDigest(ctx context.Context, cards []Card) (Ref, error) {
	return s.post(ctx, s.digestMessage(cards))
}

func (s *slack) post(ctx context.Context, message map[string]any) (Ref, error) {
	message["channel"] = s.channel
	message["unfurl_links"], message["unfurl_media"] = false, false
	answer, err := s.call(ctx, "chat.postMessage", message)
	if err != nil {
		return "", err
	}
	if answer.TS == "" {
		return "", &Error{Class: Unknown, Reason: "Slack's answer names no message"}
	}
	channel := answer.Channel
	if channel == "" {
		channel = s.channel
	}
	s.mu.Lock()
	s.id = channel
	s.mu.Unlock()
	return Ref(channel + "|" + answer.TS), nil
}

// Update implements Channel.
func (s *slack) Update(ctx context.Context, ref Ref, card Card) error {
	channel, ts, ok := strings.Cut(string(ref), "|")
	if !ok {
		return &Error{Class: Gone, Reason: "the message was never recorded"}
	}
	message := s.cardMessage(card)
	message["channel"], message["ts"] = channel, ts
	_, err := s.call(ctx, "chat.update", message)
	return err
}

// Find implements Channel.
func (s *slack) Find(ctx context.Context, leadID uuid.UUID, since time.Time) (Ref, error) {
	channel, err := s.channelID(ctx)
	if err != nil {
		return "", err
	}
	answer, err := s.call(ctx, "conversations.history", map[string]any{
		"channel": channel, "oldest": strconv.FormatInt(since.Unix(), 10) + ".000000", "limit": slackLookBack, "include_all_metadata": true,
	})
	if err != nil {
		return "", err
	}
	wanted := leadID.String()
	for _, m := range answer.Messages {
		if m.Metadata.Payload.LeadID == wanted {
			return Ref(channel + "|" + m.TS), nil
		}
	}
	return "", nil
}

// channelID finds the id behind a channel's name; history takes no names.
func (s *slack) channelID(ctx context.Context) (string, error) {
	s.mu.Lock()
	id := s.id
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	name, cursor := strings.TrimPrefix(s.channel, "#"), ""
	for range 10 {
		answer, err := s.call(ctx, "conversations.list", map[string]any{"limit": 1000, "exclude_archived": true, "cursor": cursor})
		if err != nil {
			return "", err
		}
		for _, c := range answer.Channels {
			if c.Name == name || c.ID == s.channel {
				s.mu.Lock()
				s.id = c.ID
				s.mu.Unlock()
				return c.ID, nil
			}
		}
		if cursor = answer.Next.Cursor; cursor == "" {
			break
		}
	}
	return "", &Error{Class: Pause, Reason: "channel_not_found: the channel does not exist or the bot was not invited"}
}

func (s *slack) call(ctx context.Context, method string, args map[string]any) (slackAnswer, error) {
	var answer slackAnswer
	body, err := json.Marshal(args)
	if err != nil {
		return answer, &Error{Class: Refuse, Reason: "the message cannot be written as JSON"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/"+method, bytes.NewReader(body))
	if err != nil {
		return answer, &Error{Class: Pause, Reason: "base_url is not a usable address"}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+s.token.Plain())
	resp, err := s.http.Do(req)
	if err != nil {
		if errors.Is(err, outbound.ErrURL) {
			return answer, &Error{Class: Pause, Reason: "base_url is not a usable address"}
		}
		if errors.Is(err, outbound.ErrForbidden) {
			return answer, &Error{Class: Pause, Reason: "base_url leads to a private address that is not in LEADLINE_OUTBOUND_ALLOW"}
		}
		return answer, &Error{Class: Unknown, Reason: "no answer from Slack"}
	}
	defer func() { _ = resp.Body.Close() }()
	read := json.NewDecoder(io.LimitReader(resp.Body, slackAnswerLimit)).Decode(&answer)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return answer, &Error{Class: Retry, Reason: "ratelimited", After: slackRetryAfter(resp.Header.Get("Retry-After"))}
	case resp.StatusCode >= 500:
		return answer, &Error{Class: Unknown, Reason: fmt.Sprintf("HTTP %d", resp.StatusCode)}
	case resp.StatusCode != http.StatusOK:
		return answer, &Error{Class: Pause, Reason: fmt.Sprintf("HTTP %d: this does not look like Slack's API", resp.StatusCode)}
	case read != nil:
		return answer, &Error{Class: Unknown, Reason: "Slack's answer was cut or no JSON"}
	case !answer.OK:
		return answer, slackError(answer.Error, resp.Header.Get("Retry-After"))
	}
	return answer, nil
}

func slackRetryAfter(header string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(header))
	if err != nil || n < 1 {
		n = 1
	}
	return min(time.Duration(n)*time.Second, time.Hour)
}

// slackClasses sorts the error codes of the methods used here. Slack says of internal errors that a part may have succeeded.
var slackClasses = map[string]Class{
	"fatal_error": Unknown, "internal_error": Unknown, "service_unavailable": Unknown, "request_timeout": Unknown,
	"not_authed": Pause, "invalid_auth": Pause, "account_inactive": Pause, "token_revoked": Pause, "token_expired": Pause,
	"missing_scope": Pause, "no_permission": Pause, "not_allowed_token_type": Pause, "ekm_access_denied": Pause, "restricted_action": Pause,
	"not_in_channel": Pause, "channel_not_found": Pause, "is_archived": Pause, "cannot_dm_bot": Pause, "user_not_found": Pause,
	"message_not_found": Gone, "cant_update_message": Fixed, "edit_window_closed": Fixed,
}

// slackCode is how Slack writes a code. What looks otherwise is a sentence, which could quote the token or the lead.
var slackCode = regexp.MustCompile(`^[a-z_]{1,60}$`)

func slackError(code, retryAfter string) *Error {
	if !slackCode.MatchString(code) {
		code = "an error without a code"
	}
	if code == "ratelimited" || code == "rate_limited" {
		return &Error{Class: Retry, Reason: code, After: slackRetryAfter(retryAfter)}
	}
	if class, known := slackClasses[code]; known {
		return &Error{Class: class, Reason: code}
	}
	// The rest are complaints about this one message, such as invalid_blocks.
	return &Error{Class: Refuse, Reason: code}
}
