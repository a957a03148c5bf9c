package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leadline/internal/postgres/pgtest"
)

// terminal runs commands against one database, as an operator would.
type terminal struct {
	t       *testing.T
	environ []string
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	return &terminal{t: t, environ: []string{"DATABASE_URL=" + pgtest.NewDSN(t), "LEADLINE_DATA_DIR=" + t.TempDir()}}
}

func (o *terminal) run(stdin string, args ...string) (code int, out, problems string) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(o.t.Context(), args, o.environ, strings.NewReader(stdin), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

const secretPlaybook = `version: 1
forms: [{slug: demo}]
reps: [{email: mia@example.com, name: Mia}]
pools: [{slug: p, members: [{rep: mia@example.com}]}]
rules: [{name: all, band: default, then: {pool: p}}]
connections: [{slug: crm, kind: webhook, base_url: "https://crm.example.com/", secret: "secret:crm"}]
`

func TestSecretCommands_StoreListAndRemoveWithoutShowingAnything(t *testing.T) {
	t.Parallel()
	const value = "whsec_aGlkZGVu"
	o := newTerminal(t)
	var said strings.Builder
	check := func(stdin string, want int, expected string, args ...string) {
		t.Helper()
		code, out, problems := o.run(stdin, args...)
		said.WriteString(out + problems)
		if code != want || !strings.Contains(out+problems, expected) {
			t.Errorf("leadline %s: %d\n%s%s", strings.Join(args, " "), code, out, problems)
		}
	}
	check(secretPlaybook, 0, "secret:crm is not set, and leads for its connection wait; run: leadline secret set crm", "apply", "-")
	check("", 0, "secret:crm is not set", "secret", "list")
	check(value+"\n", 0, "secret:crm", "secret", "set", "crm")
	check("x", 0, "secret:other", "secret", "set", "other")
	check("", 0, "crm      ", "secret", "list")
	check("", 1, "the live configuration uses secret:crm", "secret", "remove", "crm")
	check("", 0, "Removed", "secret", "remove", "other")
	check("", 1, "no secret called other", "secret", "remove", "other")
	check("", 0, "secrets sealed anew: 1", "secret", "rotate")
	check("", 0, "Removed", "secret", "remove", "crm", "--force")

	check("\n", 1, "no value", "secret", "set", "crm")
	check(strings.Repeat("x", 8<<10+1), 1, "longer than 8192 bytes", "secret", "set", "crm")
	check(strings.Repeat("x", 8<<10)+"\r\n", 0, "Stored", "secret", "set", "crm")
	check("", 2, "one name", "secret", "set", "crm", value)
	check("", 2, "a name has", "secret", "set", value+"=")
	check("", 2, "do not go together", "secret", "rotate", "--master", "--lost", "0123456789abcdef")
	check("", 0, "secret:crm", "export")
	if strings.Contains(said.String(), value) {
		t.Errorf("the value was shown: %s", said.String())
	}
}

func TestSecretCommands_MakeAKeyForAMachineClientAndRefuseWhatIsNone(t *testing.T) {
	t.Parallel()
	o := newTerminal(t)
	text := strings.Replace(secretPlaybook, "connections:", "clients: [{slug: partner, forms: [demo], keys: [\"secret:partner\"]}]\nconnections:", 1)
	if code, out, problems := o.run(text, "apply", "-"); code != 0 || !strings.Contains(problems, "its client cannot sign with it; run: leadline secret generate partner") {
		t.Fatalf("%d %s%s", code, out, problems)
	}
	if code, _, problems := o.run("hunter2-is-no-key", "secret", "set", "partner"); code != 1 || !strings.Contains(problems, "this is no key: it does not begin with whsec_") || strings.Contains(problems, "hunter2") {
		t.Errorf("%d %s", code, problems)
	}
	code, key, problems := o.run("", "secret", "generate", "partner")
	if code != 0 || !regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{43}=\n$`).MatchString(key) || strings.Contains(problems, "whsec_") {
		t.Errorf("%d %q %s", code, key, problems)
	}
	if code, out, problems := o.run("", "secret", "generate", "partner"); code != 1 || out != "" || !strings.Contains(problems, "--force") {
		t.Errorf("over a key that is there: %d %s%s", code, out, problems)
	}
	if code, again, _ := o.run("", "secret", "generate", "partner", "--force"); code != 0 || again == key {
		t.Errorf("%d %q after %q", code, again, key)
	}
	if code, _, problems := o.run(key, "secret", "set", "partner"); code != 0 {
		t.Errorf("a key of somebody else's making: %s", problems)
	}
	if _, out, problems := o.run("", "secret", "list"); !strings.Contains(out, "partner ") || strings.Contains(problems, "partner") {
		t.Errorf("%s%s", out, problems)
	}
	if code, _, _ := o.run("", "secret", "remove", "partner"); code != 1 {
		t.Errorf("removed while it is used: %d", code)
	}
}

func TestSecretRotate_MovesFromTheDerivedKeyToOneInAFile(t *testing.T) {
	t.Parallel()
	o := newTerminal(t)
	if code, _, problems := o.run("value", "secret", "set", "crm"); code != 0 {
		t.Fatal(problems)
	}
	file := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := o.environ
	o.environ = append(o.environ, "LEADLINE_KEK=file:"+file)
	if code, out, problems := o.run("", "secret", "rotate", "--master"); code != 0 || !strings.Contains(out, "new key-encryption key: 1") {
		t.Fatalf("%d %s%s", code, out, problems)
	}
	if code, out, problems := o.run("", "secret", "rotate", "--master"); code != 0 || !strings.Contains(out, "Nothing to do") {
		t.Errorf("again: %d %s%s", code, out, problems)
	}
	if code, _, problems := o.run("", "secret", "rotate", "--lost", "0123456789abcdef"); code != 1 || !strings.Contains(problems, "No data key is under") {
		t.Errorf("giving up what is not lost: %d %s", code, problems)
	}
	o.environ = plain // somebody forgets the setting
	code, _, problems := o.run("value", "secret", "set", "other")
	named := regexp.MustCompile(`[0-9a-f]{16}`).FindString(problems) // the key that is needed
	if code != 1 || !strings.Contains(problems, "LEADLINE_KEK") || named == "" {
		t.Errorf("without the key: %d %s", code, problems)
	}
	if code, out, problems := o.run("", "secret", "rotate", "--lost", named); code != 0 || !strings.Contains(problems, "leadline secret set crm") {
		t.Errorf("giving up: %d %s%s", code, out, problems)
	}
	if code, _, problems := o.run("value", "secret", "set", "crm"); code != 0 {
		t.Errorf("setting it again: %s", problems)
	}
}
