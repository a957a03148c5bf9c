package playbook_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"leadline/internal/playbook"
	"leadline/internal/postgres/pgtest"
)

func TestLive_UsesTheKeysThatAreKeysAndSaysWhatIsWrongWithOthers(t *testing.T) {
	t.Parallel()
	key := func(n int, letter string) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, n)))
	}
	env := map[string]string{
		"GOOD": key(24, "g"), "LONG": key(64, "l"), "SHORT": key(23, "s"), "TOO_LONG": key(65, "t"), "BARE": strings.TrimPrefix(key(32, "b"), "whsec_"),
		"GARBLED": "whsec_hidden!" + strings.Repeat("x", 40), "COPY": key(24, "g"),
	}
	var text strings.Builder
	text.WriteString(minimal + "clients:\n")
	for _, name := range []string{"GOOD", "LONG", "SHORT", "TOO_LONG", "BARE", "GARBLED", "COPY", "UNSET"} {
		fmt.Fprintf(&text, "  - {slug: %s, forms: [demo], keys: [\"env:%s\"]}\n", strings.ToLower(name), name)
	}
	text.WriteString("  - {slug: both, forms: [demo], keys: [\"env:BOTH\", \"env:NEITHER\"]}\n")
	env["BOTH"] = key(32, "x")
	db := pgtest.New(t)
	apply(t, db, text.String())
	live := playbook.NewLive(db, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, slog.New(slog.DiscardHandler))
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"good": "", "long": "", "short": "it has 23 bytes", "too_long": "it has 65 bytes", "bare": "it does not begin with whsec_", "garbled": "is not base64",
		"copy": "holds a key of client good too", "unset": "env:UNSET is not set", "both": "env:NEITHER is not set",
	}
	for _, c := range live.Current().ClientsOf("demo") {
		wrong := strings.Join(c.Wrong, "; ")
		if usable := want[c.Slug] == "" || c.Slug == "both"; (len(c.Keys) > 0) != usable || !strings.Contains(wrong, want[c.Slug]) || (wrong == "") != (want[c.Slug] == "") {
			t.Errorf("%s: %d keys, wrong: %q", c.Slug, len(c.Keys), wrong)
		}
		if strings.Contains(wrong, "hidden") || strings.Contains(fmt.Sprintf("%v %+v %#v %x", c, c, c, c.Keys), "gggg") {
			t.Errorf("%s shows what was given", c.Slug)
		}
		delete(want, c.Slug)
	}
	if len(want) > 0 || len(live.Current().ClientsOf("other")) > 0 {
		t.Errorf("not there: %v", want)
	}
}

func TestCheck_KeepsTheNumberOfKeysToTrySmall(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{16: "", 17: `form "demo" has more than 16 clients`} {
		text := minimal + "clients:\n"
		for i := range n {
			text += fmt.Sprintf("  - {slug: c%d, forms: [demo], keys: [\"env:K%d\"]}\n", i, i)
		}
		cfg, problems := playbook.Parse("x", []byte(text))
		if cfg == nil {
			t.Fatal(problems)
		}
		if said := fmt.Sprint(playbook.Check(cfg)); !strings.Contains(said, want) || (want == "") != !strings.Contains(said, "client") {
			t.Errorf("%d clients: %s", n, said)
		}
	}
}
