package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/crypto/acme"

	"leadline/internal/telemetry"
	"leadline/web"
)

const domain = "leads.example.com"

// authority issues certificates by ACME (RFC 8555), as far as one order for one name needs it: it asks for a proof and looks at it.
type authority struct {
	t     *testing.T
	url   string
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
	proof string // tls-alpn-01 or http-01
	tls   string // where the name leads, port 443
	plain string // port 80

	mu      sync.Mutex
	account string // thumbprint of its key
	state   string
	issued  []byte
	orders  int
}

func newAuthority(t *testing.T, proof string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, proof: proof, state: "pending"}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	w.Header().Set("Content-Type", "application/json")
	var message struct{ Protected, Payload string }
	_ = json.NewDecoder(r.Body).Decode(&message)
	payload, _ := base64.RawURLEncoding.DecodeString(message.Payload)
	answer := func(status int, doc any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(doc)
	}
	order := map[string]any{
		"status": a.state, "identifiers": []any{map[string]any{"type": "dns", "value": domain}}, "authorizations": []any{a.url + "/authz"}, "finalize": a.url + "/finalize",
		"expires": time.Now().Add(time.Hour).Format(time.RFC3339),
	}
	if a.state == "valid" {
		order["certificate"] = a.url + "/cert"
	}
	challenge := map[string]any{"type": a.proof, "url": a.url + "/challenge", "token": "a-token", "status": "pending"}
	switch r.URL.Path {
	case "/directory":
		answer(http.StatusOK, map[string]any{"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/order", "revokeCert": a.url + "/revoke", "keyChange": a.url + "/key"})
	case "/nonce":
		w.WriteHeader(http.StatusOK)
	case "/account":
		a.account = thumbprint(a.t, message.Protected)
		w.Header().Set("Location", a.url+"/account/1")
		answer(http.StatusCreated, map[string]any{"status": "valid"})
	case "/order":
		a.orders++
		w.Header().Set("Location", a.url+"/order/1")
		answer(http.StatusCreated, order)
	case "/order/1":
		w.Header().Set("Location", a.url+"/order/1")
		answer(http.StatusOK, order)
	case "/authz":
		status := "pending"
		if a.state != "pending" {
			status = "valid"
		}
		answer(http.StatusOK, map[string]any{"status": status, "identifier": map[string]any{"type": "dns", "value": domain}, "challenges": []any{challenge}})
	case "/challenge":
		a.mu.Unlock()
		proved := a.proved()
		a.mu.Lock()
		if !proved {
			a.t.Error("the proof is wrong")
			answer(http.StatusForbidden, map[string]any{"type": "urn:ietf:params:acme:error:unauthorized"})
			return
		}
		a.state = "ready"
		answer(http.StatusOK, challenge)
	case "/finalize":
		var request struct{ CSR string }
		_ = json.Unmarshal(payload, &request)
		der, _ := base64.RawURLEncoding.DecodeString(request.CSR)
		a.issue(der)
		a.state, order["status"], order["certificate"] = "valid", "valid", a.url+"/cert"
		w.Header().Set("Location", a.url+"/order/1")
		answer(http.StatusOK, order)
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.issued)
	default:
		answer(http.StatusNotFound, map[string]any{"type": "urn:ietf:params:acme:error:malformed"})
	}
}

func (a *authority) issue(csr []byte) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || !slices.Equal(request.DNSNames, []string{domain}) {
		a.t.Errorf("asked to certify %+v, %v", request, err)
		return
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: request.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.root, request.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.issued = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})...)
}

// proved looks whether the name leads to somebody who knows the account's key.
func (a *authority) proved() bool {
	want := "a-token." + a.account
	if a.proof == "http-01" {
		req, err := http.NewRequest(http.MethodGet, "http://"+a.plain+"/.well-known/acme-challenge/a-token", http.NoBody)
		if err != nil {
			return false
		}
		req.Host = domain
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode == http.StatusOK && string(text) == want
	}
	conn, err := tls.Dial("tcp", a.tls, &tls.Config{ServerName: domain, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	digest := sha256.Sum256([]byte(want))
	for _, extension := range conn.ConnectionState().PeerCertificates[0].Extensions {
		var value []byte
		if extension.Id.String() == "1.3.6.1.5.5.7.1.31" && extension.Critical {
			if _, err := asn1.Unmarshal(extension.Value, &value); err == nil {
				return string(value) == string(digest[:])
			}
		}
	}
	return false
}

// thumbprint reads the account's key from a message.
func thumbprint(t *testing.T, protected string) string {
	text, _ := base64.RawURLEncoding.DecodeString(protected)
	var header struct{ JWK struct{ X, Y string } }
	if err := json.Unmarshal(text, &header); err != nil {
		t.Error(err)
	}
	x, _ := base64.RawURLEncoding.DecodeString(header.JWK.X)
	y, _ := base64.RawURLEncoding.DecodeString(header.JWK.Y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Error(err)
		return ""
	}
	print, err := acme.JWKThumbprint(key)
	if err != nil {
		t.Error(err)
	}
	return print
}

func TestACME_ObtainsACertificateAndKeepsIt(t *testing.T) {
	for _, proof := range []string{"tls-alpn-01", "http-01"} {
		t.Run(proof, func(t *testing.T) {
			a := newAuthority(t, proof)
			dir := t.TempDir()
			log := &locked{}
			roots := x509.NewCertPool()
			roots.AddCert(a.root)
			start := func() (address string, stop func()) {
				certificates := web.NewACME([]string{domain}, dir, a.url+"/directory", slog.New(slog.NewTextHandler(log, nil)))
				deps := web.Deps{PublicURL: &url.URL{Scheme: "https", Host: domain}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: telemetry.NewMetrics()}
				deps.Handlers.Metrics, deps.Handlers.Now = deps.Metrics, time.Now
				if proof == "http-01" {
					deps.Challenge = certificates.Challenges()
				}
				server, err := web.New(deps)
				if err != nil {
					t.Fatal(err)
				}
				plain, tcp := listenTCP(t), listenTCP(t)
				udp, err := net.ListenPacket("udp", tcp.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				a.tls, a.plain = tcp.Addr().String(), plain.Addr().String()
				ctx, end := contextWithCancel(t)
				done := make(chan error, 3)
				go func() { done <- server.Serve(plain) }()
				go func() { done <- server.ServeTLS(web.Edge{TCP: tcp, UDP: udp, Certificates: certificates.TLS}) }()
				go func() { done <- certificates.Run(ctx) }()
				return a.tls, func() {
					if err := server.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
					end()
					for range 3 {
						if err := <-done; err != nil {
							t.Error(err)
						}
					}
				}
			}
			greeted := func(address, name string) error {
				conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"h2"}})
				if err != nil {
					return err
				}
				_ = conn.Close()
				over, err := quic.DialAddr(t.Context(), address, &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"h3"}}, nil)
				if err != nil {
					return err
				}
				return over.CloseWithError(0x100, "")
			}
			address, stop := start()
			waitFor(t, "the certificate", func() bool { return greeted(address, domain) == nil })
			if err := greeted(address, "other.example.com"); err == nil {
				t.Error("a certificate for a name that is not ours")
			}
			stop()
			address, stop = start()
			waitFor(t, "the certificate that was kept", func() bool { return greeted(address, domain) == nil })
			stop()
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.orders != 1 {
				t.Errorf("%d orders for one certificate\n%s", a.orders, log.text())
			}
			kept, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range kept {
				if info, err := file.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("others may read %s: %v %v", file.Name(), info.Mode(), err)
				}
			}
			if said := log.text(); strings.Contains(said, "could be obtained") {
				t.Errorf("the log says %s", said)
			}
		})
	}
}
