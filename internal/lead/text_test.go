package lead

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// textTable is what people and programs send as one line, and what is kept of it.
var textTable = []struct{ what, in, want string }{
	{"plain", "Anna Berg", "Anna Berg"},
	{"spaces of all kinds", " \u3000Anna\u00a0\t\u2003Berg\r\n", "Anna Berg"},
	{"accents apart", "A\u0308nna", "Änna"},
	{"Vietnamese", "Nguye\u0302\u0303n Thi\u0323 Hoa\u0300", "Nguyễn Thị Hoà"},
	{"Turkish", "İpek Işık", "İpek Işık"},
	{"German", "Groß & Söhne", "Groß & Söhne"},
	{"Hebrew with points", "שָׁלוֹם", norm.NFC.String("שָׁלוֹם")},
	{"Arabic", "محمد علي", "محمد علي"},
	{"Thai", "สมชาย ใจดี", "สมชาย ใจดี"},
	{"Persian keeps the non-joiner", "علی\u200cرضا", "علی\u200cرضا"},
	{"Hindi keeps the joiner", "क्\u200dष", "क्\u200dष"},
	{"Malayalam keeps it at the end", "മോഹന്\u200d", "മോഹന്\u200d"},
	{"a joiner in Latin is dropped", "An\u200dna\u200c", "Anna"},
	{"joiners in a row are one", "علی\u200c\u200c\u200dرضا", "علی\u200cرضا"},
	{"a family of emoji", "👩\u200d👩\u200d👧\u200d👦", "👩\u200d👩\u200d👧\u200d👦"},
	{"a heart on fire, in colour", "❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"},
	{"skin tones", "👩🏽\u200d💻", "👩🏽\u200d💻"},
	{"the flag of Scotland", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F!", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F!"},
	{"a text hidden in tags", "hi\U000E0069\U000E0067\U000E006E\U000E006F\U000E0072\U000E0065", "hi"},
	{"a text hidden in selectors", "😀\ufe01\ufe02\ufe03\U000E0101", "😀\ufe01"},
	{"a variant of an ideograph", "辻\U000E0100さん", "辻\U000E0100さん"},
	{"direction turned", "Anna\u202egreB\u202c \u2066x\u2069", "AnnagreB x"},
	{"zero width", "An\u200bna\u2060 Be\u00adrg\ufeff", "Anna Berg"},
	{"controls", "An\x00na\x1b[31m \x7fBerg\u0085", "Anna[31m Berg"},
	{"bytes that are no text", "Caf\xe9 \xff\xfe!", "Caf\ufffd \ufffd!"},
	{"half a surrogate, as JSON gives it", "x\ufffdy", "x\ufffdy"},
	{"no characters", "a\ufdd0\uffffb\U0001ffff", "ab"},
	{"line separators", "a\u2028b\u2029c\vd", "a b c d"},
	{"blanks that are letters", "\u3164\uffa0\u2800\u115f", ""},
	{"accents without end", "Z" + strings.Repeat("\u0335\u0301", 40) + "algo", "Ź" + strings.Repeat("\u0335", 8) + "algo"},
	{"Tibetan stacks", "བསྒྲུབས", norm.NFC.String("བསྒྲུབས")},
	{"full width stays in words", "ＡＢＣ株式会社", "ＡＢＣ株式会社"},
}

func TestLine_KeepsWhatIsSeenAndMeant(t *testing.T) {
	t.Parallel()
	for _, c := range textTable {
		if got := line(c.in); got != c.want {
			t.Errorf("%s: got %+q, want %+q", c.what, got, c.want)
		}
	}
}

func TestBlock_KeepsLines(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\r\nb\rc\u2028d\u2029e\u0085f": "a\nb\nc\nd\ne\nf",
		"  a  \n\n  b \n":                "a\n\n  b",
		"a \x00\nb":                      "a\nb",
		"x  y":                           "x  y",
		"\n\n":                           "",
		"می\u200cخواهم\nنسخه":            "می\u200cخواهم\nنسخه",
	} {
		if got := block(in); got != want {
			t.Errorf("%+q: got %+q, want %+q", in, got, want)
		}
	}
}

func TestCut_NeverPartsACharacter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"ab e\u0301", 3, "ab"},
		{"aé\u0335\u0321x", 3, "a"},
		{"hi👩\u200d👧", 4, "hi"},
		{"hi🇩🇪", 3, "hi"},
		{"a👍🏽", 2, "a"},
		{"ab cd", 3, "ab"},
	} {
		if got := cut(c.in, c.limit); got != c.want {
			t.Errorf("%+q to %d: got %+q, want %+q", c.in, c.limit, got, c.want)
		}
	}
}

// FuzzText holds what all texts promise: to be storable, to stay as they are when cleaned again, and to have every letter that was sent.
func FuzzText(f *testing.F) {
	for _, c := range textTable {
		f.Add(c.in)
	}
	f.Add("a\r\n\u2028b  \n\n c")
	f.Fuzz(func(t *testing.T, s string) {
		for name, clean := range map[string]func(string) string{"line": line, "block": block} {
			got := clean(s)
			if problem := unstorable(got); problem != "" {
				t.Fatalf("%s: %+q becomes %+q: %s", name, s, got, problem)
			}
			if again := clean(got); again != got {
				t.Fatalf("%s: %+q is not stable: %+q", name, got, again)
			}
			if lettersOf(s) != lettersOf(got) {
				t.Fatalf("%s: %+q lost letters: %+q", name, s, got)
			}
			if short := cut(got, 10); !strings.HasPrefix(got, short) || utf8.RuneCountInString(short) > 10 || cut(short, 10) != short {
				t.Fatalf("%+q is cut to %+q", got, short)
			}
		}
	})
}

// unstorable says what is wrong with a text that is to be stored.
func unstorable(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "no UTF-8"
	case !norm.NFC.IsNormalString(s):
		return "not composed"
	case strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }):
		return "controls"
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
		return "marks of direction"
	}
	return ""
}

// lettersOf gives the letters and digits of a text in their simplest parts, without blanks that only count as letters.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if (unicode.IsLetter(r) || unicode.IsNumber(r)) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			return r
		}
		return -1
	}, norm.NFD.String(strings.ToValidUTF8(s, "\ufffd")))
}
