package outbound_test

import (
	_ "embed"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"leadline/internal/outbound"
)

//go:embed testdata/forbidden.txt
var forbidden string

// zone is what the resolver of the corpus knows. Names with several addresses have only forbidden ones here; the mixed ones are
// in mixed.
var zone = map[string][]netip.Addr{
	"one.private.example": addrs("127.0.0.1"), "ten.private.example": addrs("10.20.30.40"), "shared.private.example": addrs("100.64.1.1"),
	"linklocal.private.example": addrs("169.254.7.7"), "zero.private.example": addrs("0.0.0.0"), "broadcast.private.example": addrs("255.255.255.255"),
	"metadata.google.internal": addrs("169.254.169.254", "fd20:ce::254"), "metadata": addrs("169.254.169.254"), "instance-data": addrs("169.254.169.254"),
	"wire.azure.example": addrs("168.63.129.16"), "alibaba.example": addrs("100.100.100.200"), "oracle.example": addrs("192.0.0.192"),
	"six.private.example": addrs("::1"), "unspecified.private.example": addrs("::"), "ula.private.example": addrs("fd12::1"),
	"linklocal6.private.example": addrs("fe80::1"), "mapped.private.example": addrs("::ffff:127.0.0.1"),
	"compatible.private.example": addrs("::127.0.0.1"), "translated.private.example": addrs("::ffff:0:127.0.0.1"),
	"nat64.private.example": addrs("64:ff9b::7f00:1"), "localnat64.private.example": addrs("64:ff9b:1:7f00:0:100::"),
	"sixtofour.private.example": addrs("2002:7f00:1::1"), "teredo.private.example": addrs("2001:0:4136:e378:8000:63bf:80ff:fffe"),
	"isatap.private.example": addrs("2606:4700::5efe:7f00:1"), "awssix.private.example": addrs("fd00:ec2::254"),
	"multicast.private.example": addrs("239.255.255.250", "ff02::1"), "alias-one.example.com": addrs("127.0.0.1"),
	"alias-metadata.example.com": addrs("169.254.169.254"), "alias-six.example.com": addrs("::1"),
	"127.0.0.1.nip.example": addrs("127.0.0.1"), "7f000001.nip.example": addrs("127.0.0.1"), "10.0.0.1.nip.example": addrs("10.0.0.1"),
	"169-254-169-254.sslip.example": addrs("169.254.169.254"), "localtest.example": addrs("127.0.0.1", "::1"),
	"spoofed.burp.example": addrs("127.0.0.1"), "localhost.localdomain": addrs("127.0.0.1"), "localhost.example": addrs("127.0.0.1"),
	"many.private.example": addrs("10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1"), "both.private.example": addrs("127.0.0.1", "::1"),
	"host.docker.internal": addrs("172.17.0.1"), "kubernetes.default.svc": addrs("10.96.0.1"), "postgres.default.svc.cluster.local": addrs("10.96.7.7"),
	"xn--lclhst-wya.example": addrs("127.0.0.1"), "xn--loclhost-4za.example": addrs("127.0.0.1"), "xn--bcher-kva.example": addrs("127.0.0.1"),
	"localhost": addrs("127.0.0.1", "::1"),
}

// inZone is the most hurtful resolver: lenient, and with an answer for every name of the corpus.
var inZone = names(func(name string) []netip.Addr { return zone[name] }).lenient()

// spellings are the URLs of the corpus for servers on a port.
func spellings(port string) []string {
	var all []string
	for line := range strings.Lines(forbidden) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, strings.ReplaceAll(line, "PORT", port))
		}
	}
	return all
}

func TestClient_CorpusMakesNoConnection(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	all := spellings(near.port)
	if seen := slices.Compact(slices.Sorted(slices.Values(all))); len(seen) < 200 || len(seen) != len(all) {
		t.Fatalf("%d spellings, %d of them different", len(all), len(seen))
	}
	client := watch(t, outbound.Options{}, inZone)
	for way, do := range map[string]func(*http.Request) (*http.Response, error){"Do": client.Do, "the guard alone": client.Unchecked} {
		asWritten, atDial, otherwise := 0, 0, 0
		for _, url := range all {
			err := try(t, do, url)
			switch {
			case err == nil:
				t.Errorf("%s: %s was answered", way, url)
			case errors.Is(err, outbound.ErrForbidden):
				atDial++
			case errors.Is(err, outbound.ErrURL):
				asWritten++
			default:
				otherwise++ // no host, no such scheme, no such name
			}
			if passed := client.taken(); len(passed) > 0 {
				t.Errorf("%s: %s would have connected to %v", way, url, passed)
			}
		}
		t.Logf("%s: %d spellings: %d refused as written, %d when dialled, %d for other reasons", way, len(all), asWritten, atDial, otherwise)
		if atDial < 200 {
			t.Errorf("%s: only %d spellings came to the guard", way, atDial)
		}
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// The proof that the test above would notice: with this machine allowed, the same spellings of it do arrive.
func TestClient_CorpusArrivesWhereAllowed(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	client := watch(t, outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}, inZone)
	answered := 0
	for _, url := range spellings(near.port) {
		if try(t, client.Unchecked, url) == nil {
			answered++
			client.CloseIdle()
		}
		for _, ip := range client.taken() {
			if !ip.IsLoopback() {
				t.Errorf("%s: allowing this machine opened %s", url, ip)
			}
		}
	}
	t.Logf("%d spellings were answered, %d connections", answered, near.accepted.Load())
	if answered < 50 || near.accepted.Load() < 50 {
		t.Errorf("only %d spellings arrived in %d connections", answered, near.accepted.Load())
	}
}

// Names with public and private addresses together: the public ones are tried, the private ones never.
func TestClient_MixedAnswersReachThePublicPartAlone(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	for name, all := range map[string][]netip.Addr{
		"private-first.example": addrs("127.0.0.1", "93.184.215.14"), "public-first.example": addrs("93.184.215.14", "127.0.0.1"),
		"alias-mixed.example": addrs("10.0.0.1", "93.184.215.14", "169.254.169.254"), "six.example": addrs("93.184.215.14", "::1"),
		"four.example": addrs("2606:4700:4700::1111", "127.0.0.1"), "all.example": addrs("::1", "2606:4700:4700::1111", "127.0.0.1", "93.184.215.14", "fd00::1"),
		"azure.example": addrs("168.63.129.16", "93.184.215.14"),
	} {
		client := watch(t, outbound.Options{}, func(asked string) []netip.Addr {
			if asked == name {
				return all
			}
			return nil
		})
		if err := try(t, client.Do, "http://"+name+":"+near.port+"/"); err == nil {
			t.Errorf("%s was answered", name)
		}
		passed := client.taken()
		if len(passed) == 0 {
			t.Errorf("%s: the public address was not tried", name)
		}
		for _, ip := range passed {
			if ip != netip.MustParseAddr("93.184.215.14") && ip != netip.MustParseAddr("2606:4700:4700::1111") {
				t.Errorf("%s would have connected to %s", name, ip)
			}
		}
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

func TestClient_ReachesThePublicInternet(t *testing.T) {
	t.Parallel()
	client := watch(t, outbound.Options{}, func(name string) []netip.Addr {
		if name == "crm.example.com" || name == "xn--mller-kva.example" {
			return addrs("93.184.215.14")
		}
		return nil
	})
	for url, want := range map[string]string{
		"https://crm.example.com/hooks": "93.184.215.14", "https://crm.example.com./": "93.184.215.14", "https://CRM.Example.COM:8443/": "93.184.215.14",
		"https://müller.example/": "93.184.215.14", "http://8.8.8.8/": "8.8.8.8", "http://[::ffff:8.8.8.8]/": "8.8.8.8",
		"https://[2606:4700:4700::1111]/": "2606:4700:4700::1111", "https://[2a00:1450:4001:81b::200e]/": "2a00:1450:4001:81b::200e",
	} {
		err := try(t, client.Do, url)
		if passed := client.taken(); !errors.Is(err, errStopped) || len(passed) != 1 || passed[0].String() != want {
			t.Errorf("%s: %v %v", url, passed, err)
		}
	}
}
