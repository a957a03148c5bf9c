//go:build cgo

package outbound_test

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"leadline/internal/outbound"
)

// Go's resolver takes no number for a name, the C library's does: "2130706433" is this machine to it. Which of the two is used
// is decided when a process starts, so the test starts itself again.
func TestClient_NumbersThroughTheCLibraryMakeNoConnection(t *testing.T) {
	if os.Getenv("GODEBUG") != "netdns=cgo" {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG=netdns=cgo")
		out, err := again.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	client := outbound.New(outbound.Options{})
	client.Watch(nil, func(at netip.AddrPort) error {
		t.Errorf("would have connected to %s", at)
		return errStopped
	})
	resolved := 0
	for _, text := range spellings("80") {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			continue
		}
		if _, number := aton(u.Hostname()); !number {
			continue // no name goes to the machine's real resolver
		}
		if errors.Is(try(t, client.Unchecked, text), outbound.ErrForbidden) {
			resolved++
		}
	}
	t.Logf("%d numbers were resolved and refused", resolved)
	if resolved < 70 {
		t.Errorf("only %d numbers came to the guard", resolved)
	}
}
