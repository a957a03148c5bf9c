package notify

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"leadline/internal/lead"
)

const (
	slackValueMost  = 60 // characters of one value on a card
	slackDigestMost = 20 // leads that a digest lists one by one
)

var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// shown makes a value that a visitor could have chosen fit for a card: short, on one line, unable to mention or link, and not
// at all if it looks like a way to reach somebody.
func shown(value string) string {
	value = strings.Join(strings.FieldsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	digits := 0
	for _, r := range value {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if strings.Contains(value, "@") || digits >= 5 {
		return ""
	}
	if runes := []rune(value); len(runes) > slackValueMost {
		value = string(runes[:slackValueMost]) + "…"
	}
	return slackEscaper.Replace(value)
}

func (c Card) title() string {
	title := "New lead"
	if c.Intent == lead.IntentHigh {
		title = "New high-intent lead"
	}
	if c.Demo {
		title += " (demo)"
	}
	return title
}

// localTime is the visitor's wall clock when they asked; empty when their time zone is not known.
func (c Card) localTime() string {
	if c.Timezone == "" {
		return ""
	}
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil {
		return ""
	}
	return c.AcceptedAt.In(zone).Format("Mon 15:04")
}

// facts are what helps a rep decide to take it, most telling first.
func (c Card) facts() []string {
	var facts []string
	add := func(value, pattern string) {
		if value = shown(value); value != "" {
			facts = append(facts, fmt.Sprintf(pattern, value))
		}
	}
	add(c.Country, "%s")
	if local := c.localTime(); local != "" {
		facts = append(facts, local+" there")
	}
	add(c.Product, "%s")
	add(c.Source, "from %s")
	return facts
}

func (c Card) status() string {
	who := "A rep"
	if name := strings.Fields(c.Holder); len(name) > 0 {
		who = shown(name[0])
	}
	status := "Waiting for a rep"
	switch lead.Stage(c.Stage) {
	case lead.StageClaimed:
		status = who + " has it"
	case lead.StageContacted:
		status = who + " has made contact"
	case lead.StageBooked:
		status = who + " has booked a meeting"
	case lead.StageDisqualified, lead.StageClosed:
		status = "Closed"
	case lead.StageHeld, lead.StageQuarantined:
		status = "Held back"
	}
	if c.InCRM {
		return status + " · In CRM"
	}
	return status + " · Not in CRM yet"
}

func (s *slack) cardMessage(c Card) map[string]any {
	facts := strings.Join(c.facts(), " · ")
	if facts == "" {
		facts = "No further details"
	}
	buttons := []any{linkButton("lead_open", "Open lead", s.public+"/leads/"+c.LeadID.String())}
	if c.CRMURL != "" {
		buttons = append(buttons, linkButton("lead_crm", "Open in CRM", c.CRMURL))
	}
	return map[string]any{
		"text": fmt.Sprintf("%s %s: %s (%s)", c.title(), c.Reference, facts, c.status()),
		"blocks": []any{
			map[string]any{"type": "header", "text": plain(c.title() + " · " + c.Reference)},
			map[string]any{"type": "section", "text": mrkdwn(facts)},
			map[string]any{"type": "context", "elements": []any{mrkdwn(c.status())}},
			map[string]any{"type": "actions", "block_id": "lead_actions", "elements": buttons},
		},
	}
}

func (s *slack) digestMessage(cards []Card) map[string]any {
	title := fmt.Sprintf("%d more leads are waiting", len(cards))
	if len(cards) == 1 {
		title = "1 more lead is waiting"
	}
	var lines []string
	for _, c := range cards[:min(len(cards), slackDigestMost)] {
		line := append([]string{c.Reference, strings.TrimPrefix(c.title(), "New ")}, c.facts()...)
		lines = append(lines, "• "+strings.Join(line, " · "))
	}
	if more := len(cards) - slackDigestMost; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return map[string]any{
		"text": title,
		"blocks": []any{
			map[string]any{"type": "header", "text": plain(title)},
			map[string]any{"type": "section", "text": mrkdwn(clip(strings.Join(lines, "\n"), 3000))},
			map[string]any{"type": "actions", "block_id": "digest_actions", "elements": []any{linkButton("board_open", "Open the console", s.public+"/live")}},
		},
	}
}

func plain(text string) map[string]any {
	return map[string]any{"type": "plain_text", "text": clip(text, 150)}
}

func mrkdwn(text string) map[string]any { return map[string]any{"type": "mrkdwn", "text": text} }

func linkButton(action, label, address string) map[string]any {
	return map[string]any{"type": "button", "action_id": action, "text": plain(label), "url": address}
}

// clip cuts at a line where it can, so that no escape is cut in half.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	cut := string(runes[:most])
	if at := strings.LastIndexByte(cut, '\n'); at > 0 {
		return cut[:at]
	}
	return cut
}
