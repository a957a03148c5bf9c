package drift_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"leadline/internal/drift"
)

func TestMask_ShowsTheShapeAndNothingElse(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                          "",
		"99-999":                    "99-999",
		"51-200":                    "99-999",
		"anna@acme.example":         "xxxxx@xxxxx.xxxxxxxx",
		"Anna Kovács":               "xxxxx xxxxx",
		"+49 30 901820":             "+99 99 99999",
		"xl":                        "xx",
		"漢字":                        "xx",
		"a\x00b\u202ec\U0001F600":   "x?x?x?",
		"!!!!!!!!!!":                "!!!",
		"line\nbreak\r\nand\ttab":   "xxxxx xxxxx  xxx xxx",
		"\xff\xfe":                  "??",
		strings.Repeat("1a-", 1000): strings.Repeat("9x-", 16) + "…",
	} {
		if got := drift.Mask(value); got != want {
			t.Errorf("mask(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestMask_OfAnythingHoldsNoLetterOrDigitOfIt(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	for range 20_000 {
		value := make([]byte, random.IntN(400))
		for i := range value {
			value[i] = byte(random.IntN(256))
		}
		if random.IntN(2) == 0 { // text rather than bytes
			runes := make([]rune, random.IntN(100))
			for i := range runes {
				runes[i] = rune(random.IntN(0x30000))
			}
			value = []byte(string(runes))
		}
		for _, got := range []string{drift.Mask(string(value)), drift.FieldName("=" + string(value))} {
			if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 49 {
				t.Fatalf("%q became %q", value, got)
			}
			for _, r := range got {
				if unicode.IsControl(r) || (unicode.IsLetter(r) && r != 'x') || (unicode.IsNumber(r) && r != '9') {
					t.Fatalf("%q became %q", value, got)
				}
			}
		}
	}
}

func TestFieldName_KeepsWhatAProgrammerWouldWrite(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"budget": "budget", "fields.team_size": "fields.team_size", "items[0].price": "items[0].price", "utm-term2": "utm-term2", "_gotcha": "_gotcha",
		"anna@acme.example": "xxxxx@xxxxx.xxxxxxxx", "Anna Kovacs": "xxxxx xxxxx", "4930901820": "99999999", "tel4930901820": "xxx99999999", "": "?",
		"</script>": "</xxxxx>", strings.Repeat("a", 41): "xxxxxxxx",
	} {
		if got := drift.FieldName(name); got != want {
			t.Errorf("fieldName(%q) = %q, want %q", name, got, want)
		}
	}
}
