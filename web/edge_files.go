package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often certificate files are looked at; a new pair is in use that soon.
const lookEvery = time.Second

// certificateFiles gives a certificate from two files and follows them when they change. A new pair that does not load is logged, and the
// old one stays.
type certificateFiles struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	state  fileState // of the pair that was tried last, whether or not it loaded
	looked time.Time
}

// fileState is how two files looked, by which a change is noticed.
type fileState [2]struct {
	changed time.Time
	size    int64
}

// CertificateFiles reads a certificate (with its chain) and its key, both PEM, and says how a TLS port gets them. It fails when the
// pair does not load now; later the pair may be replaced at any time.
func CertificateFiles(cert, key string, now func() time.Time, log *slog.Logger) (func(*tls.Config), error) {
	f := &certificateFiles{cert: cert, key: key, now: now, log: log, looked: now()}
	var err error
	if f.state, err = f.look(); err != nil {
		return nil, err
	}
	if f.loaded, err = f.load(); err != nil {
		return nil, err
	}
	return func(c *tls.Config) { c.GetCertificate = f.get }, nil
}

// get is called for each handshake: a file that changed is found by whoever comes next.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < lookEvery {
		return f.loaded, nil
	}
	f.looked = now
	state, err := f.look()
	if err == nil && state == f.state {
		return f.loaded, nil
	}
	if err == nil {
		f.state = state
		var loaded *tls.Certificate
		if loaded, err = f.load(); err == nil {
			f.loaded = loaded
			f.log.Info("the certificate was replaced", "valid_until", loaded.Leaf.NotAfter.UTC())
			return loaded, nil
		}
	} else if f.state == (fileState{}) {
		return f.loaded, nil // gone since, and said so
	} else {
		f.state = fileState{}
	}
	f.log.Error("the new certificate does not load, so the old one stays in use", "error", err)
	return f.loaded, nil
}

func (f *certificateFiles) look() (state fileState, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return fileState{}, err
		}
		state[i].changed, state[i].size = info.ModTime(), info.Size()
	}
	return state, nil
}

func (f *certificateFiles) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("load the certificate %s with the key %s: %w", f.cert, f.key, err)
	}
	if pair.Leaf == nil {
		return nil, errors.New("the certificate file holds no certificate")
	}
	if !f.now().Before(pair.Leaf.NotAfter) {
		f.log.Warn("the certificate has expired: browsers refuse it", "valid_until", pair.Leaf.NotAfter.UTC())
	}
	return &pair, nil
}
