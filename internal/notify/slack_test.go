package notify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"

	"leadline/internal/outbound"
	"leadline/internal/outbox"
	"leadline/internal/privacy"
)

// A channel that says everything back that it was told must not bring it into an error, which is stored, logged and shown.
func TestSlack_ErrorsQuoteNeitherTokenNorMessage(t *testing.T) {
	t.Parallel()
	const token = privacy.Secret("xoxb-hidden")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": "unknown token " + r.Header.Get("Authorization")})
	}))
	t.Cleanup(server.Close)
	client := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, c := range []outbox.Connection{
		{Kind: "slack", BaseURL: server.URL, Channel: "leads", Token: token},
		{Kind: "slack", BaseURL: server.URL, Channel: "leads", Token: token + "\n"}, // no header can hold it
	} {
		s, err := newSlack(c, client, "https://leads.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Post(t.Context(), Card{LeadID: uuid.New()}); err == nil || strings.Contains(err.Error(), token.Plain()) {
			t.Errorf("%v", err)
		}
	}
}
