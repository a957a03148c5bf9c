package drift

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much of what strangers send is looked at and kept.
const (
	maxName  = 40 // bytes of a field's name
	maxLook  = 256
	maxShape = 48 // characters of a sample
)

// mask gives the shape of a value: letters become x, digits 9, signs of ASCII stay, everything else becomes ?. How long a word or a
// number is shows roughly only. Nobody can read a person out of it, and a programmer sees what is wrong with it.
func mask(value string) string {
	var b strings.Builder
	var last rune
	run, shown := 0, 0
	end := func() {
		for range length(last, run) {
			if shown < maxShape {
				b.WriteRune(last)
				shown++
			}
		}
	}
	cut := len(value) > maxLook
	for _, r := range value[:min(len(value), maxLook)] {
		if r = shapeOf(r); r != last {
			end()
			last, run = r, 0
		}
		run++
	}
	end()
	if cut || shown == maxShape {
		b.WriteRune('…')
	}
	return b.String()
}

func shapeOf(r rune) rune {
	switch {
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return 'x'
	case unicode.IsNumber(r):
		return '9'
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	case r > ' ' && r < 0x7f || r == ' ':
		return r
	}
	return '?'
}

// length is how many of a run are shown: short ones as they are, longer ones by class, signs at most three.
func length(r rune, run int) int {
	if r != 'x' && r != '9' {
		return min(run, 3)
	}
	switch {
	case run <= 3:
		return run
	case run <= 6:
		return 5
	default:
		return 8
	}
}

// fieldName gives the name of a field as it may be shown. Names come from strangers: what does not look like a name that a programmer
// would give, such as an address or a number, is shown as a shape.
func fieldName(name string) string {
	if looksLikeName(name) {
		return name
	}
	if shape := mask(name); shape != "" {
		return shape
	}
	return "?"
}

func looksLikeName(name string) bool {
	if name == "" || len(name) > maxName || !isLetter(name[0]) && name[0] != '_' {
		return false
	}
	digits := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= '0' && c <= '9':
			if digits++; digits > 4 { // a number of somebody rather than of a field
				return false
			}
		case isLetter(c) || strings.IndexByte("_-.[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// mediaTypes are what forms are sent as by mistake. Others are shown as a shape: a header is a stranger's words too.
var mediaTypes = []string{"text/plain", "text/html", "text/csv", "text/xml", "application/xml", "application/octet-stream", "application/graphql", "application/ld+json"}

func mediaType(kind string) string {
	if slices.Contains(mediaTypes, kind) {
		return kind
	}
	if !utf8.ValidString(kind) {
		return "?"
	}
	return mask(kind)
}
