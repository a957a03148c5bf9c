package erasure_test

import (
	"testing"
	"time"

	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// TestErase_WhatWasSentBeforeAndNotStoredYetIsKnown: the spool of a machine that was off may hold what an erased person sent.
func TestErase_WhatWasSentBeforeAndNotStoredYetIsKnown(t *testing.T) {
	d := setup(t)
	h := newHuman(1)
	before := time.Now()
	d.arrive(h)
	d.erase(h)
	service := d.erasure
	for _, c := range []struct {
		what    string
		contact lead.Contact
		sent    time.Time
		want    bool
	}{
		{"sent before", lead.Contact{Email: privacy.Text(h.email)}, before, true},
		{"by phone alone", lead.Contact{Phone: privacy.Text(h.phone)}, before, true},
		{"sent afterwards", lead.Contact{Email: privacy.Text(h.email)}, time.Now().Add(time.Second), false},
		{"somebody else", lead.Contact{Email: "somebody@else.example", Phone: privacy.Text(h.phone)}, before, false},
		{"nobody", lead.Contact{}, before, false},
	} {
		if got, err := service.ErasedSince(t.Context(), &c.contact, c.sent); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
	}
}
