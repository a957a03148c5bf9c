package views_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leadline/static"
)

func TestAssets_StayWithinTheirBudgets(t *testing.T) {
	for name, most := range map[string]int{"app.css": 12_000, "live.js": 4_000, "console.js": 6_000, "htmx.min.js": 16_000, "idiomorph-ext.min.js": 3_500, "icons.svg": 4_000} {
		a, ok := static.Source(name)
		if !ok {
			t.Errorf("%s is not served", name)
			continue
		}
		if got := len(a.Brotli()); got > most {
			t.Errorf("%s has %d bytes compressed, at most %d are allowed", name, got, most)
		}
	}
}

func TestAssets_HoldEveryIconThatIsUsed(t *testing.T) {
	sprite, _ := static.Source("icons.svg")
	files, _ := filepath.Glob("*.*")
	used := regexp.MustCompile(`Icon: "([a-z0-9-]+)"|Icon\("([a-z0-9-]+)"\)|Chip\("[a-z]+", "([a-z0-9-]+)"|"(?:info|ok|warn|danger|hold|none)", "([a-z0-9-]+)"|\{"[a-z_]+", "[A-Z][a-z ]+", (?:"[a-z, ]+", )?"([a-z0-9-]+)"\}`)
	for _, name := range files {
		if strings.HasSuffix(name, "_templ.go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range used.FindAllStringSubmatch(string(text), -1) {
			icon := strings.Join(match[1:], "")
			if !strings.Contains(string(sprite.Plain), `id="`+icon+`"`) {
				t.Errorf("%s uses the icon %q, which the sprite does not hold", name, icon)
			}
		}
	}
}

func TestViews_HoldNothingInline(t *testing.T) {
	files, _ := filepath.Glob("*.templ")
	inline := regexp.MustCompile(` style=| on[a-z]+=|<style|<script>|hx-on|javascript:`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := inline.FindString(string(text)); found != "" {
			t.Errorf("%s holds %q, which the content security policy blocks", name, found)
		}
	}
}
