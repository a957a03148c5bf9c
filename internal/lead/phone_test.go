package lead

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// The shortcut for numbers in their final form must never decide otherwise than the parser.
func TestFinal_AgreesWithTheParser(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	short := map[int32]int{}
	for range 60_000 {
		code := rng.Int32N(999) + 1
		if rng.IntN(3) > 0 { // mostly calling codes that the shortcut is for
			for known := range plain {
				code = known
				break
			}
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
