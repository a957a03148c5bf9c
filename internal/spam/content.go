package spam

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"leadline/internal/lead"
)

//go:embed words.txt
var wordList string

// words are phrases of advertising that is sent to forms, in small letters.
var words = sync.OnceValue(func() []string {
	var out []string
	for line := range strings.Lines(wordList) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
})

const (
	mostWords = 3 // phrases that count
	mostLinks = 3 // links that count
	leastSame = 6 // characters of a text that two fields do not share by chance
	leastOdd  = 8 // letters of a word that can look random
	mostRead  = 4096
)

// linkPoints are what links count, by their number.
var linkPoints = [mostLinks + 1]int{0, 5, 10, 45}

// content judges what people wrote. Which script they write in says nothing.
func content(s *score, raw *lead.Raw) {
	name, company, notes := raw.Name.Plain(), raw.Company.Plain(), raw.Notes.Plain()
	texts := []string{name, company, notes, raw.Product}
	for _, answer := range raw.Fields {
		texts = append(texts, answer.Plain())
	}
	links, phrases, markup := 0, 0, false
	for i, text := range texts {
		if text == "" {
			continue
		}
		low := strings.ToLower(text[:min(len(text), mostRead)])
		found := countLinks(low)
		if i < 1 { // a name has no address in it
			found *= mostLinks
		}
		links += found
		markup = markup || hasMarkup(low)
		if phrases < mostWords {
			phrases += countWords(low)
		}
	}
	if links > 0 { // people paste one or two
		s.addPoints(Links, linkPoints[min(links, mostLinks)])
	}
	s.add(SpamWords, min(phrases, mostWords))
	if markup {
		s.add(Markup, 1)
	}
	if same(name, company) || same(name, notes) || same(company, notes) {
		s.add(SameText, 1)
	}
	s.add(Gibberish, count(random(name), random(company)))
}

func count(facts ...bool) (n int) {
	for _, f := range facts {
		if f {
			n++
		}
	}
	return n
}

func countLinks(low string) int {
	n := strings.Count(low, "http://") + strings.Count(low, "https://")
	for _, start := range []string{"www.", "t.me/", "bit.ly/"} {
		if at := strings.Index(low, start); at >= 0 && (at == 0 || low[at-1] != '/') {
			n++
		}
	}
	return n
}

func hasMarkup(low string) bool {
	for _, mark := range []string{"<a ", "<a\t", "[url", "[link", "<script", "<iframe", "<img", "</a>", "href="} {
		if strings.Contains(low, mark) {
			return true
		}
	}
	return false
}

func countWords(low string) (n int) {
	for _, w := range words() {
		if strings.Contains(low, w) {
			n++
		}
	}
	return n
}

func same(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return len(a) >= leastSame && strings.EqualFold(a, b)
}

// random tells whether a text holds a word like wGtKjHqPzXc: case that jumps about inside a word, which no name does, however it is
// spelt. Scripts without case never look random.
func random(text string) bool {
	for word := range strings.FieldsSeq(text) {
		letters, jumps, uppers := 0, 0, 0
		var before rune
		for _, r := range word {
			if !unicode.IsLetter(r) {
				before = 0
				continue
			}
			letters++
			if unicode.IsUpper(r) {
				uppers++
				if before != 0 && unicode.IsLower(before) {
					jumps++
				}
			}
			before = r
		}
		if letters >= leastOdd && jumps >= 3 && uppers > jumps-1 {
			return true
		}
	}
	return false
}
