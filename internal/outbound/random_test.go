package outbound_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"leadline/internal/outbound"
)

// closed4 and closed6 are written down here once more, so that a mistake in the client's own list shows.
var (
	closed4 = nets("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32")
	closed6 = nets("::/8", "100::/8", "200::/7", "400::/6", "800::/5", "1000::/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/3",
		"6000::/3", "8000::/3", "a000::/3", "c000::/3", "e000::/4", "f000::/5", "f800::/6", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")
	open4 = nets("1.1.0.0/16", "8.8.0.0/16", "52.0.0.0/10", "93.184.215.0/24", "172.32.0.0/12", "100.128.0.0/9", "192.169.0.0/16")
	open6 = nets("2606:4700::/32", "2a00:1450::/32", "2001:4860::/32", "2400:cb00::/32")
)

func nets(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// speller invents hosts for addresses.
type speller struct {
	*rand.Rand
	mu    sync.Mutex
	known map[string][]netip.Addr
}

func (s *speller) lookup(name string) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name]
}

// within is a random address of a random network.
func (s *speller) within(all []netip.Prefix) netip.Addr {
	prefix := all[s.IntN(len(all))]
	b := prefix.Addr().AsSlice()
	for i := range b {
		free := min(8, max(0, 8*(i+1)-prefix.Bits()))
		b[i] |= byte(s.Uint32()) & byte(1<<free-1)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func (s *speller) pick(texts ...string) string { return texts[s.IntN(len(texts))] }

func (s *speller) mixCase(text string) string {
	return strings.Map(func(r rune) rune {
		if s.IntN(2) == 0 {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return r
	}, text)
}

// number writes a part of an IPv4 address in some base, perhaps with zeros before it.
func (s *speller) number(n uint32) string {
	switch zeros := strings.Repeat("0", s.IntN(4)); s.IntN(4) {
	case 0:
		return fmt.Sprint(n)
	case 1:
		return "0" + zeros + fmt.Sprintf("%o", n)
	case 2:
		return s.mixCase("0x") + zeros + s.mixCase(fmt.Sprintf("%x", n))
	}
	return fmt.Sprintf("0x%02x", n)
}

// four writes an IPv4 address, plainly or in one to four numbers, perhaps with digits and dots of another script.
func (s *speller) four(ip netip.Addr) string {
	text := ip.String()
	if b := ip.As4(); s.IntN(4) > 0 {
		whole, parts := binary.BigEndian.Uint32(b[:]), s.IntN(4)
		var all []string
		for i := range parts {
			all = append(all, s.number(uint32(b[i])))
		}
		text = strings.Join(append(all, s.number(uint32(uint64(whole)&(1<<(32-8*parts)-1)))), ".")
	}
	if s.IntN(5) == 0 {
		text = strings.ReplaceAll(text, ".", s.pick("。", "．", "｡", "."))
	}
	if s.IntN(5) == 0 {
		first := []rune(s.pick("０", "𝟎", "𝟘", "𝟢", "𝟬", "𝟶"))[0]
		text = strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return first + r - '0'
			}
			return r
		}, text)
	}
	return text + s.pick("", "", "", ".")
}

// six writes an IPv6 address in one of its many ways.
func (s *speller) six(ip netip.Addr) string {
	text := ip.String()
	switch b := ip.As16(); s.IntN(4) {
	case 0:
		text = ip.StringExpanded()
	case 1:
		text = fmt.Sprintf("%x:%x:%x:%x:%x:%x:%d.%d.%d.%d", b[0:2], b[2:4], b[4:6], b[6:8], b[8:10], b[10:12], b[12], b[13], b[14], b[15])
	case 2:
		text = fmt.Sprintf("%x:%x:%x:%x:%x:%x:%x:%x", b[0:2], b[2:4], b[4:6], b[6:8], b[8:10], b[10:12], b[12:14], b[14:16])
	}
	return "[" + s.mixCase(text) + s.pick("", "", "", "%25lo", "%25eth0", "%251") + "]"
}

// carry puts an IPv4 address inside an IPv6 one.
func (s *speller) carry(ip netip.Addr) netip.Addr {
	v4 := ip.As4()
	var b [16]byte
	copy(b[12:], v4[:])
	switch s.IntN(8) {
	case 0:
		b[10], b[11] = 0xff, 0xff
	case 1: // compatible
	case 2:
		b[8], b[9] = 0xff, 0xff
	case 3:
		copy(b[:], []byte{0, 0x64, 0xff, 0x9b})
	case 4:
		copy(b[:], []byte{0, 0x64, 0xff, 0x9b, 0, 1, v4[0], v4[1], 0, v4[2], v4[3], 0, 0, 0, 0, 0})
	case 5:
		copy(b[:], []byte{0x20, 0x02, v4[0], v4[1], v4[2], v4[3]})
		b[13] = byte(s.Uint32())
	case 6:
		copy(b[:], []byte{0x20, 0x01, 0, 0, byte(s.Uint32()), byte(s.Uint32()), 1, 1, 0x80, 0, byte(s.Uint32()), 7, ^v4[0], ^v4[1], ^v4[2], ^v4[3]})
	case 7:
		copy(b[:8], s.within(open6).AsSlice())
		b[8], b[10], b[11] = []byte{0, 1, 2, 3}[s.IntN(4)], 0x5e, 0xfe
	}
	return netip.AddrFrom16(b)
}

// name invents a name that leads to the addresses.
func (s *speller) name(all ...netip.Addr) string {
	name := s.pick("", "", "alias-") + fmt.Sprintf("n%d.example", s.Uint64())
	s.mu.Lock()
	s.known = map[string][]netip.Addr{name: all}
	s.mu.Unlock()
	return s.mixCase(name) + s.pick("", ".")
}

// forbidden is a host that must not be reached; opened is one that may, and its address.
func (s *speller) forbidden() string {
	switch s.IntN(6) {
	case 0, 1:
		return s.four(s.within(closed4))
	case 2:
		return s.six(s.within(closed6))
	case 3:
		v4 := s.within(closed4)
		if s.IntN(4) == 0 {
			return s.name(s.carry(v4))
		}
		return s.six(s.carry(v4))
	case 4:
		return s.name(s.within(closed4), s.within(closed6), s.carry(s.within(closed4)))
	}
	return s.name(s.within(closed4))
}

func (s *speller) opened() (string, netip.Addr) {
	four, six := s.within(open4), s.within(open6)
	switch s.IntN(5) {
	case 0:
		return four.String(), four
	case 1:
		return "[::ffff:" + four.String() + "]", four
	case 2:
		return "[" + s.mixCase(six.StringExpanded()) + "]", six
	case 3:
		return s.name(six), six
	}
	return s.name(four, s.within(closed4), s.carry(four)), four
}

func TestClient_RandomSpellingsMakeNoConnection(t *testing.T) {
	t.Parallel()
	count, seed := 4000, uint64(1)
	if os.Getenv("TORTURE") == "full" {
		count, seed = 40_000, rand.Uint64()
	}
	near := listen(t, http.NotFoundHandler())
	s := &speller{Rand: rand.New(rand.NewPCG(seed, 0))}
	client := watch(t, outbound.Options{}, names(s.lookup).lenient())
	asWritten, atDial, otherwise, let := 0, 0, 0, 0
	for i := range count {
		do := client.Do
		if i%2 == 1 {
			do = client.Unchecked
		}
		if i%10 == 0 {
			host, want := s.opened()
			err := try(t, do, "http://"+host+":"+near.port+"/")
			if passed := client.taken(); err == nil || len(passed) == 0 || slices.ContainsFunc(passed, func(ip netip.Addr) bool { return ip != want }) {
				t.Errorf("seed %d: %s: %v %v, expected a connection to %s", seed, host, passed, err, want)
			}
			let++
			continue
		}
		host := s.pick("", "", "", "", "crm.example.com@", "user:password@") + s.forbidden()
		err := try(t, do, s.pick("http", "https", "HTTP")+"://"+host+":"+near.port+"/"+s.pick("", "?x", "@crm.example.com"))
		switch {
		case err == nil:
			t.Errorf("seed %d: %s was answered", seed, host)
		case errors.Is(err, outbound.ErrForbidden):
			atDial++
		case errors.Is(err, outbound.ErrURL):
			asWritten++
		default:
			otherwise++
		}
		if passed := client.taken(); len(passed) > 0 {
			t.Errorf("seed %d: %s would have connected to %v", seed, host, passed)
		}
	}
	t.Logf("seed %d: %d refused as written, %d when dialled, %d for other reasons; %d public ones were let through", seed, asWritten, atDial, otherwise, let)
	if atDial < count/3 {
		t.Errorf("only %d of %d came to the guard", atDial, count)
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}
