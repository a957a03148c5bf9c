package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/privacy"
	"leadline/web"
)

// fuzzConfig asks for one field of each type, and refuses nobody for being quick.
const fuzzConfig = `
version: 1
forms:
  - slug: demo
    limits: {per_ip: none}
    fields:
      - {name: topic, type: choice, options: [platform, analytics]}
      - {name: seats, type: number}
      - {name: agree, type: checkbox}
      - {name: words}
reps:
  - {email: sam@example.com, name: Sam Lee}
pools:
  - {slug: global, members: [{rep: sam@example.com}]}
rules:
  - {name: Everything, band: default, when: {}, then: {pool: global}}
`

var fuzzForm = &lead.Form{
	Slug: "demo", Intent: lead.IntentHigh, DedupeWindow: 10 * time.Minute, Fields: []lead.FormField{
		{Name: "topic", Type: lead.FieldChoice, Options: []string{"platform", "analytics"}},
		{Name: "seats", Type: lead.FieldNumber},
		{Name: "agree", Type: lead.FieldCheckbox},
		{Name: "words", Type: lead.FieldText},
	},
}

// target is a running server that fuzzers send to.
type target struct {
	*site
	client *http.Client
}

func newTarget(f *testing.F) target {
	f.Helper()
	s := setupWith(f, fuzzConfig, web.New)
	return target{site: s, client: &http.Client{
		Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post sends a body to the form and gives status and answer.
func (x target) post(t *testing.T, contentType string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, x.url+leads, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := x.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, text
}

// written is what a visitor wrote into the form, by the names of the contract.
type written map[string]string

// body writes the form in one of the three formats.
func (w written) body(t *testing.T, format uint8) (contentType string, body []byte) {
	t.Helper()
	switch format % 3 {
	case 0:
		document := map[string]any{}
		for name, value := range w {
			group, member, nested := strings.Cut(name, ".")
			if !nested {
				document[name] = value
				continue
			}
			members, _ := document[group].(map[string]any)
			if members == nil {
				members = map[string]any{}
				document[group] = members
			}
			members[member] = value
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		return typeJSON, text
	case 1:
		values := url.Values{}
		for name, value := range w {
			values.Set(name, value)
		}
		return typeForm, []byte(values.Encode())
	default:
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for name, value := range w {
			if err := m.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return m.FormDataContentType(), b.Bytes()
	}
}

// meant is what should be stored of it.
func (w written) meant() (lead.Submission, error) {
	return lead.Normalise(fuzzForm, lead.Raw{
		Name: privacy.Text(w["name"]), Email: privacy.Text(w["email"]), Phone: privacy.Text(w["phone"]), Company: privacy.Text(w["company"]),
		Notes: privacy.Text(w["notes"]), Country: w["country"], Region: w["region"], PostalCode: w["postal_code"],
		Fields: map[string]privacy.Text{
			"topic": privacy.Text(w["fields.topic"]), "seats": privacy.Text(w["fields.seats"]), "agree": privacy.Text(w["fields.agree"]), "words": privacy.Text(w["fields.words"]),
		},
		Context: lead.Context{UTMSource: w["context.utm_source"], Locale: w["context.locale"], PageURL: w["context.page_url"]},
	})
}

// FuzzForm fills in the form, sends it in any format, and holds what is stored against what was meant: nothing may be lost, mixed up or
// changed on the way through parsers, batches and the database.
func FuzzForm(f *testing.F) {
	for i, seed := range [][]string{
		{"Anna Kovács", "anna@acme.example", "+49 30 901820", "Acme GmbH", "Call me.\nAfter five.", "DE", "Berlin", "10115", "platform", "25", "on", "own words", "google"},
		{"山田太郎", "taro@例え.jp", "03-1234-5678", "株式会社", "👩‍👩‍👧 ok", "Japan", "東京都", "100-0005", "ANALYTICS", "1,5", "1", "%00", "a@b.example"},
		{"O'Brien \"Bob\" <b>", "b+c@x.example", "(020) 7946 0000", "\u202Eevil", "a\x00b\xffc", "Vereinigtes Königreich", "", "sw1a1aa", "none", "many", "maybe", strings.Repeat("x", 2100), ""},
		{"", "", "+1 212 555 0143", "", "", "", "", "", "", "", "", "", ""},
		{"a&b=c;d+e%41", "a&b@acme.example", "", "x\r\ny", "--boundary\r\nContent-Disposition: form-data; name=\"email\"\r\n", "\ufeffDE", "DE-BY", "\ud7ff", "plat\u0000form", "NaN", "yes", "\\u0000", "utm&source=1"},
	} {
		f.Add(uint8(i), seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7], seed[8], seed[9], seed[10], seed[11], seed[12])
	}
	x := newTarget(f)
	f.Fuzz(func(t *testing.T, format uint8, name, email, phone, company, notes, country, region, postal, topic, seats, agree, words, source string) {
		w := written{
			"name": name, "email": email, "phone": phone, "company": company, "notes": notes, "country": country, "region": region, "postal_code": postal,
			"fields.topic": topic, "fields.seats": seats, "fields.agree": agree, "fields.words": words, "context.utm_source": source, "context.locale": "de-AT",
		}
		for key, value := range w {
			w[key] = strings.ToValidUTF8(value, "\uFFFD") // what is no text has no meaning that could be kept
		}
		contentType, body := w.body(t, format)
		status, answer := x.post(t, contentType, body)
		if len(body) > 32*1024 {
			if status != http.StatusRequestEntityTooLarge {
				t.Fatalf("%d bytes got %d", len(body), status)
			}
			return
		}
		meant, err := w.meant()
		if err != nil {
			if status != http.StatusUnprocessableEntity {
				t.Fatalf("wrong fields (%v) got %d: %s", err, status, answer)
			}
			return
		}
		if status != http.StatusCreated {
			t.Fatalf("got %d: %s", status, answer)
		}
		x.compare(t, answer, &meant)
	})
}

// compare holds a stored lead against what was meant, and forgets the person, so that the next submission is somebody new.
func (x target) compare(t *testing.T, answer []byte, meant *lead.Submission) {
	t.Helper()
	var accepted struct {
		LeadID uuid.UUID `json:"lead_id"`
	}
	if err := json.Unmarshal(answer, &accepted); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	l, err := x.leads.ByID(ctx, lead.Everything(), accepted.LeadID)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := x.leads.Contact(ctx, lead.Everything(), accepted.LeadID, lead.Sight{Masked: true})
	if err != nil {
		t.Fatal(err)
	}
	got, want := seen.Contact, meant.Contact
	if got.Name != want.Name || got.Email != want.Email || got.Phone != want.Phone || got.Company != want.Company || got.Notes != want.Notes ||
		!maps.Equal(got.Fields, want.Fields) || got.Context.UTMSource != want.Context.UTMSource {
		t.Errorf("stored  %+v\nmeant %+v", plainly(got), plainly(want))
	}
	if l.Country != meant.Country || l.Region != meant.Region || l.PostalCode != meant.PostalCode || l.EmailDomain != meant.EmailDomain || l.Source != meant.Source {
		t.Errorf("stored %q %q %q %q %q, meant %q %q %q %q %q", l.Country, l.Region, l.PostalCode, l.EmailDomain, l.Source,
			meant.Country, meant.Region, meant.PostalCode, meant.EmailDomain, meant.Source)
	}
	if _, err := x.db.Console.Exec(ctx, `DELETE FROM fingerprint`); err != nil {
		t.Fatal(err)
	}
}

func plainly(c lead.Contact) []string {
	out := []string{c.Name.Plain(), c.Email.Plain(), c.Phone.Plain(), c.Company.Plain(), c.Notes.Plain(), c.Context.UTMSource}
	for name, value := range c.Fields {
		out = append(out, name+"="+value.Plain())
	}
	return out
}

// FuzzBody sends any bytes under any of the types that are taken: they are stored or refused in the words of the contract.
func FuzzBody(f *testing.F) {
	for kind, seeds := range [][]string{
		{`{"email":"a@acme.example"}`, `{"email":["a@acme.example"],"fields":{"words":[1,{"a":null}]}}`, `{"email":"a@acme.example","email":"b@acme.example"}`, `[]`, `{"a":{"b":{"c":{}}}}`, `{"phone":1e400}`, "{\"name\":\"\xff\"}", `{"email":"\ud800@acme.example"}`, `{"consent":true,"fields":3,"context":[]}`},
		{"email=a%40acme.example", "email=a@acme.example&email=b@acme.example&fields.words=%ff%00", "a=b;c=d&=&&%", "fields.=1&.x=2&consent.=3", strings.Repeat("f=1&", 3000)},
		{"--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@acme.example\r\n--b--\r\n", "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"\"\r\n\r\n\r\n--b--", "--b\r\n\r\n--b--", "--b"},
		{"anything"},
	} {
		for _, seed := range seeds {
			f.Add(uint8(kind), []byte(seed))
		}
	}
	x := newTarget(f)
	types := []string{typeJSON, typeForm, `multipart/form-data; boundary=b`, "text/plain"}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		status, answer := x.post(t, types[int(kind)%len(types)], body)
		switch status {
		case 201, 400, 413, 415, 422:
		default:
			t.Fatalf("got %d: %s", status, answer)
		}
		if !json.Valid(answer) {
			t.Fatalf("%d came with %q", status, answer)
		}
	})
}

// FuzzWire sends any bytes to the port: whatever they are, the server answers with no error of its own and goes on.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		"POST /v1/forms/demo/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"email\":\"a@acme.example\"}",
		"POST /v1/forms/demo/leads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n5\r\nemail\r\n0\r\n\r\n",
		"POST /v1/forms/demo/leads HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		"GET /f/demo?utm_source=%ff HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
		"HEAD /v1/forms/demo/leads HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
		"POST /v1/rum HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
		"GET /v1/forms/..%2f..%2fetc/leads/\x00 HTTP/1.1\r\nHost: [::1]:1\r\nX-Forwarded-For: ,,,\r\nIdempotency-Key: \xff\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	x := newTarget(f)
	address := strings.TrimPrefix(x.url, "http://")
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Fatalf("the server is gone: %v", err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write(sent); err != nil {
			return // refused before we had said everything
		}
		_ = conn.(*net.TCPConn).CloseWrite() // nothing more comes: the server need not wait for it
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		in := bufio.NewReader(conn)
		for {
			res, err := http.ReadResponse(in, &http.Request{Method: method(sent)})
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode >= 500 {
				t.Fatalf("got %s", res.Status)
			}
		}
	})
}

// method is what the first request on the wire seems to be: answers to HEAD have no body.
func method(sent []byte) string {
	word, _, _ := bytes.Cut(sent, []byte(" "))
	return string(word)
}
