package outbound_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server in memory: it says which addresses a name has, nil for a name that does not exist.
type names func(name string) []netip.Addr

// resolver asks the names and nobody else.
func (n names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe() // no packet connection, so messages come with their length before them
		go n.serve(ours)
		return theirs, nil
	}}
}

func (n names) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer, err := n.answer(question)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer puts an alias before the addresses of names that begin with "alias-", as a CNAME into another zone would.
func (n names) answer(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	found := n(name)
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	if found == nil {
		message.RCode = dnsmessage.RCodeNameError
	}
	owner := q.Name
	if strings.HasPrefix(name, "alias-") && found != nil {
		owner = dnsmessage.MustNewName("inside.corp.example.")
		message.Answers = append(message.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.CNAMEResource{CNAME: owner},
		})
	}
	for _, ip := range found {
		header := dnsmessage.ResourceHeader{Name: owner, Class: q.Class} // its time to live is zero: every look-up is a new one
		switch {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	return message.Pack()
}

// lenient adds to the names what the most forgiving C library reads as an IPv4 address: one to four parts, each decimal, octal
// or hexadecimal, the last filling what is left. Go's own resolver would ask the DNS for such a name.
func (n names) lenient() names {
	return func(name string) []netip.Addr {
		if ip, ok := aton(name); ok {
			return []netip.Addr{ip}
		}
		return n(name)
	}
}

func aton(text string) (netip.Addr, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 64)
		if last := i == len(parts)-1; err != nil || strings.ContainsAny(part, "_obOB") || !last && n > 255 {
			return netip.Addr{}, false
		} else if last {
			n &= 1<<(8*(5-len(parts))) - 1 // some let it overflow
			all = all<<(8*(5-len(parts))) | n
		} else {
			all = all<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(all)))), true
}

func TestAton_ReadsWhatAForgivingCLibraryReads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"127.1": "127.0.0.1", "0x7f.1": "127.0.0.1", "017700000001": "127.0.0.1", "2130706433": "127.0.0.1", "0300.0250.1": "192.168.0.1",
		"10.1.258": "10.1.1.2", "0251.0376.43518": "169.254.169.254", "4294967297": "0.0.0.1",
	} {
		if got, ok := aton(text); !ok || got.String() != want {
			t.Errorf("%s: %s %v, expected %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"crm.example", "1.2.3.4.5", "256.1", "0x", "", "1..2", "08.1"} {
		if got, ok := aton(text); ok {
			t.Errorf("%q became %s", text, got)
		}
	}
}
