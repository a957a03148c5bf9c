package machine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"leadline/internal/machine"
)

// sign gives a request the three headers. The id stays the same when a message is sent again, the time does not.
func sign(header http.Header, key, id string, now time.Time, body []byte) error {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", stamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

// The function above is the one that partners copy.
func TestDocumentation_ItsGoSignsWhatIsTaken(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/machine-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, _ := strings.Cut(string(page), "```go\n")
	snippet, _, _ = strings.Cut(snippet, "```")
	source, err := os.ReadFile("documented_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if snippet == "" || !strings.Contains(string(source), snippet) {
		t.Errorf("the page shows another function:\n%s", snippet)
	}
	key, now, body, header := machine.NewKey(), time.Unix(1_800_000_000, 0), []byte(`{"email":"ann@acme.example"}`), http.Header{}
	if err := sign(header, key.Plain(), "msg_1", now, body); err != nil {
		t.Fatal(err)
	}
	parsed, err := machine.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m := machine.Message{
		IDs: header.Values(machine.HeaderID), Timestamps: header.Values(machine.HeaderTimestamp), Signatures: header.Values(machine.HeaderSignature), Body: body,
	}
	if c, id, ok := m.Identify([]machine.Client{{Slug: "partner", Keys: []machine.Key{parsed}}}, now); !ok || c.Slug != "partner" || id != "msg_1" {
		t.Errorf("%v %q %v", c, id, ok)
	}
}
