package handlers

import (
	"log/slog"
	"time"

	"leadline/internal/account"
	"leadline/internal/dispatch"
	"leadline/internal/drift"
	"leadline/internal/hold"
	"leadline/internal/intake"
	"leadline/internal/lead"
	"leadline/internal/live"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/simulate"
	"leadline/internal/spam"
	"leadline/internal/telemetry"
)

// Deps is everything that handlers may use; each handler struct takes what it needs.
type Deps struct {
	DB        *postgres.DB
	Intake    *intake.Service
	Dispatch  *dispatch.Service
	Leads     *lead.Store
	Holds     *hold.Store
	Spam      *spam.Guard
	Payloads  *lead.PayloadStore
	Reps      *rep.Store
	Playbook  *playbook.Live
	Accounts  *account.Store
	Hub       *live.Hub
	Backtests *simulate.Backtests
	Drift     *drift.Service // nil: nothing is noted
	Audit     AuditDeps
	Metrics   *telemetry.Metrics
	PublicURL string // scheme and host, without a slash at the end
	Now       func() time.Time
	Log       *slog.Logger
}
