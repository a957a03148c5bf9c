package outbound_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"leadline/internal/outbound"
)

func TestCheckURL_TakesWebAddressesInTheirCommonSpelling(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"https://crm.example.com/hooks/leads?form=1": true, "http://crm.example.com": true, "https://crm.example.com.:8443/": true,
		"https://10.1.2.3/": true, "https://[fd00::1]/": true, "http://[::ffff:10.0.0.1]/": true, "http://localhost:8081/": true, "http://crm/": true,
		"https://müller.example/": true, "https://xn--mller-kva.example/": true, "https://under_score.example/": true, "https://1password.example/": true,
		"https://crm.0xff.example/": true, "https://crm.example.com/#": true, "HTTPS://CRM.example.com/": true, "https://a.face/": true,
		"": false, "crm.example.com": false, "//crm.example.com/": false, "ftp://crm.example.com/": false, "https:crm.example.com": false,
		"https:///hooks": false, "https://:443/": false, "https://user@crm.example.com/": false, "https://:secret@crm.example.com/": false,
		"https://@crm.example.com/": false, "https://crm.example.com/#leads": false, "http://2130706433/": false, "http://127.1/": false,
		"http://0x7f.0.0.1/": false, "http://0X7F.1/": false, "http://0x/": false, "http://017700000001/": false, "http://127.0.0.1./": false,
		"http://１２７.1/": false, "http://127.0.0.01/": false, "http://1.2.3.4.5/": false, "http://crm.example.123/": false, "http://\u00ad/": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err = outbound.CheckURL(u)
		if (err == nil) != good || err != nil && !errors.Is(err, outbound.ErrURL) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if outbound.CheckURL(nil) == nil {
		t.Error("no URL passed for one")
	}
}

// Paths and queries of webhooks are credentials.
func TestClient_ErrorsDoNotRepeatTheURL(t *testing.T) {
	t.Parallel()
	client := watch(t, outbound.Options{}, inZone)
	for _, text := range []string{
		"https://user:hush@crm.example.com/hush", "http://127.0.0.1/hush?hush", "https://nobody.example/hush?hush", "http://2130706433/hush",
		"https://93.184.215.14/hush",
	} {
		if err := try(t, client.Do, text); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

type closing struct {
	*strings.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestClient_ClosesTheBodyOfARequestItRefuses(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{})
	for _, text := range []string{"ftp://crm.example.com/", "http://127.0.0.1/"} {
		sent := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, text, sent)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was answered", text)
		}
		if !sent.closed {
			t.Errorf("%s: the body stayed open", text)
		}
	}
}
