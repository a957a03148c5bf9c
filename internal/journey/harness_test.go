package journey_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take before a test gives up on it. Generous: CI shares two cores with everything else.
const patience = 30 * time.Second

var binary string // the real leadline, built once for all journeys

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "leadline-journey-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "leadline")
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "leadline")...)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// world is one installation: a data directory, a server and a vendor sandbox.
type world struct {
	t       *testing.T
	dir     string
	addr    string
	url     string // the server itself, for programs
	public  string // the server through the network that tests can cut, for browsers
	network *proxy
	sandbox string
	smtp    string // the sandbox's mail server
	token   string
	env     []string
	server  *process
}

// process is a started leadline.
type process struct {
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines
	done   chan struct{}
}

// lines collects what a process prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var smtpAddress = regexp.MustCompile(`smtp://\S+`)

// newWorld starts a sandbox, publishes the playbook (SANDBOX in it becomes the sandbox's address) and starts a server. Settings given
// as NAME=value win over the usual ones.
func newWorld(t *testing.T, playbook string, settings ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	w.url = "http://" + w.addr
	w.network = newProxy(t, w.addr)
	w.public = "http://" + w.network.addr
	makeTraversable(t, w.dir)
	w.env = append(os.Environ(),
		"LEADLINE_DATA_DIR="+filepath.Join(w.dir, "data"), "LEADLINE_ADDR="+w.addr, "LEADLINE_PUBLIC_URL="+w.public, "LEADLINE_OUTBOUND_ALLOW=127.0.0.0/8",
		"LEADLINE_LOG_LEVEL=info", "WEBHOOK_SECRET=whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "SLACK_TOKEN=xoxb-test", "DATABASE_URL=")
	w.env = append(w.env, settings...)
	box := w.start("sandbox", "--addr", "127.0.0.1:0", "--webhook-secret", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "--slack-token", "xoxb-test")
	w.eventually("the sandbox to print its addresses", func() bool {
		before, after, ok := strings.Cut(box.stdout.String(), "http://")
		w.sandbox = "http://" + strings.TrimSpace(after)
		w.smtp = smtpAddress.FindString(before)
		return ok && strings.HasSuffix(after, "\n")
	})
	w.env = append(w.env, "LEADLINE_SMTP_URL="+w.smtp, "LEADLINE_MAIL_FROM=Leadline <leadline@example.com>")
	file := filepath.Join(w.dir, "playbook.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(playbook, "SANDBOX", w.sandbox)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve()
	w.command("", "apply", file)
	w.token = strings.TrimSpace(w.command("", "token", "add", "--name", "journey", "--scope", "leads:read,leads:act,leads:reveal,metrics:read"))
	w.eventually("the configuration to be live", func() bool {
		status, _ := w.get("/v1/forms/demo")
		return status == http.StatusOK
	})
	return w
}

// makeTraversable lets the user that PostgreSQL runs as enter the directories above the data.
func makeTraversable(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts the server and waits until it is ready.
func (w *world) serve() {
	w.t.Helper()
	w.server = w.start("serve")
	w.eventually("the server to be ready", func() bool {
		select {
		case <-w.server.done:
			w.t.Fatalf("the server ended:\n%s", w.server.stderr)
		default:
		}
		status, _ := w.get("/readyz")
		return status == http.StatusOK
	})
}

// start runs leadline in the background; it is ended with the test.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{cmd: exec.Command(binary, args...), stdout: &lines{}, stderr: &lines{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = w.env, p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	w.t.Cleanup(func() {
		p.stop()
		if w.t.Failed() {
			w.t.Logf("leadline %s said:\n%s", strings.Join(args, " "), tail(p.stderr.String(), 6000))
		}
		if strings.Contains(p.stderr.String(), "WARNING: DATA RACE") {
			w.t.Errorf("data race in leadline %s:\n%s", strings.Join(args, " "), p.stderr)
		}
	})
	return p
}

// stop ends a process as a person would, with a signal, and waits.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends a process with no chance to tidy up.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// command runs a leadline command to its end and gives its standard output.
func (w *world) command(stdin string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Stdin = w.env, strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("leadline %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// addUser makes a sign-in with a password.
func (w *world) addUser(email, role, password string) {
	w.t.Helper()
	w.command(password+"\n", "user", "add", "--email", email, "--role", role, "--password-stdin")
}

// eventually waits for a condition, without guessing how long it takes.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if cond() {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

var client = &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (w *world) get(path string) (int, []byte) { return w.call(http.MethodGet, w.url+path, nil) }

// call sends JSON (or nothing) with the world's API token and gives status and body; 0 if there was no answer.
func (w *world) call(method, address string, body any) (int, []byte) {
	w.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, address, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if w.token != "" && strings.HasPrefix(address, w.url) {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, text
}

// accepted is the part of a 201 that tests look at.
type accepted struct {
	LeadID    string `json:"lead_id"`
	Reference string `json:"reference"`
	Duplicate bool   `json:"duplicate"`
}

// submit sends a lead by JSON and expects it to be taken.
func (w *world) submit(fields map[string]any) accepted {
	w.t.Helper()
	status, body := w.call(http.MethodPost, w.url+"/v1/forms/demo/leads", fields)
	var a accepted
	if err := json.Unmarshal(body, &a); status != http.StatusCreated || err != nil {
		w.t.Fatalf("submit answered %d: %s", status, body)
	}
	return a
}

// leadState is the part of GET /v1/leads/{id} that tests look at.
type leadState struct {
	LeadID   string `json:"lead_id"`
	Stage    string `json:"stage"`
	CRMState string `json:"crm_state"`
	Attempt  int    `json:"attempt"`
	Pool     string `json:"pool"`
	Rep      *struct {
		Email string `json:"email"`
	} `json:"rep"`
	Offers []struct {
		ShownAt *string `json:"shown_at"`
	} `json:"offers"`
	Deliveries []struct {
		State string `json:"state"`
		URL   string `json:"url"`
	} `json:"deliveries"`
}

func (w *world) lead(id string) leadState {
	w.t.Helper()
	status, body := w.get("/v1/leads/" + id)
	var l leadState
	if err := json.Unmarshal(body, &l); status != http.StatusOK || err != nil {
		w.t.Fatalf("lead %s: %d %s", id, status, body)
	}
	return l
}

// leadIDs lists all leads.
func (w *world) leadIDs() []string {
	w.t.Helper()
	status, body := w.get("/v1/leads?form=demo")
	var page struct {
		Leads []leadState `json:"leads"`
	}
	if err := json.Unmarshal(body, &page); status != http.StatusOK || err != nil {
		w.t.Fatalf("listing leads: %d %s", status, body)
	}
	var ids []string
	for _, l := range page.Leads {
		ids = append(ids, l.LeadID)
	}
	return ids
}

// records is what the sandbox's CRM holds.
func (w *world) records() []map[string]any {
	w.t.Helper()
	return w.sandboxList("/_control/records?vendor=webhook", "records")
}

// requests is every call the sandbox's CRM received, in order.
func (w *world) requests() []map[string]any {
	w.t.Helper()
	return w.sandboxList("/_control/requests?vendor=webhook", "requests")
}

func (w *world) sandboxList(path, member string) []map[string]any {
	w.t.Helper()
	status, body := w.call(http.MethodGet, w.sandbox+path, nil)
	if status != http.StatusOK {
		w.t.Fatalf("%s answered %d: %s", path, status, body)
	}
	var list []map[string]any
	if err := json.Unmarshal(body, &list); err == nil {
		return list
	}
	var wrapped map[string]json.RawMessage
	if err := json.Unmarshal(body, &wrapped); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(wrapped[member], &list); err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) fault(settings map[string]any) {
	w.t.Helper()
	if status, body := w.call(http.MethodPost, w.sandbox+"/_control/faults", settings); status/100 != 2 {
		w.t.Fatalf("setting a fault answered %d: %s", status, body)
	}
}

func (w *world) healFaults() {
	w.t.Helper()
	if status, body := w.call(http.MethodDelete, w.sandbox+"/_control/faults", nil); status/100 != 2 {
		w.t.Fatalf("ending faults answered %d: %s", status, body)
	}
}

// present makes a rep available without a console.
func (w *world) present(email string) {
	w.t.Helper()
	if status, body := w.call(http.MethodPut, w.url+"/v1/reps/"+url.PathEscape(email)+"/presence", map[string]any{"presence": "available"}); status/100 != 2 {
		w.t.Fatalf("presence of %s: %d %s", email, status, body)
	}
}

// person makes up somebody new.
func person(n int) map[string]any {
	return map[string]any{
		"name": fmt.Sprintf("Ada Example %d", n), "email": fmt.Sprintf("ada%d@acme%d.example", n, n), "phone": fmt.Sprintf("+49 30 90%05d", n),
		"company": fmt.Sprintf("Acme %d GmbH", n), "country": "DE", "notes": "We lose leads at night.",
		"consent": map[string]any{"phone": true, "text_version": "v3"},
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// scan reads a process's output line by line; used where a journey needs a printed value.
func scan(text, prefix string) string {
	s := bufio.NewScanner(strings.NewReader(text))
	for s.Scan() {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
