package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// TrickleSource is the utm_source of the trickle's leads.
const TrickleSource = "demo-trickle"

// The trickle's pace unless Trickle says otherwise.
const (
	firstAfter   = 10 * time.Second
	defaultEvery = 45 * time.Second
)

// contactEvery is how many leads ask for a demo before one comes by the contact form.
const contactEvery = 6

// Trickle sends a made-up lead to the running server now and then, over HTTP like any visitor. Target, Form and Now are required.
type Trickle struct {
	Target  string        // the server's address
	Form    string        // where the leads go; with the demo's own form some go to its contact form
	First   time.Duration // until the first lead; 0: 10 s
	Every   time.Duration // between leads, on average; each gap is up to half longer or shorter; 0: 45 s
	Enabled func() bool   // asked before each lead; nil: always
	Client  *http.Client  // nil: one with a time-out
	Now     func() time.Time
	Log     *slog.Logger // nil: silent
}

// Run sends leads until the context ends, and returns nil then. A lead that the server does not take is skipped.
func (t Trickle) Run(ctx context.Context) error {
	t.defaults()
	wait := time.NewTimer(t.First)
	defer wait.Stop()
	var deck []visitor
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		wait.Reset(t.Every/2 + rand.N(t.Every)) //nolint:gosec // the moment of a made-up lead is no secret
		if t.Enabled != nil && !t.Enabled() {
			continue
		}
		if len(deck) == 0 {
			deck = visitors()
			rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] }) //nolint:gosec // nor is their order
		}
		form := t.Form
		if form == Form && n%contactEvery == 0 {
			form = ContactForm
		}
		if err := t.send(ctx, form, deck[0]); err != nil && ctx.Err() == nil {
			t.Log.Warn("a demo lead was not taken", "form", form, "error", err)
		}
		deck = deck[1:]
	}
}

func (t *Trickle) defaults() {
	if t.First <= 0 {
		t.First = firstAfter
	}
	if t.Every <= 0 {
		t.Every = defaultEvery
	}
	if t.Client == nil {
		t.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if t.Log == nil {
		t.Log = slog.New(slog.DiscardHandler)
	}
}

func (t *Trickle) send(ctx context.Context, form string, v visitor) error {
	body, err := json.Marshal(v.lead(form, t.Now()))
	if err != nil {
		return fmt.Errorf("write a demo lead: %w", err)
	}
	address := strings.TrimRight(t.Target, "/") + "/v1/forms/" + url.PathEscape(form) + "/leads"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send a demo lead: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	res, err := t.Client.Do(req)
	if err != nil {
		return fmt.Errorf("send a demo lead: %w", err)
	}
	if err := res.Body.Close(); err != nil {
		return fmt.Errorf("send a demo lead: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	return nil
}
