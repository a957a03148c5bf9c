package spam_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/lead"
	"leadline/internal/spam"
)

// Made with the protocol's own Go library (MIT): any other implementation must agree.
const (
	vectorSecret = "demo-hmac-secret"
	vector       = `{"challenge":{"parameters":{"algorithm":"PBKDF2/SHA-256","nonce":"00112233445566778899aabb","salt":"ffeeddccbbaa998877665544","cost":1000,` +
		`"keyLength":32,"keyPrefix":"00","expiresAt":1760000600},"signature":"43fc18fc27800556bb222ffada6666e7771ac7208d1ea612f12fd4aacaf0e6fb"},` +
		`"solution":{"counter":364,"derivedKey":"00a22adc5719bfb6ceabe56e4f496cc7f581ca450c8ef8f09ca2f5ee6b2c2118","time":123}}`
)

func TestProof_AgreesWithTheVectorsOfTheProtocol(t *testing.T) {
	valid := time.Unix(1760000599, 0)
	check := func(document string, now time.Time) bool {
		return spam.CheckProof([]byte(vectorSecret), base64.StdEncoding.EncodeToString([]byte(document)), now)
	}
	if !check(vector, valid) {
		t.Error("the vector was refused")
	}
	unlimited := strings.NewReplacer(`,"expiresAt":1760000600`, "", "43fc18fc27800556bb222ffada6666e7771ac7208d1ea612f12fd4aacaf0e6fb", "6e572aa25c8c12f5692c8f7ac13ddc481168fef6d29858d8e7adc2f3a9670837")
	for name, document := range map[string]string{
		"a signature of other parameters": strings.Replace(vector, `"cost":1000`, `"cost":1`, 1),
		"a dear cost":                     strings.Replace(vector, `"cost":1000`, `"cost":2000000000`, 1),
		"a spliced salt":                  strings.Replace(vector, `"salt":"ffeedd`, `"salt":"ffeed`, 1),
		"a shorter prefix":                strings.Replace(vector, `"keyPrefix":"00"`, `"keyPrefix":""`, 1),
		"another counter":                 strings.Replace(vector, `"counter":364`, `"counter":365`, 1),
		"another key":                     strings.Replace(vector, `"derivedKey":"00a2`, `"derivedKey":"00a3`, 1),
		"no end":                          unlimited.Replace(vector),
		"another algorithm":               strings.Replace(vector, `PBKDF2/SHA-256`, `SHA-256`, 1),
		"no JSON":                         "{",
	} {
		if check(document, valid) {
			t.Errorf("%s was taken", name)
		}
	}
	if check(vector, valid.Add(time.Second)) {
		t.Error("a proof that has run out was taken")
	}
	if spam.CheckProof([]byte(vectorSecret), strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(vector+"?>?>")), "=")+"*", valid) || spam.CheckProof(nil, base64.StdEncoding.EncodeToString([]byte(vector)), valid) {
		t.Error("something that is no base64, or a check without a key, was taken")
	}
}

// till is a place where proofs are spent.
type till struct {
	mu   sync.Mutex
	had  map[string]string
	away bool
}

func (s *till) spend(_ context.Context, proof, holder []byte, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return false, errors.New("away")
	}
	if had, known := s.had[string(proof)]; known {
		return had == string(holder), nil
	}
	s.had[string(proof)] = string(holder)
	return true, nil
}

func TestGuard_AsksTheDoubtfulForAProofAndTakesEachOnce(t *testing.T) {
	now := &clock{time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	spent := &till{had: map[string]string{}}
	guard, err := spam.New(spam.Options{Secret: []byte(strings.Repeat("s", 32)), Now: now.now, Spend: spent.spend})
	if err != nil {
		t.Fatal(err)
	}
	form, other := &lead.Form{Slug: "demo"}, &lead.Form{Slug: "other"}
	// doubtful is a submission from a mailbox that lives for minutes.
	doubtful := func(form *lead.Form, key, solution string) spam.Judgement {
		raw := &lead.Raw{Email: "x@mailinator.com", ClientKey: key, Trap: lead.Trap{Token: guard.Token(form.Slug), Solution: solution}}
		now.advance(2 * time.Second)
		return guard.Judge(t.Context(), spam.Visit{Form: form, Raw: raw, Address: "192.0.2.7"})
	}
	expect := func(what string, got spam.Judgement, want spam.Verdict) {
		t.Helper()
		if got.Verdict != want || (want == spam.Challenge) != (got.Challenge != nil) {
			t.Errorf("%s: %s %v, want %s", what, got.Verdict, got.Reasons, want)
		}
	}
	first := doubtful(form, "a", spam.SolverReady)
	expect("a browser that can", first, spam.Challenge)
	expect("a browser that cannot", doubtful(form, "b", spam.SolverMissing), spam.Hold)
	expect("a program that was never told", doubtful(form, "c", ""), spam.Hold)
	solution := spam.Solve(first.Challenge)
	expect("the solution at another form", doubtful(other, "a", solution), spam.Challenge)
	expect("the solution", doubtful(form, "a", solution), spam.Accept)
	expect("a retry of the same submission", doubtful(form, "a", solution), spam.Accept)
	expect("the solution for another submission", doubtful(form, "d", solution), spam.Challenge)
	expect("no base64", doubtful(form, "a", "!"), spam.Challenge)

	spent.away = true
	away := spam.Solve(doubtful(form, "e", spam.SolverReady).Challenge)
	expect("a solution that cannot be looked up", doubtful(form, "e", away), spam.Hold)
	spent.away = false
	late := spam.Solve(doubtful(form, "f", spam.SolverReady).Challenge)
	now.advance(11 * time.Minute)
	expect("a solution that comes too late", doubtful(form, "f", late), spam.Challenge)

	quiet := &lead.Form{Slug: "demo", Spam: lead.SpamPolicy{NoChallenge: true}}
	expect("a form that asks for no proofs", doubtful(quiet, "g", spam.SolverReady), spam.Hold)
	open := &lead.Form{Slug: "demo", Spam: lead.SpamPolicy{NoHold: true}}
	expect("a form that holds nothing", doubtful(open, "h", ""), spam.Accept)
}

func TestProof_SignsWhatTheProtocolCallsCanonical(t *testing.T) {
	now := &clock{time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	guard, err := spam.New(spam.Options{Secret: []byte(strings.Repeat("s", 32)), Now: now.now})
	if err != nil {
		t.Fatal(err)
	}
	raw := &lead.Raw{Email: "x@mailinator.com", Trap: lead.Trap{Solution: spam.SolverReady}}
	proof := guard.Judge(t.Context(), spam.Visit{Form: &lead.Form{Slug: "demo"}, Raw: raw}).Challenge
	text, err := json.Marshal(proof.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(maps.Clone(members)) // encoding/json sorts the keys of maps
	if err != nil || string(sorted) != string(text) {
		t.Errorf("signed %s, canonical is %s", text, sorted)
	}
}
