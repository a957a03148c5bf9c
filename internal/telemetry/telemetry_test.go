package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"leadline/internal/telemetry"
)

func TestMetrics_AreServedUnderTheNamesOfTheContract(t *testing.T) {
	m := telemetry.NewMetrics()
	m.Intake("demo", "created", 0.95)
	m.CommitBatch(3)
	m.SubmitToConsole(0.02)
	m.SubmitToCRM("crm", 0.1)
	m.FirstTouch(30)
	m.Notify("slack", 0.4)
	m.Delivery("crm", "delivered")
	m.QueueDepth("dispatch", 2)
	m.OldestPending("crm", 1.5)
	m.Breaker("crm", telemetry.BreakerOpen)
	m.ConsoleConnections(1)
	m.InvariantViolation("two_holders")

	res := httptest.NewRecorder()
	m.Handler().ServeHTTP(res, httptest.NewRequestWithContext(context.Background(), "GET", "/metrics", nil))
	body := res.Body.String()
	for _, want := range []string{
		`leadline_intake_total{form="demo",outcome="created"} 1`,
		`leadline_intake_seconds_bucket{le="0.9"} 0`, `leadline_intake_seconds_bucket{le="1"} 1`,
		`leadline_commit_batch_size_sum 3`, `leadline_submit_to_console_seconds_count 1`,
		`leadline_submit_to_crm_seconds_count{connection="crm"} 1`, `leadline_submit_to_first_touch_seconds_sum 30`,
		`leadline_notify_seconds_count{channel="slack"} 1`, `leadline_delivery_total{destination="crm",outcome="delivered"} 1`,
		`leadline_queue_depth{queue="dispatch"} 2`, `leadline_oldest_pending_seconds{queue="crm"} 1.5`,
		`leadline_crm_breaker{connection="crm"} 2`, `leadline_console_connections 1`,
		`leadline_invariant_violations_total{name="two_holders"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
}

func TestMetrics_NilDoesNothing(t *testing.T) {
	var m *telemetry.Metrics
	m.Intake("demo", "created", 1)
	m.ConsoleConnections(1)
	m.Breaker("crm", 1)
	res := httptest.NewRecorder()
	m.Handler().ServeHTTP(res, httptest.NewRequestWithContext(context.Background(), "GET", "/metrics", nil))
	if res.Code != 404 {
		t.Fatalf("got %d", res.Code)
	}
}

func TestLogger_LetsNoPersonalDataThrough(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	log.Info("lead stored", "lead_id", "0192", "name", "Ada Lovelace", "email", "ada@acme.example", "step_ms", 3,
		"error", errors.New(`refused: "ada@acme.example" at +49 30 901820`), slog.Group("who", "phone", "+4930901820"))
	line := out.String()
	for _, secret := range []string{"Ada", "ada@", "901820"} {
		if strings.Contains(line, secret) {
			t.Errorf("the log shows %q: %s", secret, line)
		}
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	if got["lead_id"] != "0192" || got["step_ms"] != 3.0 || got["level"] != "INFO" || got["msg"] != "lead stored" {
		t.Errorf("got %v", got)
	}
	if strings.Count(line, "\n") != 1 {
		t.Errorf("not one line: %q", line)
	}
}
