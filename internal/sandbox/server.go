// Package sandbox simulates the vendors that Leadline writes to, so that everything can be tried, tested and demonstrated without
// an account: a generic CRM at /webhook, Slack at /slack, and a mail server on a port of its own. A wrong call gets the vendor's own error, never a friendly 200.
// Faults can be switched on per vendor (slow, failing, hanging, cutting the connection), and every call can be read back.
//
// It assumes nothing of the rest of the product and is used by the commands "serve --demo" and "sandbox", and by tests. It answers
// loopback callers only. Everything is held in memory, bounded; a sandbox made by Open remembers what the vendors hold across restarts.
package sandbox

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leadline/internal/fault"
)

// maxBody is the largest request body a vendor reads; Slack and most CRMs stop earlier on content than on size.
const maxBody = 1 << 20

// The vendors of this version.
const (
	vendorWebhook = "webhook"
	vendorSlack   = "slack"
	vendorSMTP    = "smtp"
)

func vendorNames() []string { return []string{vendorWebhook, vendorSlack, vendorSMTP} }

// Options configures New. Only Now is required.
type Options struct {
	Now           func() time.Time
	Log           *slog.Logger // nil: silent
	WebhookSecret string       // "whsec_" + base64; empty: calls need the Standard Webhooks headers but no signature
	SlackToken    string       // the only bot token that works; empty: any that begins with xoxb-
	SlackChannels []string     // channel names besides leads and general
	SlackUsers    []string     // e-mail addresses of workspace members, for users.lookupByEmail
	SMTP          SMTPOptions
	Journal       string // Open only: the file that keeps what the vendors hold across restarts; empty: memory only
}

// Server is the sandbox: an http.Handler that the caller serves on a loopback listener. The server in front of it needs no write
// time-out, because a fault may hold an answer back for long.
type Server struct {
	now     func() time.Time
	log     *slog.Logger
	faults  *faults
	journal *journal
	webhook *webhook
	slack   *slack
	mailbox *mailbox

	smtpOptions SMTPOptions
	mailServers mailServers
	certificate func() (tls.Certificate, error) // of the mail server; made when first asked for

	state   *stateFile
	handler http.Handler
	waiting atomic.Int64 // requests held by a hang fault; tests and the page read it
}

// Open makes a sandbox that remembers: it first reads what an earlier run kept in Options.Journal, and keeps there what the vendors
// are sent. It fails when that file cannot be read or written. Close it when its listener is closed.
func Open(o Options) (*Server, error) {
	s := New(o)
	if o.Journal == "" {
		return s, nil
	}
	var err error
	s.state, err = openState(o.Journal, s)
	return s, err
}

// New makes a sandbox that holds everything in memory and forgets it with the process.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		now:     o.Now,
		log:     o.Log,
		faults:  newFaults(o.Now),
		journal: newJournal(),
		webhook: newWebhook(o.Now, o.WebhookSecret),
		slack:   newSlack(o),
		mailbox: newMailbox(),

		smtpOptions: o.SMTP,
		certificate: sync.OnceValues(func() (tls.Certificate, error) { return newCertificate(o.Now()) }),
	}
	s.handler = s.routes()
	return s
}

// Close ends all faults, so that requests they hold are cut, ends the mail server, and closes the file that Open opened.
func (s *Server) Close() error {
	s.faults.clear("")
	s.mailServers.close()
	return s.state.close()
}

// ServeHTTP answers loopback callers and refuses everybody else, including web pages of other sites.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !loopbackCaller(r) {
		http.Error(w, "The vendor sandbox answers this machine only.", http.StatusForbidden)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// CheckAddr refuses a listening address that others than this machine could reach.
func CheckAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The sandbox address %q is not of the form 127.0.0.1:9090.", addr)
	}
	if !loopbackHost(host) {
		return fault.New(fault.Invalid, "The sandbox listens on loopback only: use 127.0.0.1 instead of %q.", host)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhook", s.vendor(vendorWebhook, s.webhook.receive))
	mux.HandleFunc("GET /webhook/records/{id}", s.recordPage)
	mux.Handle("/slack/api/{method}", s.vendor(vendorSlack, s.slack.call))
	mux.HandleFunc("POST /_control/faults", s.postFault)
	mux.HandleFunc("GET /_control/faults", s.getFaults)
	mux.HandleFunc("DELETE /_control/faults", s.deleteFaults)
	mux.HandleFunc("GET /_control/requests", s.getRequests)
	mux.HandleFunc("GET /_control/records", s.getRecords)
	mux.HandleFunc("DELETE /_control/records", s.deleteRecords)
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("POST /faults", s.pageFault)
	mux.HandleFunc("GET /app.css", asset("app.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /app.js", asset("app.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("/", notHere)
	return http.NewCrossOriginProtection().Handler(mux)
}

func notHere(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "The vendor sandbox has nothing at "+r.URL.Path+
		". Vendors: POST /webhook, POST /slack/api/METHOD, and SMTP on its own port. Controls: /_control/faults, /_control/requests, /_control/records.",
		http.StatusNotFound)
}

// loopbackCaller looks at the connection and at the name that was asked for: a foreign name that resolves to this machine
// (DNS rebinding) would let any web page read what the vendors hold.
func loopbackCaller(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return loopbackHost(host)
}

func loopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// answer is what a vendor says to one call.
type answer struct {
	status int
	header map[string]string
	body   any  // written as JSON
	repeat bool // the call was a repeat of one that was stored before
}

// vendor wraps one vendor's behaviour: reads the body, notes the call, and lets the vendor's fault have its way. The order
// matters: a call is noted when it arrives; it is carried out before a fault delays or cuts the answer, as a slow
// server would; a call that a fault refuses or hangs is never carried out.
func (s *Server) vendor(name string, carryOut func(*http.Request, []byte) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "The body could not be read, or is larger than 1 MiB.", http.StatusRequestEntityTooLarge)
			return
		}
		entry := s.journal.add(name, r, body, s.now())
		f := s.faults.of(name)
		switch {
		case f.strikes(f != nil && f.Hang):
			s.hang(r, f)
		case f.strikes(f != nil && f.Status != 0):
			f.delay(r.Context())
			s.reply(w, r, entry, faultAnswer(name, f.Status))
		default:
			a := carryOut(r, body)
			s.journal.repeat(entry, a.repeat)
			f.delay(r.Context())
			if f.strikes(f != nil && f.Drop) {
				panic(http.ErrAbortHandler) // cuts the connection without an answer
			}
			s.reply(w, r, entry, a)
		}
	})
}

// hang holds the call until the fault ends or the caller leaves, and cuts the connection then.
func (s *Server) hang(r *http.Request, f *activeFault) {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case <-f.ended:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// reply answers, unless the caller has left: then the journal keeps saying that nothing was answered.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, entry int64, a answer) {
	if r.Context().Err() != nil {
		return
	}
	s.journal.answered(entry, a.status)
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	writeJSON(w, a.status, a.body)
}
