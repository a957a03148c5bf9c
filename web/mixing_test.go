package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"
)

// size is how much of something is tried: the usual number, and the full one with TORTURE=full.
func size(usual, full int) int {
	if os.Getenv("TORTURE") == "full" {
		return full
	}
	return usual
}

// answers are what one visitor sends. The notes hold a hash of all the others, so that answers of two visitors in one record show.
type answers struct{ name, email, company, source, page, key, correlation, notes string }

func (a answers) seal() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{a.name, a.email, a.company, a.source, a.page, a.key, a.correlation}, "\n")))
	return hex.EncodeToString(sum[:])
}

// mixed tells whether anything in a record is not of the visitor of the rest.
func (a answers) mixed() bool { return !strings.HasPrefix(a.notes, a.seal()) }

// visitor fills a form. Lengths differ, so that answers lie at different places in the memory of requests.
func visitor(n int) answers {
	rng := rand.New(rand.NewPCG(61, uint64(n)))
	word := func(most int) string { return strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(most)) }
	a := answers{
		name: fmt.Sprintf("%s %d", word(30), n), email: fmt.Sprintf("%s.%d@acme.example", word(20), n), company: fmt.Sprintf("%s %d", word(40), n),
		source: fmt.Sprintf("%s-%d", word(10), n), page: fmt.Sprintf("https://www.example.com/%s/%d", word(60), n), key: fmt.Sprintf("key-%024d", n), correlation: fmt.Sprintf("corr-%s-%d", word(12), n),
	}
	a.notes = a.seal() + " " + word(300)
	return a
}

// request writes the answers in one of the formats of the contract.
func (a answers) request(to string, format int) *http.Request {
	var (
		body bytes.Buffer
		kind = typeForm
	)
	form := map[string]string{
		"name": a.name, "email": a.email, "company": a.company, "notes": a.notes, "product": "platform", "context.utm_source": a.source, "context.page_url": a.page,
		"submission_id": a.key, "correlation_id": a.correlation,
	}
	switch format {
	case 0:
		kind = typeJSON
		_ = json.NewEncoder(&body).Encode(map[string]any{
			"name": a.name, "email": a.email, "company": a.company, "notes": a.notes, "product": "platform", "context": map[string]string{"utm_source": a.source, "page_url": a.page},
		})
	case 1:
		values := url.Values{}
		for name, value := range form {
			values.Set(name, value)
		}
		body.WriteString(values.Encode())
	case 2:
		w := multipart.NewWriter(&body)
		for name, value := range form {
			_ = w.WriteField(name, value)
		}
		_ = w.Close()
		kind = w.FormDataContentType()
	}
	req, err := http.NewRequest(http.MethodPost, to, &body)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", kind)
	if format == 0 {
		req.Header.Set("Idempotency-Key", a.key)
		req.Header.Set("X-Correlation-ID", a.correlation)
	}
	return req
}

// sendMany lets visitors send side by side over connections that stay open.
func sendMany(t *testing.T, client *http.Client, to string, n int, formats ...int) {
	t.Helper()
	const workers = 32
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				status := http.StatusServiceUnavailable
				for status == http.StatusServiceUnavailable { // a machine under load
					res, err := client.Do(visitor(i).request(to, formats[i%len(formats)]))
					if err != nil {
						t.Errorf("visitor %d: %v", i, err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
					_ = res.Body.Close()
					status = res.StatusCode
				}
				if status != http.StatusCreated && status != http.StatusOK {
					t.Errorf("visitor %d: %d", i, status)
				}
			}
		})
	}
	all.Wait()
}

// TestIntake_NeverMixesConcurrentSubmissions holds that everything of a record is of one visitor. The server uses the memory of requests
// again while submissions wait, so that a string which was not copied becomes somebody else's.
func TestIntake_NeverMixesConcurrentSubmissions(t *testing.T) {
	s := setup(t)
	n, start := size(4000, 1_000_000), time.Now()
	sendMany(t, s.client, s.url+leads, n, 0, 1, 2)
	took := time.Since(start)
	rows, err := s.db.Jobs.Query(t.Context(), `
		SELECT c.name, c.email, c.company, l.source, c.context->>'page_url', k.key, l.correlation_id, c.notes
		FROM lead l JOIN contact c ON c.lead_id = l.id JOIN client_key k ON k.submission = l.id`)
	if err != nil {
		t.Fatal(err)
	}
	var (
		a            answers
		records, bad int
	)
	_, err = pgx.ForEachRow(rows, []any{&a.name, &a.email, &a.company, &a.source, &a.page, &a.key, &a.correlation, &a.notes}, func() error {
		records++
		if a.mixed() {
			if bad++; bad <= 3 {
				t.Errorf("a mixed record: %+v", a)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d submissions in three formats, %.0f a second: %d mixed records", n, float64(n)/took.Seconds(), bad)
	if records != n || bad > 0 {
		t.Errorf("%d records of %d visitors, %d mixed", records, n, bad)
	}
}

// TestControl_StringsThatAreNotCopiedMix shows that the test above can fail: a handler as small as possible that keeps the strings of
// requests as the framework lends them.
func TestControl_StringsThatAreNotCopiedMix(t *testing.T) {
	var (
		mu   sync.Mutex
		kept []answers
	)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/", func(c *fiber.Ctx) error {
		a := answers{
			name: c.FormValue("name"), email: c.FormValue("email"), company: c.FormValue("company"), source: c.FormValue("context.utm_source"),
			page: c.FormValue("context.page_url"), key: c.FormValue("submission_id"), correlation: c.FormValue("correlation_id"), notes: c.FormValue("notes"),
		}
		if a.mixed() {
			t.Errorf("while the request lives its strings are right: %+v", a)
		}
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, a)
		return c.SendStatus(fiber.StatusCreated)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(l) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	const n = 2000
	sendMany(t, client, "http://"+l.Addr().String()+"/", n, 1)
	client.CloseIdleConnections()
	if err := app.Shutdown(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	bad := 0
	for _, a := range kept {
		if a.mixed() {
			bad++
		}
	}
	t.Logf("%d of %d records mixed", bad, len(kept))
	if bad == 0 {
		t.Error("nothing was found")
	}
}
