package config_test

import (
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
			t.Errorf("--%s: %+v, %v", flag, c, err)
		}
	}
}

func TestLoad_ProductionNeedsHTTPSAndASecret(t *testing.T) {
	_, err := config.Load([]string{"LEADLINE_ENV=production"}, nil, "/data")
	if err == nil || !strings.Contains(err.Error(), "LEADLINE_PUBLIC_URL") || !strings.Contains(err.Error(), "LEADLINE_SECRET") {
		t.Errorf("production started without https and secret: %v", err)
	}
}
