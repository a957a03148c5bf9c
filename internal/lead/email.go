package lead

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
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

// ParseEmail gives an address its stored form: the local part as written, the domain lower-cased and in ASCII. ok is false
// when it cannot be an address; whether it exists is not asked.
func ParseEmail(s string) (address, domain string, ok bool) {
	s = strings.ReplaceAll(line(s), "＠", "@")
	s = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || !plausibleLocal(s[:at]) {
		return "", "", false
	}
	domain, err := idna.Lookup.ToASCII(strings.TrimSuffix(s[at+1:], "."))
	domain = strings.ToLower(domain)
	if err != nil || !plausibleDomain(domain) {
		return "", "", false
	}
	address = s[:at] + "@" + domain
	return address, domain, utf8.RuneCountInString(address) <= maxEmail
}

// plausibleLocal accepts what mail systems really use: no quoting, no spaces, dots only between other characters.
func plausibleLocal(s string) bool {
	if len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
				return false
			}
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			return false
		}
	}
	return true
}

// plausibleDomain wants two labels or more and a last one that is no number, so that IP addresses and host names fall out.
func plausibleDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > 253 || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if !isAlnum(l[i]) && l[i] != '-' {
				return false
			}
		}
	}
	top := labels[len(labels)-1]
	return len(top) >= 2 && strings.Trim(top, "0123456789") != ""
}

// EmailMatch is the form in which two addresses are compared: compatibility forms resolved and lower-cased.
func EmailMatch(address string) string { return strings.ToLower(norm.NFKC.String(address)) }

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

func isAlnum(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
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
