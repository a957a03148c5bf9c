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
		if phonenumbers.GetRegionCodeForCountryCode(int(region.GetCountryCode())) != region.GetId() {
			continue // a number from abroad is read by the rules of its calling code's main region
		}
		for _, prefix := range strings.Split(region.GetNationalPrefixForParsing(), "|") {
			first := strings.TrimLeft(prefix, "(?:")
			if first != "" && first[0] != '0' && (region.GetCountryCode() != 1 || first[0] != '1') &&
				(region.GetCountryCode() != 44 || !strings.HasPrefix(first, "1800")) {
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
		if !phonenumbers.IsValidNumber(n) {
			continue // readers of what people wrote look for a real number in it
		}
		grouped := group(rng, s)
		if got := spaceless(grouped); got != s {
			t.Fatalf("%q lost its groups and is %q", grouped, got)
		}
		if got, extension, wrong := parseWritten(grouped, origin{stated: "DE"}); wrong != nil || got != s || extension != "" {
			t.Fatalf("%q: the careful way makes %q %q %v of it", grouped, got, extension, wrong)
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

// group writes a number in groups, as people do.
func group(rng *rand.Rand, s string) string {
	out := []byte{s[0], s[1]}
	for i := 2; i < len(s); i++ {
		if last := out[len(out)-1]; rng.IntN(3) == 0 && last >= '0' && last <= '9' {
			out = append(out, " -."[rng.IntN(3)])
		}
		out = append(out, s[i])
	}
	return string(out)
}

// phoneTable is how people write their numbers, where they are, and what they mean.
var phoneTable = []struct{ in, country, locale, zone, want, extension string }{
	{"030 901820", "DE", "", "", "+4930901820", ""},
	{"+49 (0) 30 901820", "", "", "", "+4930901820", ""},
	{"+49(0)30-90 18 20", "US", "", "", "+4930901820", ""},
	{"49 (0) 30 901820", "", "", "", "+4930901820", ""},
	{"0049 30 901820", "", "", "", "+4930901820", ""},
	{"0049 (0)30 901820", "US", "", "", "+4930901820", ""},
	{"+0049 30 901820", "", "", "", "+4930901820", ""},
	{"++49 30 901820", "", "", "", "+4930901820", ""},
	{"011 49 30 901820", "US", "", "", "+4930901820", ""},
	{"0011 49 30 901820", "AU", "", "", "+4930901820", ""},
	{"+39 (0)6 69812345", "", "", "", "+390669812345", ""},
	{"+34 (0) 912 345 678", "", "", "", "+34912345678", ""},
	{"06 12 34 56 78", "FR", "", "", "+33612345678", ""},
	{"06 12 34 56 78", "", "en-US", "Europe/Paris", "+33612345678", ""},
	{"0664 1234567", "", "de", "Europe/Vienna", "+436641234567", ""},
	{"(415) 555-2671", "", "en-US", "Europe/Berlin", "+14155552671", ""},
	{"098765 43210", "", "", "Asia/Calcutta", "+919876543210", ""},
	{"(415) 555-2671 ext. 23", "US", "", "", "+14155552671", "23"},
	{"415-555-2671 x 23", "US", "", "", "+14155552671", "23"},
	{"415-555-2671 #23", "US", "", "", "+14155552671", "23"},
	{"415-555-2671,,23", "US", "", "", "+14155552671", "23"},
	{"030 901820 Durchwahl 17", "DE", "", "", "+4930901820", "17"},
	{"01 42 68 53 00 poste 12", "FR", "", "", "+33142685300", "12"},
	{"+7 495 123-45-67 доб. 89", "", "", "", "+74951234567", "89"},
	{"03-1234-5678（内線12）", "JP", "", "", "+81312345678", "12"},
	{"tel:+1-415-555-2671;ext=23", "", "", "", "+14155552671", "23"},
	{"1-800-FLOWERS", "US", "", "", "+18003569377", ""},
	{"1-800-Go-FedEx", "", "en-US", "", "+18004633339", ""},
	{"Tel.: 030 901820 (Büro)", "DE", "", "", "+4930901820", ""},
	{"030 901820 office", "DE", "", "", "+4930901820", ""},
	{"٠٣٠٩٠١٨٢٠", "DE", "", "", "+4930901820", ""},
	{"+۹۸ ۲۱ ۱۲۳۴ ۵۶۷۸", "", "", "", "+982112345678", ""},
	{"＋４９　３０　９０１８２０", "", "", "", "+4930901820", ""},
	{"+49–30—901‑820", "", "", "", "+4930901820", ""},
	{"+49\u00a030\u2007901820\u200b", "", "", "", "+4930901820", ""},
	{"\u202a+49 30 901820\u202c", "", "", "", "+4930901820", ""},
	{"030/901820", "DE", "", "", "+4930901820", ""},
	{"030.90.18.20", "DE", "", "", "+4930901820", ""},
	{"+54 9 11 2345-6789", "", "", "", "+5491123456789", ""},
	{"+52 1 55 1234 5678", "", "", "", "+525512345678", ""},
	{"+4930901820", "FR", "", "", "+4930901820", ""},
}

func TestParsePhone_ReadsNumbersInAnyUsualWriting(t *testing.T) {
	t.Parallel()
	for _, c := range phoneTable {
		got, extension, wrong := parsePhone(line(c.in), dialledFrom(c.country, c.locale, c.zone))
		if got != c.want || extension != c.extension {
			t.Errorf("%q (%s %s %s): got %q %q %+v, want %q %q", c.in, c.country, c.locale, c.zone, got, extension, wrong, c.want, c.extension)
		}
	}
	for _, c := range []struct{ in, country, locale, zone, code string }{
		{"call me", "DE", "", "", "format"},
		{"030 901820 after 5 pm", "DE", "", "", "several"},
		{"030 901820 / 0171 1234567, 0172 1234567", "DE", "", "", "several"},
		{"030 901820", "", "", "", "country_code"},
		{"030 901820", "", "en-US", "", "country_code"}, // no number of the United States: asked, not guessed
		{"12", "DE", "", "", "too_short"},
		{"+999 123456", "", "", "", "country_code"},
		{"+49 30 9018 2090 1820 9018 20", "", "", "", "too_long"},
	} {
		got, _, wrong := parsePhone(line(c.in), dialledFrom(c.country, c.locale, c.zone))
		if wrong == nil || wrong.Code != c.code {
			t.Errorf("%q (%s %s): got %q %+v, want %s", c.in, c.country, c.locale, got, wrong, c.code)
		}
	}
}
