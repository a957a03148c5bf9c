package lead

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// Whatever parsing may take from the front of a number of these calling codes begins with 0, which the shortcut leaves to the parser. The
// tables of the library change: this notices.
func TestPlain_CodesLoseNothingToParsing(t *testing.T) {
	t.Parallel()
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]bool{}
	for _, region := range all.GetMetadata() {
		if !plain[region.GetCountryCode()] {
			continue
		}
		seen[region.GetCountryCode()] = true
		for _, prefix := range strings.Split(region.GetNationalPrefixForParsing(), "|") {
			if first := strings.TrimLeft(prefix, "(?:"); first != "" && first[0] != '0' {
				t.Errorf("+%d (%s): parsing may take %s away", region.GetCountryCode(), region.GetId(), prefix)
			}
		}
	}
	if len(seen) != len(plain) {
		t.Errorf("%d of %d calling codes are known", len(seen), len(plain))
	}
}

// The shortcut for numbers in their final form must never decide otherwise than the parser.
func TestFinal_AgreesWithTheParser(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	short := map[int32]int{}
	known := slices.Sorted(maps.Keys(plain))
	for range 60_000 {
		code := rng.Int32N(999) + 1
		if rng.IntN(3) > 0 { // mostly calling codes that the shortcut is for
			code = known[rng.IntN(len(known))]
		}
		s := fmt.Sprintf("+%d%0*d", code, 4+rng.IntN(9), rng.Int64N(1_000_000_000_000))
		if !final(s) {
			continue
		}
		short[code]++
		n, err := phonenumbers.Parse(s, "")
		if err != nil || possible(n) != nil {
			t.Fatalf("%s: the parser refuses it: %v", s, err)
		}
		if got, wrong := stable(n, s); wrong != nil || got != s {
			t.Fatalf("%s: the parser makes %s of it", s, got)
		}
	}
	if len(short) < len(plain)-2 {
		t.Errorf("only %d of %d calling codes took the shortcut", len(short), len(plain))
	}
	for _, s := range []string{"", "+", "+49", "+4930a01820", "+049301234", "49301234567", "+49 30 901820", "+4903090182", "+1", "++4930901820", "+491234567890123456", "+\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if final(s) {
			t.Errorf("%q took the shortcut", s)
		}
	}
}
