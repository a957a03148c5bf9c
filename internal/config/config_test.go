package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"leadline/internal/config"
)

func TestLoad_NamesEveryBadSettingAtOnce(t *testing.T) {
	_, err := config.Load([]string{
		"LEADLINE_ADDR=nonsense", "LEADLINE_SECRET=short", "LEADLINE_COLOUR=red", "LEADLINE_REGION=eu-1", "PATH=/bin",
	}, map[string]string{"log-level": "loud"}, "/data")
	if err == nil {
		t.Fatal("bad settings were accepted")
	}
	for _, name := range []string{"LEADLINE_ADDR", "LEADLINE_SECRET", "LEADLINE_COLOUR", "LEADLINE_REGION", "LEADLINE_LOG_LEVEL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error does not name %s: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "PATH") {
		t.Errorf("error names a variable that is not ours: %v", err)
	}
}

func TestLoad_FlagsHaveTheSettingsNameAndWin(t *testing.T) {
	for _, flag := range []string{"addr", "leadline-addr", "leadline_addr"} {
		if !config.IsFlag(flag) {
			t.Fatalf("--%s is not known", flag)
		}
		c, err := config.Load([]string{"LEADLINE_ADDR=127.0.0.1:1"}, map[string]string{flag: "127.0.0.1:2"}, "/data")
		if err != nil || c.Addr != "127.0.0.1:2" || c.PublicURL.String() != "http://127.0.0.1:2" {
			t.Errorf("--%s: %s %s, %v", flag, c.Addr, c.PublicURL, err)
		}
	}
}

func TestLoad_ProductionNeedsHTTPSAndASecret(t *testing.T) {
	_, err := config.Load([]string{"LEADLINE_ENV=production"}, nil, "/data")
	if err == nil || !strings.Contains(err.Error(), "LEADLINE_PUBLIC_URL") || !strings.Contains(err.Error(), "LEADLINE_SECRET") {
		t.Errorf("production started without https and secret: %v", err)
	}
}

func TestLoad_KeysComeFromTheSettingAFileOrACommand(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	c, err := config.Load([]string{"LEADLINE_KEK=command:/usr/bin/kek --of  leadline", "LEADLINE_KEK_PREVIOUS=file:/etc//kek"}, nil, "/data")
	if err != nil || !slices.Equal(c.KEK.Command, []string{"/usr/bin/kek", "--of", "leadline"}) || c.KEKPrevious.File != "/etc/kek" {
		t.Errorf("%q %q, %v", c.KEK.Command, c.KEKPrevious.File, err)
	}
	c, err = config.Load([]string{"LEADLINE_KEK=" + key}, nil, "/data")
	if err != nil || len(c.KEK.Key) != 32 || c.KEKPrevious.Given() {
		t.Errorf("in the setting: %v", err)
	}
	for _, bad := range []string{key[:20], "file:kek", "file:", "command:", "command:kek --of leadline", "https://example.com/" + key, "not base64 at all"} {
		_, err := config.Load([]string{"LEADLINE_KEK=" + bad}, nil, "/data")
		if err == nil || !strings.Contains(err.Error(), "LEADLINE_KEK: ") {
			t.Errorf("%q: %v", bad, err)
		} else if strings.Contains(err.Error(), key[:20]) || strings.Contains(err.Error(), "not base64 at all") {
			t.Errorf("the error repeats what was given: %v", err)
		}
	}
}

func TestLoad_SaysWhereTheOutsideRecordsGo(t *testing.T) {
	c, err := config.Load(nil, nil, "/data")
	if err != nil || !slices.Equal(c.AuditAnchor, []string{"file:/data/audit-anchor.jsonl"}) || c.ErasureList != "/data/erasures.jsonl" {
		t.Errorf("by default: %q %q, %v", c.AuditAnchor, c.ErasureList, err)
	}
	c, err = config.Load([]string{
		"LEADLINE_AUDIT_ANCHOR=file:/mnt/anchor.jsonl, https://example.com/heads", "LEADLINE_ERASURE_LIST=/mnt/erased.jsonl",
	}, nil, "/data")
	if err != nil || !slices.Equal(c.AuditAnchor, []string{"file:/mnt/anchor.jsonl", "https://example.com/heads"}) || c.ErasureList != "/mnt/erased.jsonl" {
		t.Errorf("as given: %q %q, %v", c.AuditAnchor, c.ErasureList, err)
	}
	for _, bad := range []string{"file:anchor.jsonl", "/mnt/anchor.jsonl", "https://me:hunter2@example.com/", "ftp://example.com", ","} {
		_, err := config.Load([]string{"LEADLINE_AUDIT_ANCHOR=" + bad}, nil, "/data")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLoad_TLSHasOneSourceOfCertificatesAndAnHTTPSAddress(t *testing.T) {
	for _, c := range []struct {
		settings string
		bad      string // names of the settings that are complained about; empty: none
		public   string
	}{
		{"TLS_ADDR=:443 TLS_CERT=/c.pem TLS_KEY=/k.pem PUBLIC_URL=https://leads.example.com", "", "https://leads.example.com"},
		{"TLS_ADDR=:443 TLS_CERT=/c.pem TLS_KEY=/k.pem", "", "https://127.0.0.1"},
		{"TLS_ADDR=[::1]:8443 TLS_CERT=/c.pem TLS_KEY=/k.pem", "", "https://[::1]:8443"},
		{"TLS_ADDR=:443 TLS_DOMAINS=Leads.example.com,www.example.com", "", "https://leads.example.com"},
		{"TLS_ADDR=:8443 TLS_DOMAINS=leads.example.com PUBLIC_URL=https://leads.example.com", "", "https://leads.example.com"},
		{"TLS_ADDR=:443 TLS_DOMAINS=leads.example.com TLS_ACME_URL=https://ca.example.com/directory", "", "https://leads.example.com"},
		{"TLS_ADDR=:443", "TLS_ADDR", ""},
		{"TLS_CERT=/c.pem TLS_KEY=/k.pem", "TLS_ADDR", ""},
		{"TLS_DOMAINS=leads.example.com", "TLS_ADDR", ""},
		{"TLS_ADDR=:443 TLS_CERT=/c.pem", "TLS_KEY", ""},
		{"TLS_ADDR=:443 TLS_KEY=/k.pem", "TLS_CERT", ""},
		{"TLS_ADDR=:443 TLS_CERT=/c.pem TLS_KEY=/k.pem TLS_DOMAINS=leads.example.com", "TLS_DOMAINS", ""},
		{"TLS_ADDR=:443 TLS_CERT=/c.pem TLS_KEY=/k.pem TLS_ACME_URL=https://ca.example.com/directory", "TLS_ACME_URL", ""},
		{"TLS_ADDR=:443 TLS_CERT=/c.pem TLS_KEY=/k.pem PUBLIC_URL=http://leads.example.com", "PUBLIC_URL", ""},
		{"TLS_ADDR=:443 TLS_DOMAINS=leads.example.com PUBLIC_URL=https://other.example.com", "TLS_DOMAINS", ""},
		{"TLS_ADDR=127.0.0.1:8080 TLS_DOMAINS=leads.example.com", "TLS_ADDR", ""},
		{"TLS_ADDR=443 TLS_DOMAINS=*.example.com TLS_ACME_URL=ftp://x", "TLS_ACME_URL TLS_ADDR TLS_DOMAINS", ""},
		{"TLS_ADDR=:443 TLS_DOMAINS=192.0.2.1", "TLS_DOMAINS", ""},
		{"CONNECTIONS=0 CONNECTIONS_PER_ADDRESS=many", "CONNECTIONS CONNECTIONS_PER_ADDRESS", ""},
	} {
		var environ, want []string
		for setting := range strings.FieldsSeq(c.settings) {
			environ = append(environ, "LEADLINE_"+setting)
		}
		for name := range strings.FieldsSeq(c.bad) {
			want = append(want, "LEADLINE_"+name+":")
		}
		got, err := config.Load(environ, nil, "/data")
		if len(want) == 0 {
			if err != nil || got.PublicURL.String() != c.public {
				t.Errorf("%s: %v, %v", c.settings, got.PublicURL, err)
			}
			continue
		}
		for _, name := range want {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v does not name %s", c.settings, err, name)
			}
		}
	}
}

func TestConfig_DoesNotPrintWhatIsSecret(t *testing.T) {
	raw := strings.Repeat("s", 32)
	key := base64.StdEncoding.EncodeToString([]byte(raw))
	c, err := config.Load([]string{
		"DATABASE_URL=postgres://me:hunter2@db/leads", "LEADLINE_SECRET=" + key, "LEADLINE_KEK=" + key, "LEADLINE_KEK_PREVIOUS=command:/bin/kek --pin hunter2",
	}, nil, "/data")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+verb+"\n", c, &c, c.Secret, c.KEK, &c.KEKPrevious)
		fmt.Fprintf(&out, verb, map[string]any{"config": c, "key": c.Secret, "kek": c.KEK.Key})
	}
	text, err := json.Marshal([]any{c, c.Secret, c.KEK, c.KEKPrevious})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("x", "config", c, "secret", c.Secret, "kek", c.KEK, "previous", c.KEKPrevious)
	}
	for _, hidden := range []string{"hunter2", key, raw, hex.EncodeToString([]byte(raw)), "115 115"} {
		if strings.Contains(out.String(), hidden) {
			t.Errorf("%q came out in %s", hidden, out.String())
		}
	}
}
