package web_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leadline/internal/machine"
	"leadline/web"
)

// posted is a request as it goes out: names of headers as they are spelt, values as often as they are sent.
type posted struct {
	headers map[string][]string
	body    string
}

func (s *site) post(p posted) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+leads, strings.NewReader(p.body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = p.headers
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{Response: res, body: string(text)}
}

// genuine is a request of partner's that is taken.
func genuine(t *testing.T, at time.Time) posted {
	p := posted{headers: map[string][]string{}, body: person("ann")}
	list := signed(t, testKey("partner"), "msg-2KWPBgLlAfxdpx2AI54pPJ85f4W", at, p.body)
	for i := 0; i < len(list); i += 2 {
		p.headers[list[i]] = []string{list[i+1]}
	}
	return p
}

// forge changes something of a request that the signature or the scheme covers.
func forge(t *testing.T, r *rand.Rand, p posted) posted {
	t.Helper()
	name := []string{machine.HeaderID, machine.HeaderTimestamp, machine.HeaderSignature}[r.IntN(3)]
	value := p.headers[name][0]
	set := func(values ...string) { p.headers[name] = values }
	switch r.IntN(11) {
	case 0: // no header
		delete(p.headers, name)
	case 1: // one twice
		set(value, value)
	case 2: // one twice, the second wrong
		set(value, mutated(r, value))
	case 3: // under two spellings of its name
		p.headers[strings.ToUpper(name)] = []string{value}
	case 4: // cut
		set(value[:r.IntN(len(value))])
	case 5: // longer
		set(value + string(printable(r)))
	case 6: // letters in another case
		set(swapped(value, r))
	case 7: // the body
		p.body = mutated(r, p.body)
	case 8: // the body, cut or longer
		if p.body += " "; r.IntN(2) == 0 {
			p.body = p.body[:r.IntN(len(p.body)-1)]
		}
	case 9: // what is signed, parted elsewhere
		id, stamp := p.headers[machine.HeaderID][0], p.headers[machine.HeaderTimestamp][0]
		switch r.IntN(3) {
		case 0:
			p.headers[machine.HeaderID], p.body = []string{id + "." + stamp}, p.body[1:]
		case 1:
			p.headers[machine.HeaderTimestamp] = []string{stamp + "." + p.body[:1]}
			p.body = p.body[1:]
		case 2:
			p.headers[machine.HeaderID], p.headers[machine.HeaderTimestamp] = []string{id[:5]}, []string{id[5:] + "." + stamp}
		}
	default: // a character
		set(mutated(r, value))
	}
	return p
}

func printable(r *rand.Rand) byte { return byte('!' + r.IntN('~'-'!'+1)) }

// mutated changes, adds or takes away one character.
func mutated(r *rand.Rand, s string) string {
	i := r.IntN(len(s))
	switch r.IntN(4) {
	case 0:
		return s[:i] + s[i+1:]
	case 1:
		return s[:i] + string(printable(r)) + s[i:]
	default:
		for {
			if c := printable(r); c != s[i] {
				return s[:i] + string(c) + s[i+1:]
			}
		}
	}
}

// swapped changes the case of some letter; text without one gets one.
func swapped(s string, r *rand.Rand) string {
	for i := range s {
		at := (i + r.IntN(len(s))) % len(s)
		if c := s[at] | 0x20; c >= 'a' && c <= 'z' {
			return s[:at] + string(s[at]^0x20) + s[at+1:]
		}
	}
	return s + "a"
}

func TestMachine_TakesNoForgery(t *testing.T) {
	now := time.Now()
	s := setupMachines(t, func(d *web.Deps) { d.Handlers.Now = func() time.Time { return now } })
	const workers, each = 4, 600
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		status = map[int]int{}
	)
	for w := range workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 54))
			for range each {
				p := forge(t, r, genuine(t, now))
				res := s.post(p)
				mu.Lock()
				if status[res.StatusCode]++; res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%d for %v\n%s", res.StatusCode, p.headers, p.body)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("answers to %d forgeries: %v", workers*each, status)
	if n := s.count(`SELECT count(*) FROM lead`) + s.count(`SELECT count(*) FROM client_key`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	expect(t, "the genuine one", s.post(genuine(t, now)), http.StatusCreated)
	p := genuine(t, now)
	for _, name := range []string{machine.HeaderID, machine.HeaderTimestamp, machine.HeaderSignature} {
		spelt := strings.ToUpper(name[:9]) + name[9:]
		p.headers[spelt] = p.headers[name]
		delete(p.headers, name)
	}
	expect(t, "with names spelt another way", s.post(p), http.StatusOK)
}

// Replays meet the ledger of the database, whichever process they reach, and however many come at once.
func TestMachine_AReplayIsOneInEveryProcess(t *testing.T) {
	s := setupMachines(t)
	both := []*site{s, s.beside()}
	const messages, times = 12, 6
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		ids   = map[int][]string{}
		fresh = map[int]int{}
	)
	for n := range messages {
		body := person("p" + strconv.Itoa(n))
		headers := signed(t, testKey("partner"), "m-"+strconv.Itoa(n), time.Now(), body)
		for i := range times {
			all.Go(func() {
				res := patiently(func() answer { return both[i%2].do(http.MethodPost, leads, body, headers...) })
				if !taken(res) {
					t.Errorf("%d %s", res.StatusCode, res.body)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[n] = append(ids[n], res.json(t)["lead_id"].(string))
				if res.StatusCode == http.StatusCreated {
					fresh[n]++
				}
			})
		}
	}
	all.Wait()
	for n := range messages {
		if len(slices.Compact(slices.Sorted(slices.Values(ids[n])))) != 1 || fresh[n] > 1 {
			t.Errorf("message %d: ids %v, new %d", n, ids[n], fresh[n])
		}
	}
	if n := s.count(`SELECT count(*) FROM lead`); n != messages || s.count(`SELECT count(*) FROM touch`) != 0 {
		t.Errorf("%d leads of %d messages", n, messages)
	}
}
