package journey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/quic-go/quic-go/http3"
)

// The binary by itself, with no proxy in front: visitors over three protocols, a rep's console over one, and a certificate that changes.
func TestJourney_TheBinaryEndsTLSByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots := x509.NewCertPool()
	certify(t, roots, "first", cert, key)
	secure := freeAddr(t)
	public := "https://" + secure
	w := newWorld(t, playbook, "LEADLINE_TLS_ADDR="+secure, "LEADLINE_TLS_CERT="+cert, "LEADLINE_TLS_KEY="+key, "LEADLINE_PUBLIC_URL="+public)

	one := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	only2 := new(http.Protocols)
	only2.SetHTTP2(true)
	two := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: only2}
	three := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer func() { one.CloseIdleConnections(); two.CloseIdleConnections(); _ = three.Close() }()
	w.eventually("HTTP/3 to be offered", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, public+"/v1/forms/demo/leads", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := two.RoundTrip(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return strings.HasPrefix(res.Header.Get("Alt-Svc"), `h3=":`)
	})
	for proto, transport := range map[string]http.RoundTripper{"HTTP/1.1": one, "HTTP/2.0": two, "HTTP/3.0": three} {
		form := url.Values{"email": {strings.ToLower(strings.NewReplacer("/", "", ".", "").Replace(proto)) + "@acme.example"}, "name": {"Ada Example"}, "country": {"DE"}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+"/v1/forms/demo/leads", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", proto, err)
		}
		var got accepted
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusCreated || res.Proto != proto || err != nil {
			t.Fatalf("%s: %d over %s, %v", proto, res.StatusCode, res.Proto, err)
		}
		w.eventually("the lead of "+proto+" to be in the CRM", func() bool { return w.lead(got.LeadID).CRMState == "confirmed" })
	}

	w.addUser("mia@example.com", "rep", miasPassword)
	cookie := signInOver(t, two, public, "mia@example.com", miasPassword)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots}}
	console, res, err := dialer.DialContext(t.Context(), "wss://"+secure+"/live/socket?view=console", http.Header{"Cookie": {cookie}, "Origin": {public}})
	if err != nil {
		t.Fatalf("the console's socket: %v %v", res, err)
	}
	defer func() { _ = console.Close() }()
	_ = res.Body.Close()
	_ = console.SetReadDeadline(time.Now().Add(patience))
	if _, frame, err := console.ReadMessage(); err != nil || !bytes.Contains(frame, []byte(`"ops"`)) {
		t.Fatalf("the first frame: %.200s %v", frame, err)
	}

	certify(t, roots, "second", cert, key)
	w.eventually("the second certificate, without a restart", func() bool {
		conn, err := tls.Dial("tcp", secure, &tls.Config{RootCAs: roots})
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "second"
	})

	other := exec.Command(binary, "serve")
	other.Env = append(append([]string{}, w.env...), "LEADLINE_ADDR=127.0.0.1:0", "LEADLINE_DATA_DIR="+filepath.Join(w.dir, "other"))
	if text, err := other.CombinedOutput(); err == nil || !strings.Contains(string(text), "LEADLINE_TLS_ADDR") {
		t.Errorf("a second server on the same port: %v\n%s", err, text)
	}

	stopped := make(chan error, 1)
	go func() {
		for {
			if _, _, err := console.ReadMessage(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	started := time.Now()
	w.server.stop()
	if took := time.Since(started); took > 25*time.Second || w.server.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("stopped after %v with %v:\n%s", took, w.server.cmd.ProcessState, tail(w.server.stderr.String(), 2000))
	}
	if err := <-stopped; !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the console's socket ended with %v", err)
	}
}

// signInOver gives the cookie of a session that was begun over a transport.
func signInOver(t *testing.T, transport http.RoundTripper, public, email, password string) string {
	t.Helper()
	form := url.Values{"email": {email}, "password": {password}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+"/signin", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", public)
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	cookie, rest, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(cookie, "__Host-leadline=") || !strings.Contains(strings.ToLower(rest), "secure") {
		t.Fatalf("signing in answered %d with %q; %s", res.StatusCode, res.Header.Get("Set-Cookie"), text)
	}
	return cookie
}

// certify writes a new certificate for 127.0.0.1 and its key, and lets roots trust it.
func certify(t *testing.T, roots *x509.CertPool, name, certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
