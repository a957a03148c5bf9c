package outbound_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"leadline/internal/outbound"
)

func TestClient_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	for _, location := range []string{
		"/elsewhere", "//127.0.0.1:PORT/", "http://127.0.0.1:PORT/", "http://127.0.0.2:PORT/", "http://[::1]:PORT/", "http://localhost:PORT/",
		"https://127.0.0.1:PORT/", "http://169.254.169.254/latest/meta-data/", "http://2130706433:PORT/", "http://[::ffff:127.0.0.1]:PORT/",
		"http://crm.example.com@127.0.0.1:PORT/", "file:///etc/passwd", "gopher://127.0.0.1:PORT/", ":// nonsense %zz", "",
	} {
		location = strings.ReplaceAll(location, "PORT", near.port)
		for _, code := range []int{300, 301, 302, 303, 305, 307, 308} {
			got, err := answer(t, t.Context(), outbound.Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.Header().Set("Refresh", "0; url="+location)
				w.Header().Set("Alt-Svc", `h2="127.0.0.1:`+near.port+`"`)
				w.WriteHeader(code)
			})
			if err != nil || got.code != code || got.header.Get("Location") != location {
				t.Fatalf("%d to %q: %v %v; it must come back as it is", code, location, got, err)
			}
		}
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived where the redirects led", n)
	}
}

// A proxy announced in the environment would do the resolving and dialling. Go reads the environment once in a process, so a
// test cannot announce one; it can only look.
func TestClient_UsesNoProxy(t *testing.T) {
	t.Parallel()
	if outbound.New(outbound.Options{}).Proxied() {
		t.Error("the client would use a proxy")
	}
}

func TestClient_SendsNoMoreThanItWasGiven(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Cookie", "Referer", "Authorization"} {
			if got := r.Header.Get(name); got != "" {
				t.Errorf("%s: %s", name, got)
			}
		}
		http.SetCookie(w, &http.Cookie{Name: "id", Value: "1"})
	}))
	defer server.Close()
	client := outbound.New(outbound.Options{Allow: here})
	defer client.CloseIdle()
	for range 2 {
		if err := try(t, client.Do, server.URL); err != nil {
			t.Error(err)
		}
	}
}
