package crm

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
)

func TestWebhook_AnswersMeanWhatTheContractSays(t *testing.T) {
	t.Parallel()
	for status, class := range map[int]Class{
		200: "", 204: "", 299: "", 302: Pause, 400: Refuse, 404: Refuse, 409: Refuse, 422: Refuse,
		401: Pause, 403: Pause, 410: Pause, 408: Unknown, 425: Unknown, 429: Throttle, 500: Unknown, 502: Unknown, 503: Unknown,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
		}))
		_, err := write(t, server.URL)
		server.Close()
		if got := classOf(err); got != class {
			t.Errorf("HTTP %d is %q, expected %q", status, got, class)
		}
	}
}

func TestWebhook_SuccessSurvivesAnyBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Record{
		`{"id":"r1","url":"https://crm.example.com/r1"}`: {ID: "r1", URL: "https://crm.example.com/r1"},
		`{"id":42,"url":"javascript:alert(1)"}`:          {ID: "42"},
		`{"id":null}`:                                    {},
		`<html>ok</html>`:                                {},
		`{"id":"r1"`:                                     {},
		strings.Repeat("x", 1<<20):                       {},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		record, err := write(t, server.URL)
		server.Close()
		if err != nil || record != want {
			t.Errorf("%.30s: %+v %v", body, record, err)
		}
	}
}

func TestWebhook_PrivateAddressPausesTheConnection(t *testing.T) {
	t.Parallel()
	client, err := newClient(outbox.Connection{Kind: "webhook", BaseURL: "http://169.254.169.254/latest"}, outbound.New(outbound.Options{}), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(t.Context(), Write{}); classOf(err) != Pause {
		t.Errorf("got %v", err)
	}
}

func TestRefusal_IsKeptWithoutThePerson(t *testing.T) {
	t.Parallel()
	w := Write{Contact: lead.Contact{Name: "Ada Byron", Email: "ada@engine.example", Phone: "+4930111222", Fields: map[string]privacy.Text{"vat": "DE99"}}}
	for answer, want := range map[string]string{
		`{"error":"BYRON <ada@engine.example> exists, see bob@other.example or 030 111 222; vat DE99 is bad"}`: "",
		`{"error":"Byron","code":"de99","message":"invalid"}`:                                                  "",
		`{"errors":[{"code":"INVALID_EMAIL","field":"email","message":"\u0041da Byr"},{"code":"too_long"}]}`:   " (INVALID_EMAIL, email, too_long)",
		`{"code":"49301112"}`: "",
		`{"code":"Byr"}`:      "",
		`{"code":"no_byron"}`: "",
		`<html>Ada Byron`:     "",
		``:                    "",
	} {
		if got := codes([]byte(answer), w); got != want {
			t.Errorf("%s: kept %q, expected %q", answer, got, want)
		}
	}
}

func TestRetryAfter_ReadsSecondsAndDatesWithinAnHour(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-5": 0, "864000": time.Hour, "soon": 0, "99999999999999": 0,
		now.Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, expected %s", header, got, want)
		}
	}
}

func write(t *testing.T, url string) (Record, error) {
	t.Helper()
	allow := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	client, err := newClient(outbox.Connection{Kind: "webhook", BaseURL: url, Secret: "plain secret"}, allow, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return client.Write(t.Context(), Write{ID: "msg_1", Lead: lead.Lead{ID: uuid.New()}})
}

func classOf(err error) Class {
	failure, _ := err.(*Error) //nolint:errorlint // Client promises the type itself
	if failure == nil {
		return ""
	}
	return failure.Class
}
