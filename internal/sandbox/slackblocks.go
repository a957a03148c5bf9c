package sandbox

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Slack's limits on blocks, in characters and pieces.
const (
	maxBlocks       = 50
	maxHeaderText   = 150
	maxSectionText  = 3000
	maxFields       = 10
	maxFieldText    = 2000
	maxContextParts = 10
	maxActions      = 25
	maxButtonText   = 75
	maxButtonValue  = 2000
	maxURL          = 3000
	maxBlockID      = 255
	maxConfirmTitle = 100
	maxConfirmText  = 300
)

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type slackConfirm struct {
	Title *slackText `json:"title"`
	Text  *slackText `json:"text"`
}

type slackElement struct {
	Type     string          `json:"type"`
	Text     json.RawMessage `json:"text"` // an object in a button, a string in a context element
	ActionID string          `json:"action_id"`
	Value    string          `json:"value"`
	URL      string          `json:"url"`
	Style    string          `json:"style"`
	ImageURL string          `json:"image_url"`
	AltText  string          `json:"alt_text"`
	Confirm  *slackConfirm   `json:"confirm"`
}

type slackBlock struct {
	Type      string         `json:"type"`
	BlockID   string         `json:"block_id"`
	Text      *slackText     `json:"text"`
	Fields    []slackText    `json:"fields"`
	Elements  []slackElement `json:"elements"`
	Accessory *slackElement  `json:"accessory"`
	ImageURL  string         `json:"image_url"`
	AltText   string         `json:"alt_text"`
}

// blockProblems lists what is wrong with blocks, in Slack's words with a pointer to the place; empty means they are fine.
func blockProblems(raw json.RawMessage) []string {
	var blocks []slackBlock
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return []string{"[ERROR] must be a valid array of blocks [json-pointer:/blocks]"}
	}
	p := &blockChecker{seen: map[string]bool{}}
	if len(blocks) > maxBlocks {
		p.add("/blocks", "no more than %d items allowed", maxBlocks)
	}
	for i := range blocks {
		p.block(fmt.Sprintf("/blocks/%d", i), &blocks[i])
	}
	return p.problems
}

type blockChecker struct {
	problems []string
	seen     map[string]bool // block ids
}

func (p *blockChecker) add(at, format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("[ERROR] "+format, args...)+" [json-pointer:"+at+"]")
}

func (p *blockChecker) length(at, text string, limit int) {
	if utf8.RuneCountInString(text) > limit {
		p.add(at, "must be less than %d characters", limit+1)
	}
}

func (p *blockChecker) block(at string, b *slackBlock) {
	p.length(at+"/block_id", b.BlockID, maxBlockID)
	if b.BlockID != "" && p.seen[b.BlockID] {
		p.add(at+"/block_id", "block_id already exists")
	}
	p.seen[b.BlockID] = true
	switch b.Type {
	case "header":
		p.text(at+"/text", b.Text, maxHeaderText, true)
	case "section":
		p.section(at, b)
	case "context":
		p.count(at, len(b.Elements), maxContextParts)
		for i := range b.Elements {
			p.contextPart(fmt.Sprintf("%s/elements/%d", at, i), &b.Elements[i])
		}
	case "actions":
		p.actions(at, b.Elements)
	case "image":
		p.image(at, b.ImageURL, b.AltText)
	case "divider":
	default:
		p.add(at+"/type", "unsupported type: %s", b.Type)
	}
}

func (p *blockChecker) section(at string, b *slackBlock) {
	if b.Text == nil && len(b.Fields) == 0 {
		p.add(at, "must define one of `text` or `fields`")
	}
	if b.Text != nil {
		p.text(at+"/text", b.Text, maxSectionText, false)
	}
	if len(b.Fields) > maxFields {
		p.add(at+"/fields", "no more than %d items allowed", maxFields)
	}
	for i := range b.Fields {
		p.text(fmt.Sprintf("%s/fields/%d", at, i), &b.Fields[i], maxFieldText, false)
	}
	if b.Accessory != nil && b.Accessory.Type == "button" {
		p.button(at+"/accessory", b.Accessory)
	}
}

func (p *blockChecker) count(at string, n, limit int) {
	if n == 0 {
		p.add(at+"/elements", "no fewer than 1 item allowed")
	}
	if n > limit {
		p.add(at+"/elements", "no more than %d items allowed", limit)
	}
}

func (p *blockChecker) contextPart(at string, e *slackElement) {
	switch e.Type {
	case "plain_text", "mrkdwn":
		var text string
		if err := json.Unmarshal(e.Text, &text); err != nil || text == "" {
			p.add(at+"/text", "must be more than 0 characters")
		}
	case "image":
		p.image(at, e.ImageURL, e.AltText)
	default:
		p.add(at+"/type", "unsupported type: %s", e.Type)
	}
}

func (p *blockChecker) image(at, url, alt string) {
	if url == "" || alt == "" {
		p.add(at, "missing required field: image_url or alt_text")
	}
	p.length(at+"/image_url", url, maxURL)
}

func (p *blockChecker) actions(at string, elements []slackElement) {
	p.count(at, len(elements), maxActions)
	ids := map[string]bool{}
	for i := range elements {
		e := &elements[i]
		here := fmt.Sprintf("%s/elements/%d", at, i)
		if e.Type != "button" {
			p.add(here+"/type", "unsupported type: %s", e.Type)
			continue
		}
		p.button(here, e)
		if e.ActionID != "" && ids[e.ActionID] {
			p.add(here+"/action_id", "action_id already exists")
		}
		ids[e.ActionID] = true
	}
}

func (p *blockChecker) button(at string, e *slackElement) {
	var text slackText
	if err := json.Unmarshal(e.Text, &text); err != nil {
		p.add(at+"/text", "must be a plain_text object")
		return
	}
	p.text(at+"/text", &text, maxButtonText, true)
	p.length(at+"/value", e.Value, maxButtonValue)
	p.length(at+"/url", e.URL, maxURL)
	p.length(at+"/action_id", e.ActionID, maxBlockID)
	if e.Style != "" && e.Style != "primary" && e.Style != "danger" {
		p.add(at+"/style", "must be a valid enum value")
	}
	if e.Confirm != nil {
		p.text(at+"/confirm/title", e.Confirm.Title, maxConfirmTitle, true)
		p.text(at+"/confirm/text", e.Confirm.Text, maxConfirmText, false)
	}
}

// text checks a text object; plain says that only plain_text will do.
func (p *blockChecker) text(at string, t *slackText, limit int, plain bool) {
	switch {
	case t == nil:
		p.add(at, "missing required field: text")
	case t.Type != "plain_text" && (plain || t.Type != "mrkdwn"):
		p.add(at+"/type", "unsupported type: %s", t.Type)
	case t.Text == "":
		p.add(at+"/text", "must be more than 0 characters")
	default:
		p.length(at+"/text", t.Text, limit)
	}
}
