package outbound_test

import (
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"leadline/internal/outbound"
)

// turns is a name whose addresses change from look-up to look-up; the last ones stay. A look-up is a question for IPv4 and
// one for IPv6 at once, so each kind is counted by itself.
type turns struct {
	mu    sync.Mutex
	all   [][]netip.Addr
	asked int
}

func (r *turns) lookup(name string) []netip.Addr {
	if name != "rebind.example" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.all[min(r.asked/2, len(r.all)-1)]
	r.asked++
	return now
}

func (r *turns) lookups() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked / 2
}

// Between a check and the dial a name may change; here there is nothing between them, because what is checked is what is dialled.
func TestClient_RebindingBetweenLookupsReachesNothing(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	public := addrs("93.184.215.14")
	for _, private := range [][]netip.Addr{
		addrs("127.0.0.1"), addrs("::1"), addrs("127.0.0.1", "::1"), addrs("169.254.169.254"), addrs("10.0.0.1"), addrs("0.0.0.0"),
		addrs("::ffff:127.0.0.1"), addrs("64:ff9b::7f00:1"), addrs("127.0.0.2"),
	} {
		name := &turns{all: [][]netip.Addr{public, private, public, private}}
		client := watch(t, outbound.Options{}, name.lookup)
		for i := range 4 {
			err := try(t, client.Do, "http://rebind.example:"+near.port+"/")
			passed := client.taken()
			if i%2 == 0 && (!errors.Is(err, errStopped) || len(passed) != 1 || passed[0] != public[0]) {
				t.Errorf("%v, call %d: %v %v, expected the public address", private, i, passed, err)
			}
			if i%2 == 1 && (!errors.Is(err, outbound.ErrForbidden) || len(passed) != 0) {
				t.Errorf("%v, call %d: %v %v, expected a refusal", private, i, passed, err)
			}
			if name.lookups() != i+1 {
				t.Fatalf("%v, call %d: %d look-ups; one is looked at and dialled, another never made", private, i, name.lookups())
			}
		}
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// A connection that is kept belongs to the address that was checked; when it ends, the next one is checked again. 127.0.0.1 is
// the address that may be reached here, what the name turns to may not.
func TestClient_RebindingAcrossReconnectsReachesNothing(t *testing.T) {
	t.Parallel()
	for _, forbidden := range []string{"127.0.0.2", "::1"} {
		near := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/last" {
				w.Header().Set("Connection", "close")
			}
		}))
		name := &turns{all: [][]netip.Addr{addrs("127.0.0.1"), addrs(forbidden)}}
		client := watch(t, outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, name.lookup)
		base := "http://rebind.example:" + near.port
		for _, path := range []string{"/", "/", "/last"} {
			if err := try(t, client.Do, base+path); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		if n := near.accepted.Load(); n != 1 || name.lookups() != 1 {
			t.Errorf("%d connections and %d look-ups for three calls", n, name.lookups())
		}
		for range 3 {
			if err := try(t, client.Do, base+"/"); !errors.Is(err, outbound.ErrForbidden) {
				t.Errorf("after the name turned to %s: %v", forbidden, err)
			}
			client.CloseIdle()
		}
		if passed := client.taken(); len(passed) != 1 || near.accepted.Load() != 1 {
			t.Errorf("connections to %v, %d arrived", passed, near.accepted.Load())
		}
	}
}

func TestClient_ManyAtOnceWhileTheNameTurns(t *testing.T) {
	t.Parallel()
	near := listen(t, http.NotFoundHandler())
	var all [][]netip.Addr
	for range 200 {
		all = append(all, addrs("93.184.215.14"), addrs("127.0.0.1", "::1"), addrs("169.254.169.254", "93.184.215.14"))
	}
	name := &turns{all: all}
	client := watch(t, outbound.Options{}, name.lookup)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 60 {
				if try(t, client.Do, "http://rebind.example:"+near.port+"/") == nil {
					t.Error("a call was answered")
				}
			}
		})
	}
	wait.Wait()
	for _, ip := range client.taken() {
		if ip.String() != "93.184.215.14" {
			t.Errorf("would have connected to %s", ip)
		}
	}
	if n := near.accepted.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}
