package playbook_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"leadline/internal/playbook"
)

// The generator goes by the types of the document: a new key is covered without a line here.
func TestDocument_WhateverItHoldsIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for range 300 {
		text, used := playbook.RandomText(random)
		for key := range used {
			seen[key] = true
		}
		again, problems := playbook.Rewritten(text)
		if len(problems) > 0 {
			t.Fatalf("what was written cannot be read: %v\n%s", problems, text)
		}
		if !bytes.Equal(text, again) {
			t.Fatalf("another text came out:\n%s\n--- was\n%s", again, text)
		}
	}
	for key := range playbook.Keys() {
		if !seen[key] {
			t.Errorf("no text held %q", key)
		}
	}
}
