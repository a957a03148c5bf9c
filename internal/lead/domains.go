package lead

import (
	_ "embed"
	"strings"
	"sync"
)

// The classes of e-mail domains.
const (
	DomainBusiness   = "business"
	DomainFree       = "free"
	DomainDisposable = "disposable"
)

var (
	//go:embed domains_free.txt
	freeList string
	//go:embed domains_disposable.txt
	disposableList string

	freeDomains       = sync.OnceValue(func() map[string]bool { return set(freeList) })
	disposableDomains = sync.OnceValue(func() map[string]bool { return set(disposableList) })
)

// DomainClass tells business domains from free mailboxes and throw-away ones; sub-domains count as their parent.
func DomainClass(domain string) string {
	for d := domain; d != ""; {
		switch {
		case disposableDomains()[d]:
			return DomainDisposable
		case freeDomains()[d]:
			return DomainFree
		}
		_, rest, found := strings.Cut(d, ".")
		if !found {
			break
		}
		d = rest
	}
	return DomainBusiness
}

// set reads a list of one word a line; # begins a comment.
func set(list string) map[string]bool {
	out := map[string]bool{}
	for l := range strings.Lines(list) {
		l, _, _ = strings.Cut(l, "#")
		if l = strings.TrimSpace(l); l != "" {
			out[l] = true
		}
	}
	return out
}
