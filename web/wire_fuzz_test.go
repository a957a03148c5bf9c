package web_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"leadline/web"
)

// wireSeeds are requests that are right, and such as have been used against other servers.
var wireSeeds = []string{
	get + "\r\n",
	post + "Content-Length: 3\r\n\r\na=1",
	post + "Content-Length: 3\r\n\r\na=1" + smuggle,
	post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\na=1",
	post + "Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
	post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\na=1\r\n0\r\n\r\n" + smuggle,
	post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + smuggle,
	get + "X-A: b\r\n c\r\n\r\n" + smuggle,
	"GET http://a.example/healthz HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"GET /healthz HTTP/1.0\r\n\r\n",
}

// agrees holds our reading of some bytes against that of the standard library: whatever we let through it must read in the same way.
func agrees(raw []byte) error {
	ours := web.ReadByFiber(raw)
	reader := bufio.NewReader(bytes.NewReader(raw))
	for i, got := range ours {
		req, err := http.ReadRequest(reader)
		if err != nil {
			return fmt.Errorf("request %d: %s, which the standard library refuses: %w", i, got, err)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil && req.TransferEncoding != nil && i == len(ours)-1 {
			return nil // chunks that it does not like: whatever they mean, the connection was closed behind them
		}
		if err != nil {
			return fmt.Errorf("request %d: %s, whose body the standard library refuses: %w", i, got, err)
		}
		if want := fmt.Sprintf("%s %s host=%q body=%q", req.Method, req.RequestURI, req.Host, body); !strings.EqualFold(got, want) {
			return fmt.Errorf("request %d: %s, which the standard library reads as %s", i, got, want)
		}
	}
	return nil
}

func FuzzWire_IsReadInOneWay(f *testing.F) {
	for _, seed := range wireSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := agrees(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// The same with changes made at random, so that each run of the tests looks at some thousands.
func TestWire_IsReadAsTheStandardLibraryReadsIt(t *testing.T) {
	const rounds = 10_000
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{
		"\r\n", "\n", "\r", " ", "\t", "\x00", ":", ",", ";", "\x0b", "\xff", "0", "1", "-", "+", "/", "#", "@", "\r\n\r\n", "\r\n ", "HTTP/1.0", "Content-Length: 1\r\n",
		"Content-Length: 30\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Host: b.example\r\n", "chunked", "Connection: close\r\n", "Expect: 100-continue\r\n", smuggle,
	}
	accepted := 0
	for range rounds {
		raw := []byte(wireSeeds[r.IntN(len(wireSeeds))])
		for range 1 + r.IntN(3) {
			at := r.IntN(len(raw) + 1)
			piece := pieces[r.IntN(len(pieces))]
			switch r.IntN(3) {
			case 0: // put in
				raw = []byte(string(raw[:at]) + piece + string(raw[at:]))
			case 1: // put over
				raw = []byte(string(raw[:at]) + piece + string(raw[min(len(raw), at+len(piece)):]))
			default: // cut out
				raw = []byte(string(raw[:at]) + string(raw[min(len(raw), at+1+r.IntN(3)):]))
			}
			if len(raw) == 0 {
				raw = []byte(get)
			}
		}
		if err := agrees(raw); err != nil {
			t.Fatalf("seed %d: %q: %v", seed, raw, err)
		}
		accepted += min(1, len(web.ReadByFiber(raw)))
	}
	if accepted < rounds/20 {
		t.Errorf("only %d of %d were let through, which proves little", accepted, rounds)
	}
}

func BenchmarkWire_StrictReading(b *testing.B) {
	headers := "Host: leads.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 420\r\nAccept: */*\r\nOrigin: https://www.example.com\r\nReferer: https://www.example.com/demo\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\nPriority: u=1, i\r\n\r\n"
	first := []byte("POST /v1/forms/demo/leads HTTP/1.1\r\n" + headers)
	b.ReportAllocs()
	for b.Loop() {
		if !web.StrictRead(first, []byte(headers)) {
			b.Fatal("refused")
		}
	}
}
