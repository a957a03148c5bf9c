package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html record.html app.css app.js
var assets embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"clock": clock}).ParseFS(assets, "page.html", "record.html"))

// How much the page shows; the controls under /_control give everything.
const (
	pageRecords  = 50
	pageMessages = 20
	pageMails    = 20
)

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// crmRow is one record as the page lists it.
type crmRow struct {
	Record
	Name, Email, Company, Stage, Owner string
}

// chatCard is one message as the page shows it.
type chatCard struct {
	Message
	Title   string
	Lines   []string
	Buttons []cardButton
}

// cardButton is a button of a message; one without an address would send an interaction, which this version does not.
type cardButton struct{ Text, URL string }

// presetFault is a fault that the page sets with one button.
type presetFault struct {
	Name  string
	Label string
	fault Fault
}

func presets() []presetFault {
	half := Span(30 * time.Second)
	return []presetFault{
		{"crm-down", "Take the CRM down for 30 s", Fault{Vendor: vendorWebhook, Status: http.StatusServiceUnavailable, For: half}},
		{"crm-hang", "Let the CRM hang for 30 s", Fault{Vendor: vendorWebhook, Hang: true, For: half}},
		{"crm-slow", "Slow the CRM to 2 s", Fault{Vendor: vendorWebhook, LatencyMS: 2000}},
		{"crm-drop", "Lose half the CRM's answers for 30 s", Fault{Vendor: vendorWebhook, Drop: true, ErrorRate: 0.5, For: half}},
		{"mail-later", "Let the mail server say later for 30 s", Fault{Vendor: vendorSMTP, Status: smtpLater, For: half}},
		{"chat-down", "Take chat down for 30 s", Fault{Vendor: vendorSlack, Status: http.StatusInternalServerError, For: half}},
	}
}

// page shows what the vendors hold and which faults are on.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	records, total := s.webhook.newest(pageRecords)
	messages, posted := s.slack.newest(pageMessages)
	mails, mailed := s.mailbox.newest(pageMails)
	view := struct {
		Records  []crmRow
		Total    int
		Messages []chatCard
		Posted   int
		Mails    []Mail
		Mailed   int
		Faults   []faultLine
		Presets  []presetFault
		Waiting  int64
		Now      time.Time
	}{Total: total, Posted: posted, Mails: mails, Mailed: mailed, Presets: presets(), Waiting: s.waiting.Load(), Now: s.now()}
	for _, rec := range records {
		view.Records = append(view.Records, rowOf(rec))
	}
	for _, m := range messages {
		view.Messages = append(view.Messages, cardOf(m))
	}
	for _, f := range s.faults.all() {
		view.Faults = append(view.Faults, faultLine{Text: f.words(), Until: f.Until})
	}
	render(w, "page.html", view)
}

// faultLine is one fault in words.
type faultLine struct {
	Text  string
	Until *time.Time
}

// words says what a fault does.
func (f *activeFault) words() string {
	name := map[string]string{vendorWebhook: "The CRM", vendorSlack: "Chat", vendorSMTP: "The mail server"}[f.Vendor]
	share := ""
	if f.ErrorRate > 0 && f.ErrorRate < 1 {
		share = " for part of the calls"
	}
	switch {
	case f.Hang:
		return name + " does not answer" + share
	case f.Drop:
		return name + " stores, then cuts the connection" + share
	case f.Status != 0 && f.Vendor == vendorSMTP:
		return fmt.Sprintf("%s answers %d%s", name, f.Status, share)
	case f.Status != 0:
		return name + " answers " + http.StatusText(f.Status) + share
	default:
		return name + " is slow: " + (time.Duration(f.LatencyMS) * time.Millisecond).String() + " per call"
	}
}

// pageFault is the page's buttons: a preset, or "clear".
func (s *Server) pageFault(w http.ResponseWriter, r *http.Request) {
	want := r.FormValue("fault")
	if want == "clear" {
		s.faults.clear("")
	}
	for _, p := range presets() {
		if f := p.fault; p.Name == want && f.check() == "" {
			s.setFault(f)
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// recordPage is what the link on a lead's card opens.
func (s *Server) recordPage(w http.ResponseWriter, r *http.Request) {
	rec, ok := s.webhook.byRecordID(r.PathValue("id"))
	if !ok {
		http.Error(w, "This CRM has no such record. It may have been deleted, or the sandbox was started anew.", http.StatusNotFound)
		return
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, rec.Body, "", "  "); err != nil {
		pretty.Write(rec.Body)
	}
	render(w, "record.html", struct {
		crmRow
		Facts  []fact
		Pretty string
	}{rowOf(rec), factsOf(rec.Body), pretty.String()})
}

func render(w http.ResponseWriter, name string, view any) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, view); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(out.Bytes()) // the reader may have left
}

func asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, assets, name)
	}
}

// crmBody is the part of a write that the page shows; the rest is in the record as it was sent.
type crmBody struct {
	Reference string         `json:"reference"`
	Stage     string         `json:"stage"`
	Lead      map[string]any `json:"lead"`
	Owner     *struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"owner"`
}

func rowOf(rec Record) crmRow {
	var b crmBody
	row := crmRow{Record: rec}
	if err := json.Unmarshal(rec.Body, &b); err != nil {
		return row // a body of another shape is still shown as it was sent
	}
	row.Stage = b.Stage
	row.Name, _ = b.Lead["name"].(string)
	row.Email, _ = b.Lead["email"].(string)
	row.Company, _ = b.Lead["company"].(string)
	if b.Owner != nil {
		row.Owner = b.Owner.Name
	}
	return row
}

// fact is one labelled value on a record's page.
type fact struct{ Label, Value string }

// factsOf lists the texts of a record that people look for, in a fixed order.
func factsOf(body json.RawMessage) []fact {
	var b crmBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil
	}
	var out []fact
	add := func(label string, value any) {
		if text, ok := value.(string); ok && text != "" {
			out = append(out, fact{label, text})
		}
	}
	for _, f := range []struct{ label, field string }{
		{"Email", "email"}, {"Phone", "phone"}, {"Company", "company"}, {"Country", "country"}, {"Product", "product"}, {"Notes", "notes"},
	} {
		add(f.label, b.Lead[f.field])
	}
	if b.Owner != nil {
		add("Owner", strings.TrimSpace(b.Owner.Name+" "+b.Owner.Email))
	}
	add("Stage", b.Stage)
	add("Reference", b.Reference)
	return out
}

// cardOf turns blocks into plain lines. Text comes out escaped by the template, never as markup.
func cardOf(m Message) chatCard {
	card := chatCard{Message: m}
	var blocks []slackBlock
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil || len(blocks) == 0 {
		card.Title = plain(m.Text)
		return card
	}
	for _, b := range blocks {
		if b.Text != nil && b.Type == "header" && card.Title == "" {
			card.Title = plain(b.Text.Text)
			continue
		}
		if b.Text != nil {
			card.Lines = append(card.Lines, plain(b.Text.Text))
		}
		for _, f := range b.Fields {
			card.Lines = append(card.Lines, plain(f.Text))
		}
		for _, e := range b.Elements {
			card.addElement(e)
		}
	}
	if card.Title == "" {
		card.Title = plain(m.Text)
	}
	return card
}

func (c *chatCard) addElement(e slackElement) {
	var object slackText
	var text string
	if e.Type == "button" && json.Unmarshal(e.Text, &object) == nil {
		c.Buttons = append(c.Buttons, cardButton{plain(object.Text), e.URL})
	} else if json.Unmarshal(e.Text, &text) == nil {
		c.Lines = append(c.Lines, plain(text))
	}
}

// plain undoes Slack's three escapes and drops the stars of bold text.
func plain(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "*", "", "\n", " ").Replace(s)
}
