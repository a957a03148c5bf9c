package privacy_test

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"leadline/internal/privacy"
)

func TestTextAndSecret_NeverPrintThemselves(t *testing.T) {
	t.Parallel()
	type person struct {
		Name  privacy.Text
		Key   privacy.Secret
		Words map[string]privacy.Text
	}
	p := person{"Anna Kovacs", "xoxb-12345", map[string]privacy.Text{"team": "Anna Kovacs"}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+" "+verb, p.Name, p.Key)
		fmt.Fprintf(&out, verb, p)
		fmt.Fprintf(&out, verb, &p)
	}
	out.WriteString(fmt.Errorf("refused %s %w", p.Name, fmt.Errorf("key %v", p.Key)).Error())
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "name", p.Name, "key", p.Key, "all", p)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "name", p.Name, "key", p.Key, "all", p)
	out.Write(log.Bytes())
	for _, value := range []string{"Anna", "Kovacs", "xoxb", "416e6e61", "786f7862"} {
		if strings.Contains(out.String(), value) {
			t.Errorf("%s came out in %s", value, out.String())
		}
	}
	for _, v := range []driver.Valuer{p.Name, p.Key} {
		if _, err := v.Value(); err == nil {
			t.Error("became a database parameter")
		}
	}
	if p.Name.Plain() != "Anna Kovacs" || p.Key.Plain() != "xoxb-12345" {
		t.Error("Plain does not give the value")
	}
}
