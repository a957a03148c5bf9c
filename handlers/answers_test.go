package handlers

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/lead"
)

// parsed is what parseAnswers makes of a body.
func parsed(t *testing.T, kind, body string) lead.Raw {
	t.Helper()
	var raw lead.Raw
	app := fiber.New(fiber.Config{Immutable: true})
	app.Post("/", func(c *fiber.Ctx) (err error) {
		raw, err = parseAnswers(c)
		return err
	})
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("Content-Type", kind)
	answer, err := app.Test(request, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d", kind, body, answer.StatusCode)
	}
	return raw
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

func TestParseAnswers_KeepsEveryAnswerOfAField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, kind, body, want string }{
		{"a list in JSON", asJSON, `{"fields":{"tools":["a","b",3]}}`, "a, b, 3"},
		{"a list of one", asJSON, `{"fields":{"tools":["a"]}}`, "a"},
		{"boxes of one name", asForm, "fields.tools=a&fields.tools=b&fields.tools=b", "a, b"},
		{"names as PHP has them", asForm, "fields%5Btools%5D%5B%5D=a&fields%5Btools%5D%5B%5D=b", "a, b"},
		{"the bare name", asJSON, `{"tools":"a"}`, "a"},
		{"the bare name in a list", asForm, "tools[]=a&tools[]=b", "a, b"},
		{"the full name wins", asJSON, `{"tools":"x","fields":{"tools":"a"}}`, "a"},
		{"an empty full name does not", asForm, "fields.tools=&tools=a", "a"},
		{"a bare name with dots", asJSON, `{"fields.tools":"a"}`, "a"},
		{"a page of Western Europe in its old encoding", asForm, "fields.tools=M%FCller", "Müller"},
		{"broken UTF-8", asForm, "fields.tools=M%C3%BCller%FF", "Müller\ufffd"},
		{"half a surrogate", asJSON, `{"fields":{"tools":"a\ud800b"}}`, "a\ufffdb"},
		{"a byte order mark", asJSON, "\ufeff" + `{"fields":{"tools":"a"}}`, "a"},
	} {
		if got := parsed(t, c.kind, c.body).Fields["tools"].Plain(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

func TestParseAnswers_StandardFieldsLoseNothing(t *testing.T) {
	t.Parallel()
	raw := parsed(t, asForm, "email=&email=anna%40acme.com&email=&name=Anna&name=Berg&notes=a&notes=a&fields.company=Acme&consent[phone]=false&consent[phone]=on")
	if raw.Email != "anna@acme.com" || raw.Name != "Anna, Berg" || raw.Notes != "a" || raw.Company != "Acme" || !raw.Consent.Phone {
		t.Errorf("got %q %q %q %q %v", raw.Email.Plain(), raw.Name.Plain(), raw.Notes.Plain(), raw.Company.Plain(), raw.Consent)
	}
}

func TestParseAnswers_SamplesAndCountsWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	raw := parsed(t, asJSON, `{"consent":{"fax":true},"utm":{"deep":{"er":[1,{"x":"y"}]}},"list":[{"a":1}],"a.b.c":"d","\u0000n\u202eame.x":"v"}`)
	got := map[string]string{}
	for _, f := range raw.Unknown {
		got[f.Name] = f.Value.Plain()
	}
	want := map[string]string{"consent.fax": "true", "utm.deep": `{"er":[1,{"x":"y"}]}`, "list": `[{"a":1}]`, "a.b.c": "d", "name.x": "v"}
	if !maps.Equal(got, want) || raw.UnknownCount != len(want) {
		t.Errorf("got %v, %d", got, raw.UnknownCount)
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = "x." + strings.Repeat("n", i+1) + "=" + strings.Repeat("v", 40)
	}
	raw = parsed(t, asForm, strings.Join(many, "&")+"&email=a%40acme.com&fields.seats=3")
	if len(raw.Unknown) != lead.MaxUnknown || raw.UnknownCount != 300 || raw.Email == "" || raw.Fields["seats"] != "3" {
		t.Errorf("got %d samples of %d", len(raw.Unknown), raw.UnknownCount)
	}
	if slices.ContainsFunc(raw.Unknown, func(f lead.UnknownField) bool { return len(f.Name) > 64 }) {
		t.Error("a name was not cut")
	}
}
