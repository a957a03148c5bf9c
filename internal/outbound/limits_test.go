package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"leadline/internal/outbound"
)

var here = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// said is what a call brought.
type said struct {
	code   int
	header http.Header
	read   int64 // bytes of the body
	again  error // from reading on after the end or an error
}

// answer calls a server of the test through a client that may reach it, and reads what it says. The error is the call's or the
// reading's.
func answer(t *testing.T, ctx context.Context, o outbound.Options, handler http.HandlerFunc) (said, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	o.Allow = here
	client := outbound.New(o)
	defer client.CloseIdle()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return said{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	got := said{code: resp.StatusCode, header: resp.Header}
	got.read, err = io.Copy(io.Discard, resp.Body)
	_, got.again = resp.Body.Read(make([]byte, 1))
	return got, err
}

func TestClient_ReadsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	for size, limit := range map[int]int64{0: 10, 9: 10, 10: 10, 11: 10, 100_000: 10, 1 << 20: 0, 1<<20 + 1: 0} {
		most := limit
		if most == 0 {
			most = 1 << 20
		}
		got, err := answer(t, t.Context(), outbound.Options{MaxBody: limit}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte("x"), size))
		})
		var want error
		if int64(size) > most {
			want = outbound.ErrTooLarge
		}
		if got.read != min(int64(size), most) || !errors.Is(err, want) || want != nil && !errors.Is(got.again, want) {
			t.Errorf("%d bytes, limit %d: read %d, %v, then %v", size, most, got.read, err, got.again)
		}
	}
}

// Not parallel: it looks at the memory of the whole process.
func TestClient_BombUnfoldsNoFurtherThanTheLimit(t *testing.T) {
	var part bytes.Buffer
	w := gzip.NewWriter(&part)
	_, _ = w.Write(make([]byte, 16<<20))
	_ = w.Close()
	bomb := bytes.Repeat(part.Bytes(), 64) // members of a gzip add up: 1 GiB in 1 MiB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := answer(t, t.Context(), outbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Error("compression was not offered; is this test about anything?")
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	runtime.ReadMemStats(&after)
	took := after.TotalAlloc - before.TotalAlloc
	t.Logf("a bomb of %d KiB gave %d KiB and took %d KiB of memory", len(bomb)>>10, got.read>>10, took>>10)
	if !errors.Is(err, outbound.ErrTooLarge) || got.read != 1<<20 || took > 8<<20 {
		t.Errorf("%d bytes, %v, %d bytes of memory", got.read, err, took)
	}
}

func TestClient_HeadersHaveALimit(t *testing.T) {
	t.Parallel()
	_, err := answer(t, t.Context(), outbound.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Header().Add("X-Long", strings.Repeat("x", 1000))
		}
	})
	if err == nil {
		t.Error("100 kB of headers were taken")
	}
}

func TestClient_EndsCallsThatNobodyElseEnds(t *testing.T) {
	t.Parallel()
	drip := func(w http.ResponseWriter, r *http.Request) { // a byte now and then, for ever
		every := time.NewTicker(time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-every.C:
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices that the caller is gone once the body is read
		<-r.Context().Done()
	}
	for name, handler := range map[string]http.HandlerFunc{"drip": drip, "silence": silent} {
		_, err := answer(t, t.Context(), outbound.Options{Limit: 100 * time.Millisecond}, handler)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, the client's limit: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = answer(t, ctx, outbound.Options{Limit: time.Hour}, handler)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, the caller's limit: %v", name, err)
		}
	}
}

func TestClient_LeavesLongerDeadlinesAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := answer(t, ctx, outbound.Options{Limit: time.Nanosecond}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	if got.read != 2 || err != nil {
		t.Errorf("%+v %v", got, err)
	}
}
