package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// Kind is how a visitor behaves.
type Kind string

// The visitors.
const (
	Patient Kind = "patient" // sends with a key, and again with the same key until told that it arrived
	Leaves  Kind = "leaves"  // sends with a key, once, whatever the answer is
	Keyless Kind = "keyless" // sends without a key, once
	Double  Kind = "double"  // clicks twice, with one key
	Twice   Kind = "twice"   // clicks twice, without a key
	Correct Kind = "correct" // as Patient; then corrects the phone number, under the same key
	Returns Kind = "returns" // as Patient; then fills in the form again, under another key
	Wrong   Kind = "wrong"   // sends neither e-mail address nor phone number
)

// shares says how many of a hundred visitors are of which kind.
var shares = []struct {
	kind Kind
	of   int
}{{Patient, 54}, {Leaves, 12}, {Keyless, 6}, {Double, 8}, {Twice, 4}, {Correct, 8}, {Returns, 5}, {Wrong, 3}}

// Step is what an attempt is for.
type Step string

// The steps of a visitor.
const (
	First      Step = "first"
	Correction Step = "correction"
	Return     Step = "return"
)

// fill is one visitor. Everything about it follows from the seed and its number.
type fill struct {
	seed uint64
	n    int
	kind Kind
}

func newFill(seed uint64, n int) fill {
	roll := rand.New(rand.NewPCG(seed, uint64(n))).IntN(100) //nolint:gosec // repeatable, no secret
	f := fill{seed: seed, n: n}
	for _, s := range shares {
		if f.kind = s.kind; roll < s.of {
			break
		}
		roll -= s.of
	}
	return f
}

// key is the client key of a step; a correction goes under the key of what it corrects.
func (f fill) key(step Step) string {
	if f.kind == Keyless || f.kind == Twice {
		return ""
	}
	if step == Correction {
		step = First
	}
	return fmt.Sprintf("witness-%016x-%06d-%s", f.seed, f.n, step)
}

func (f fill) email() string { return fmt.Sprintf("w%d-%x@acme%d.example", f.n, f.seed, f.n) }

// phone is in the form in which the product stores it.
func (f fill) phone(step Step) string {
	area := map[Step]string{First: "90", Correction: "91", Return: "92"}[step]
	return fmt.Sprintf("+4930%s%05d", area, f.n%100_000)
}

// body is what is sent, and its digest.
func (f fill) body(step Step) (text []byte, digest string, err error) {
	fields := map[string]any{
		"name": fmt.Sprintf("Ada Witness %d", f.n), "company": fmt.Sprintf("Acme %d GmbH", f.n), "country": "DE",
		"notes": "We lose leads at night.", "consent": map[string]any{"phone": true, "text_version": "v3"},
	}
	if f.kind != Wrong {
		fields["email"], fields["phone"] = f.email(), f.phone(step)
	}
	// As a field and not as a header: the header would let Go's client repeat a request behind our back.
	if key := f.key(step); key != "" {
		fields["submission_id"] = key
	}
	if text, err = json.Marshal(fields); err != nil {
		return nil, "", fmt.Errorf("write the body: %w", err)
	}
	sum := sha256.Sum256(text)
	return text, hex.EncodeToString(sum[:]), nil
}
