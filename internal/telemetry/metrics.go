// Package telemetry provides the numbers and the log of a running Leadline: metrics under the names of the public contract,
// and a log handler that lets no personal data through. It imports nothing of ours; every package may use it.
package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// secondsBuckets are fine where promises are made: an answer within milliseconds, a lead on the console within 0.9 and 1 s.
var secondsBuckets = []float64{.0005, .001, .002, .003, .005, .01, .02, .05, .1, .2, .3, .5, .7, .8, .9, 1, 1.1, 1.25, 1.5, 2, 5, 10, 30}

// touchBuckets cover what people need: seconds to hours.
var touchBuckets = []float64{.5, .9, 1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400}

// Metrics holds every number that Leadline publishes. Its methods may be called by any number of goroutines; on a nil *Metrics
// they do nothing, so that a test or a command needs none. Durations are in seconds.
type Metrics struct {
	registry *prometheus.Registry

	intakeTotal     *prometheus.CounterVec
	intakeSeconds   prometheus.Histogram
	signature       *prometheus.CounterVec
	commitBatch     prometheus.Histogram
	submitToConsole prometheus.Histogram
	submitToCRM     *prometheus.HistogramVec
	firstTouch      prometheus.Histogram
	humanDelay      *prometheus.HistogramVec
	clockSteps      *prometheus.CounterVec
	notify          *prometheus.HistogramVec
	delivery        *prometheus.CounterVec
	queueDepth      *prometheus.GaugeVec
	oldestPending   *prometheus.GaugeVec
	breaker         *prometheus.GaugeVec
	consoles        prometheus.Gauge
	violations      *prometheus.CounterVec
	alarms          *prometheus.GaugeVec
	conserved       *prometheus.GaugeVec
	shadow          *prometheus.CounterVec
	csp             *prometheus.CounterVec
	drift           *prometheus.CounterVec
	spam            *prometheus.CounterVec
	spool           *prometheus.CounterVec
	shed            *prometheus.CounterVec
	clickToAck      *prometheus.HistogramVec
}

// NewMetrics makes the metrics on a registry of their own, together with those of the Go runtime and the process.
func NewMetrics() *Metrics {
	seconds := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		intakeTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_intake_total", Help: "Form submissions by form and outcome.",
		}, []string{"form", "outcome"}),
		intakeSeconds: prometheus.NewHistogram(seconds("leadline_intake_seconds", "From the request read to the answer.", secondsBuckets)),
		signature: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_intake_signature_total", Help: "Signed submissions: accepted, refused, throttled, or refused while a client's key cannot be used (unusable).",
		}, []string{"outcome"}),
		commitBatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "leadline_commit_batch_size", Help: "Submissions made durable by one commit.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128},
		}),
		submitToConsole: prometheus.NewHistogram(seconds("leadline_submit_to_console_seconds", "From the lead stored to its card painted on a console.", secondsBuckets)),
		submitToCRM:     prometheus.NewHistogramVec(seconds("leadline_submit_to_crm_seconds", "From the lead stored to the CRM's confirmation.", secondsBuckets), []string{"connection"}),
		firstTouch:      prometheus.NewHistogram(seconds("leadline_submit_to_first_touch_seconds", "From the lead stored to the first human attempt to reach it.", touchBuckets)),
		humanDelay: prometheus.NewHistogramVec(seconds("leadline_human_delay_seconds",
			"What people took: accept, from the offer on a screen to the claim; first_attempt and contact, from the claim.", touchBuckets), []string{"until"}),
		clockSteps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_sla_steps_total", Help: "Clocks of leads that used half of their time (warn), all of it (act), half as much again (escalate).",
		}, []string{"clock", "step", "pool"}),
		notify: prometheus.NewHistogramVec(seconds("leadline_notify_seconds", "From the lead stored to the notification accepted by the channel.", secondsBuckets), []string{"channel"}),
		delivery: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_delivery_total", Help: "Writes to systems outside by destination and outcome.",
		}, []string{"destination", "outcome"}),
		queueDepth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leadline_queue_depth", Help: "What waits, by queue.",
		}, []string{"queue"}),
		oldestPending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leadline_oldest_pending_seconds", Help: "Age of the oldest thing that waits, by queue.",
		}, []string{"queue"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leadline_crm_breaker", Help: "0 closed (calls go out), 1 half open (one probe), 2 open (leads wait).",
		}, []string{"connection"}),
		consoles: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "leadline_console_connections", Help: "Consoles connected to this process.",
		}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_invariant_violations_total", Help: "Things that must never happen, by name.",
		}, []string{"name"}),
		alarms: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leadline_alarms_open", Help: "Open alarms by kind, as the process that watches for all saw them a minute ago at most.",
		}, []string{"kind"}),
		conserved: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leadline_leads_conserved", Help: "Where the leads of the last hour are: accepted is the sum of the others, and lost is 0.",
		}, []string{"state"}),
		shadow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_shadow_leads_total", Help: "Leads that the shadow looked at (leads), and those that it would have treated otherwise, by how.",
		}, []string{"change"}),
		csp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_csp_violations_total", Help: "What browsers blocked on our pages, by directive of the content security policy.",
		}, []string{"directive"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_drift_total", Help: "Ways in which submissions differed from their form, by what became of them.",
		}, []string{"form", "kind"}),
		spool: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_spool_total", Help: "Submissions that the database could not take: kept in the local spool, stored from it, erased meanwhile, or refused because it is full or failed.",
		}, []string{"outcome"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_shed_total", Help: "Requests refused so that more important ones are answered, by class of traffic.",
		}, []string{"class"}),
		clickToAck: prometheus.NewHistogramVec(seconds("leadline_click_to_ack_seconds", "From the click on Submit to our answer, as visitors' browsers measured it.", secondsBuckets),
			[]string{"form", "device", "network"}),
		spam: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadline_spam_total", Help: "Submissions by form and what was decided about them at the door: accept, hold, challenge.",
		}, []string{"form", "verdict"}),
	}
	m.registry.MustRegister(m.intakeTotal, m.intakeSeconds, m.signature, m.commitBatch, m.submitToConsole, m.submitToCRM, m.firstTouch, m.humanDelay,
		m.clockSteps, m.notify, m.delivery, m.queueDepth, m.oldestPending, m.breaker, m.consoles, m.violations, m.alarms, m.conserved, m.shadow,
		m.csp, m.drift, m.spam, m.spool, m.shed, m.clickToAck,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics as Prometheus text. On a nil *Metrics it answers 404.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Intake counts one submission. form must be a form that exists, or "unknown": visitors choose the address they post to.
func (m *Metrics) Intake(form, outcome string, seconds float64) {
	if m == nil {
		return
	}
	m.intakeTotal.WithLabelValues(form, outcome).Inc()
	m.intakeSeconds.Observe(seconds)
}

// The outcomes that Signature counts.
const (
	SignatureAccepted  = "accepted"
	SignatureRefused   = "refused"
	SignatureThrottled = "throttled"
	SignatureUnusable  = "unusable" // refused, and one of the form's clients has a key that cannot be used
)

// Signature counts a submission that came with a signature, or a part of one.
func (m *Metrics) Signature(outcome string) {
	if m != nil {
		m.signature.WithLabelValues(outcome).Inc()
	}
}

// Spam counts one verdict at the door. form must be a form that exists.
func (m *Metrics) Spam(form, verdict string) {
	if m != nil {
		m.spam.WithLabelValues(form, verdict).Inc()
	}
}

// CommitBatch notes how many submissions one commit took.
func (m *Metrics) CommitBatch(n int) {
	if m != nil {
		m.commitBatch.Observe(float64(n))
	}
}

// SubmitToConsole notes the time from a lead being stored to a console having painted it.
func (m *Metrics) SubmitToConsole(seconds float64) {
	if m != nil {
		m.submitToConsole.Observe(seconds)
	}
}

// SubmitToCRM notes the time from a lead being stored to a connection's confirmation of its first write.
func (m *Metrics) SubmitToCRM(connection string, seconds float64) {
	if m != nil {
		m.submitToCRM.WithLabelValues(connection).Observe(seconds)
	}
}

// FirstTouch notes the time from a lead being stored to the first human attempt to reach it.
func (m *Metrics) FirstTouch(seconds float64) {
	if m != nil {
		m.firstTouch.Observe(seconds)
	}
}

// HumanDelay notes what people took until something, a constant of the code: accept, first_attempt, contact.
func (m *Metrics) HumanDelay(until string, seconds float64) {
	if m != nil {
		m.humanDelay.WithLabelValues(until).Observe(seconds)
	}
}

// ClockStep counts a step of a clock of a lead: warn, act or escalate. pool is one of the configuration.
func (m *Metrics) ClockStep(clock, step, pool string) {
	if m != nil {
		m.clockSteps.WithLabelValues(clock, step, pool).Inc()
	}
}

// Notify notes the time from a lead being stored to its notification being accepted by a channel, such as "slack".
func (m *Metrics) Notify(channel string, seconds float64) {
	if m != nil {
		m.notify.WithLabelValues(channel).Observe(seconds)
	}
}

// Delivery counts one attempt to write to a destination ("crm", "chat") with its outcome, such as "delivered" or "retry".
func (m *Metrics) Delivery(destination, outcome string) {
	if m != nil {
		m.delivery.WithLabelValues(destination, outcome).Inc()
	}
}

// QueueDepth says how much waits in a queue now.
func (m *Metrics) QueueDepth(queue string, n int) {
	if m != nil {
		m.queueDepth.WithLabelValues(queue).Set(float64(n))
	}
}

// OldestPending says how old the oldest thing in a queue is now; 0 when nothing waits.
func (m *Metrics) OldestPending(queue string, seconds float64) {
	if m != nil {
		m.oldestPending.WithLabelValues(queue).Set(seconds)
	}
}

// Breaker states, as Breaker takes them and leadline_crm_breaker shows them.
const (
	BreakerClosed   = 0
	BreakerHalfOpen = 1
	BreakerOpen     = 2
)

// Breaker shows the state of a connection's breaker.
func (m *Metrics) Breaker(connection string, state int) {
	if m != nil {
		m.breaker.WithLabelValues(connection).Set(float64(state))
	}
}

// ConsoleConnections adds delta to the number of connected consoles.
func (m *Metrics) ConsoleConnections(delta int) {
	if m != nil {
		m.consoles.Add(float64(delta))
	}
}

// InvariantViolation counts something that must never happen. name is a constant of the code.
func (m *Metrics) InvariantViolation(name string) {
	if m != nil {
		m.violations.WithLabelValues(name).Inc()
	}
}

// AlarmsOpen says how many alarms of a kind are open. kind is a constant of the code.
func (m *Metrics) AlarmsOpen(kind string, n int) {
	if m != nil {
		m.alarms.WithLabelValues(kind).Set(float64(n))
	}
}

// Conserved says how many leads of the last hour are in a place. state is a constant of the code.
func (m *Metrics) Conserved(state string, n int) {
	if m != nil {
		m.conserved.WithLabelValues(state).Set(float64(n))
	}
}

// NoAlarms takes back what was said of alarms and of where leads are: another process watches from here on.
func (m *Metrics) NoAlarms() {
	if m != nil {
		m.alarms.Reset()
		m.conserved.Reset()
	}
}

// Shadow counts a lead that the shadow looked at, or one way in which it would have treated it otherwise. change is a constant of the code.
func (m *Metrics) Shadow(change string) {
	if m != nil {
		m.shadow.WithLabelValues(change).Inc()
	}
}

// CSPViolation counts something that a browser blocked on a page of ours. directive is one of a fixed list.
func (m *Metrics) CSPViolation(directive string) {
	if m != nil {
		m.csp.WithLabelValues(directive).Inc()
	}
}

// Spool counts what became of submissions that the database could not take: kept, stored, erased, full or failed.
func (m *Metrics) Spool(outcome string) {
	if m != nil {
		m.spool.WithLabelValues(outcome).Inc()
	}
}

// Shed counts a request that was refused so that more important ones are answered. class is a constant of the code.
func (m *Metrics) Shed(class string) {
	if m != nil {
		m.shed.WithLabelValues(class).Inc()
	}
}

// ClickToAck notes how long a visitor waited from the click to our answer. All labels must come from fixed lists.
func (m *Metrics) ClickToAck(form, device, network string, seconds float64) {
	if m != nil {
		m.clickToAck.WithLabelValues(form, device, network).Observe(seconds)
	}
}

// Drift counts one way in which a submission differed from its form. form must be a form that exists; kind is refused, unknown or
// unparseable.
func (m *Metrics) Drift(form, kind string) {
	if m != nil {
		m.drift.WithLabelValues(form, kind).Inc()
	}
}
