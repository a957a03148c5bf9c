package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// How much of the past the journal keeps: the oldest calls go first.
const (
	maxCalls     = 200_000
	maxCallBytes = 256 << 20
)

// Call is one request a vendor received.
type Call struct {
	At      time.Time         `json:"at"` // when it had been read completely
	Vendor  string            `json:"vendor"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"` // names in lower case, credentials masked
	Body    json.RawMessage   `json:"body"`    // the JSON that was sent, or other text as a JSON string
	Status  int               `json:"status"`  // what was answered, for mail the reply code; 0: nothing (yet)
	Repeat  bool              `json:"repeat"`  // carried the id of a write that had been stored before
}

// journal is every call in order of arrival. Calls are named by their number since the start.
type journal struct {
	mu    sync.Mutex
	first int64 // number of calls[0]
	calls []*Call
	bytes int
}

func newJournal() *journal { return &journal{} }

// add notes a call and returns its number.
func (j *journal) add(vendor string, r *http.Request, body []byte, at time.Time) int64 {
	return j.note(&Call{At: at, Vendor: vendor, Method: r.Method, Path: r.URL.RequestURI(), Headers: maskedHeaders(r.Header), Body: asJSON(body)})
}

// note keeps a call and returns its number.
func (j *journal) note(c *Call) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, c)
	j.bytes += len(c.Body)
	for len(j.calls) > maxCalls || j.bytes > maxCallBytes {
		j.bytes -= len(j.calls[0].Body)
		j.calls[0] = nil
		j.calls = j.calls[1:]
		j.first++
	}
	return j.first + int64(len(j.calls)) - 1
}

func (j *journal) answered(n int64, status int) {
	j.change(n, func(c *Call) { c.Status = status })
}

func (j *journal) repeat(n int64, is bool) {
	if is {
		j.change(n, func(c *Call) { c.Repeat = true })
	}
}

func (j *journal) change(n int64, f func(*Call)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i := n - j.first; i >= 0 && i < int64(len(j.calls)) {
		f(j.calls[i])
	}
}

// list copies the calls of a vendor ("": of all), oldest first.
func (j *journal) list(vendor string) []Call {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Call, 0, len(j.calls))
	for _, c := range j.calls {
		if vendor == "" || c.Vendor == vendor {
			out = append(out, *c)
		}
	}
	return out
}

// clear forgets the calls of a vendor ("": of all). Calls of others keep their order; a call still being answered is forgotten too.
func (j *journal) clear(vendor string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var keep []*Call
	j.bytes = 0
	for _, c := range j.calls {
		if vendor != "" && c.Vendor != vendor {
			keep = append(keep, c)
			j.bytes += len(c.Body)
		}
	}
	j.first += int64(len(j.calls)) // numbers given out so far point to nothing from now on
	j.calls = keep
}

func maskedHeaders(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for k, v := range h {
		k = strings.ToLower(k)
		out[k] = strings.Join(v, ", ")
		if k == "authorization" || k == "cookie" || k == "proxy-authorization" {
			out[k] = "[credential]"
		}
	}
	return out
}

func asJSON(body []byte) json.RawMessage {
	if len(body) > 0 && json.Valid(body) {
		return body
	}
	text, err := json.Marshal(string(body))
	if err != nil { // strings always marshal
		return json.RawMessage(`""`)
	}
	return text
}
