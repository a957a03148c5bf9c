package web_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// outline is all of an answer that somebody could compare who does not know what it should say: the status, the headers with their
// values, the members of the body in their order. Values that must be new each time are there with their length alone.
func outline(t *testing.T, res answer) string {
	t.Helper()
	lines := []string{res.Status}
	for name, values := range res.Header {
		switch name {
		case "Date", "X-Correlation-Id", "Location":
			lines = append(lines, fmt.Sprintf("%s: %d times, %d long", name, len(values), len(values[0])))
		default:
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	members := json.NewDecoder(strings.NewReader(res.body))
	for {
		token, err := members.Token()
		if err == io.EOF {
			return strings.Join(lines, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%T %v", token, token)
		if text, ok := token.(string); ok && len(text) > 20 {
			line = fmt.Sprintf("text, %d long", len(text))
		} else if ok && text == res.json(t)["reference"] {
			line = fmt.Sprintf("reference, %d long", len(text))
		}
		lines = append(lines, line)
	}
}

// Whether an address wrote to us before must not show in anything that we answer, nor in how long we take.
func TestIntake_ANewPersonAndAKnownOneAreAnsweredAlike(t *testing.T) {
	s := setup(t)
	const people = 400
	send := func(kind string, n int, key string) (answer, time.Duration) {
		started := time.Now()
		res := s.postJSON(leads, person(fmt.Sprintf("%s-%04d", kind, n)), "Idempotency-Key", fmt.Sprintf("%s-%s-%04d-0123456789", key, kind, n))
		return res, time.Since(started)
	}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for n := w; n < people; n += 8 {
				res, _ := send("old", n, "before")
				expect(t, "before", res, http.StatusCreated)
			}
		})
	}
	all.Wait()
	var (
		outlines = map[string]map[string]int{"old": {}, "new": {}}
		took     = map[string][]time.Duration{}
		ones     = map[string]int{}
		receipts = map[string]bool{}
	)
	for n := range people {
		for _, kind := range [][]string{{"old", "new"}, {"new", "old"}}[n%2] {
			before := time.Now().Add(-time.Minute)
			res, d := send(kind, n, "now")
			doc := res.json(t)
			outlines[kind][outline(t, res)]++
			took[kind] = append(took[kind], d)
			receipt := doc["receipt"].(string)
			raw, err := base64.RawURLEncoding.DecodeString(receipt)
			if err != nil || len(raw) != 32 || receipts[receipt] {
				t.Fatalf("receipt %q, seen before: %v", receipt, receipts[receipt])
			}
			receipts[receipt] = true
			for _, b := range raw[16:] {
				ones[kind] += bits.OnesCount8(b)
			}
			if at, err := time.Parse(time.RFC3339, doc["accepted_at"].(string)); err != nil || at.Before(before) {
				t.Errorf("%s: accepted at %v, %v", kind, at, err)
			}
		}
	}
	if len(outlines["new"]) != 1 || !reflect.DeepEqual(outlines["new"], outlines["old"]) {
		t.Errorf("answers can be told apart:\n%v\n%v", outlines["new"], outlines["old"])
	}
	for kind, n := range ones { // 51,200 bits: three in a hundred off are more than ten standard deviations
		if share := float64(n) / (people * 128); share < 0.47 || share > 0.53 {
			t.Errorf("%s: %.3f of the receipts' bits are set", kind, share)
		}
	}
	fresh, known := median(took["new"]), median(took["old"])
	t.Logf("median of %d answers: a new person %s, a known one %s, difference %s", people, fresh, known, (fresh - known).Abs())
	if (fresh - known).Abs() > max(2*time.Millisecond, fresh/2) {
		t.Errorf("the time tells: a new person %s, a known one %s", fresh, known)
	}
	if n := s.count(`SELECT count(*) FROM lead`); n != 2*people {
		t.Errorf("%d leads of %d people", n, 2*people)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// What a receipt opens is what its own submission sent, also when that joined somebody's lead.
func TestIntake_AReceiptOfARepeatNeitherShowsNorChangesWhatTheFirstSent(t *testing.T) {
	s := setup(t)
	owner := `{"name":"Vera Owner","email":"vera@acme.example","phone":"+4930901820","product":"platform","notes":"call me","fields":{"team_size":7}}`
	first := s.postJSON(leads, owner, "Idempotency-Key", "the-owner-0123456789-abc")
	expect(t, "first", first, http.StatusCreated)
	id := uuid.MustParse(first.json(t)["lead_id"].(string))
	if _, err := s.db.Console.Exec(t.Context(), `UPDATE lead SET stage = 'claimed', claimed_at = clock_timestamp(), rep_id = (SELECT id FROM rep WHERE email = 'sam@example.com') WHERE id = $1`, [16]byte(id)); err != nil {
		t.Fatal(err)
	}
	known := func() string {
		l, contact, err := s.stored(id)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q %q %q %q %v %v %s %d", contact.Name.Plain(), contact.Email.Plain(), contact.Phone.Plain(), contact.Notes.Plain(), len(contact.Fields), contact.Consent, l.Product, l.Revision)
	}
	before := known()

	guess := func(mail, name string) string {
		return `{"name":"` + name + `","email":"` + mail + `@acme.example","phone":"+4930901821","product":"analytics","consent":{"phone":true}}`
	}
	var outlines [2][]string
	for i, mail := range []string{"vera", "nobody-we-know"} {
		post := func(name string) answer {
			return s.postJSON(leads, guess(mail, name), "Idempotency-Key", "a-guess-0123456789-"+mail)
		}
		sent := post("Mallory")
		receipt := "Receipt " + sent.json(t)["receipt"].(string)
		own := leads + "/" + sent.json(t)["lead_id"].(string)
		steps := []answer{
			sent,
			s.do(http.MethodGet, own, "", "Authorization", receipt),
			s.do(http.MethodPatch, own, `{"notes":"changed","fields":{"team_size":99}}`, "Content-Type", typeJSON, "Authorization", receipt),
			s.do(http.MethodPatch, own, `{"email":"other@acme.example"}`, "Content-Type", typeJSON, "Authorization", receipt),
			post("Mallory Again"), // a corrected resend
			s.do(http.MethodGet, own, "", "Authorization", receipt),
			s.do(http.MethodGet, leads+"/"+id.String(), "", "Authorization", receipt),
		}
		for n, res := range steps {
			if strings.Contains(res.body, "Sam") || strings.Contains(res.body, "Vera") || strings.Contains(res.body, id.String()) {
				t.Errorf("%s, step %d: %s", mail, n, res.body)
			}
			if res.body == "" {
				res.body = "{}"
			}
			outlines[i] = append(outlines[i], outline(t, res))
		}
	}
	for n := range outlines[0] {
		if outlines[0][n] != outlines[1][n] {
			t.Errorf("step %d tells a known address from an unknown one:\n%s\n\n%s", n, outlines[0][n], outlines[1][n])
		}
	}
	if after := known(); after != before {
		t.Errorf("the lead was %s and is %s", before, after)
	}
}

// Somebody known by a number alone may add an address, and so may whoever repeats them: also when the first one has an address by now.
func TestIntake_ARepeatByPhoneMayAddAnAddressLikeAFirstSubmission(t *testing.T) {
	s := setup(t)
	patch := func(sent answer, body string) int {
		t.Helper()
		doc := sent.json(t)
		res := s.do(http.MethodPatch, leads+"/"+doc["lead_id"].(string), body, "Content-Type", typeJSON, "Authorization", "Receipt "+doc["receipt"].(string))
		return res.StatusCode
	}
	phone := func(n int) string { return fmt.Sprintf(`{"phone":"+493090182%d","product":"platform"}`, n) }
	first := s.postJSON(leads, phone(0))
	if got := patch(first, `{"email":"vera@acme.example"}`); got != http.StatusNoContent {
		t.Fatalf("the owner's address: %d", got)
	}
	for n, body := range []string{`{"phone":"+4930901829"}`, `{"email":"mallory@acme.example"}`, `{"notes":"x"}`} {
		if a, b := patch(s.postJSON(leads, phone(0)), body), patch(s.postJSON(leads, phone(n+1)), body); a != b {
			t.Errorf("%s: %d for a known number, %d for an unknown one", body, a, b)
		}
	}
	_, contact, err := s.stored(uuid.MustParse(first.json(t)["lead_id"].(string)))
	if err != nil || contact.Email != "vera@acme.example" {
		t.Errorf("%v, %v", contact.Email.Plain(), err)
	}
}
