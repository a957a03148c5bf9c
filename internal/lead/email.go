package lead

import (
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Longest parts of an e-mail address, in bytes, as RFC 5321 has them.
const (
	maxLocal  = 64
	maxDomain = 253
)

// ParseEmail gives an address its stored form: the local part as written, the domain lower-cased and in ASCII. What people paste around
// an address (a name and angle brackets, mailto:, quotes, a full stop) is taken off. ok is false when it cannot be an address; whether
// it exists is not asked.
func ParseEmail(s string) (address, domain string, ok bool) {
	if len(s) > 16*maxEmail {
		return "", "", false
	}
	s = unwrapped(strings.Map(halfWidth, line(s)))
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return "", "", false
	}
	local, host := strings.TrimRight(s[:at], " "), strings.Trim(s[at+1:], " ")
	if domain, ok = asciiDomain(host); !ok || !plausibleLocal(local, domain) {
		return "", "", false
	}
	address = local + "@" + domain
	return address, domain, len(address) <= maxEmail
}

// unwrapped takes off what surrounds an address that was pasted.
func unwrapped(s string) string {
	s = strings.Trim(s, " ,;")
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") { // Anna <anna@acme.com>
		s = s[open+1 : len(s)-1]
	}
	s = strings.TrimRight(s, " .,;:>")
	for _, pair := range []string{`""`, "''", "()", "[]", "“”", "‘’", "«»", "„“"} {
		open, end, _ := splitPair(pair)
		if inner, found := strings.CutPrefix(s, open); found && strings.HasSuffix(inner, end) {
			s = strings.Trim(inner[:len(inner)-len(end)], " ,;")
		}
	}
	for _, scheme := range []string{"mailto:", "e-mail:", "email:", "mail:"} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			s = strings.TrimLeft(s[len(scheme):], " ")
			if scheme == "mailto:" {
				s = fromURL(s)
			}
			break
		}
	}
	return strings.TrimRight(s, " .,;:>")
}

// splitPair parts an opening from a closing mark.
func splitPair(pair string) (open, end string, ok bool) {
	for i := range pair {
		if i > 0 {
			return pair[:i], pair[i:], true
		}
	}
	return pair, "", false
}

// fromURL reads the address of a mailto: link, without subject and the like.
func fromURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if plain, err := url.PathUnescape(s); err == nil {
		return line(plain)
	}
	return s
}

// asciiDomain gives a domain its lower-case ASCII form. IP addresses and names of hosts are none.
func asciiDomain(s string) (domain string, ok bool) {
	if !isASCII(s) || strings.Contains(s, "--") {
		ascii, err := idna.Lookup.ToASCII(s)
		if err != nil {
			return "", false
		}
		s = ascii
	}
	s = strings.ToLower(s)
	return s, plausibleDomain(s)
}

// plausibleLocal accepts what mail systems really use: no quoting, no spaces, dots only between other characters.
func plausibleLocal(s, domain string) bool {
	if s == "" || len(s) > maxLocal || s[0] == '.' {
		return false
	}
	if (s[len(s)-1] == '.' || strings.Contains(s, "..")) && !looseDots[domain] {
		return false
	}
	for _, r := range s {
		switch {
		case r <= unicode.MaxASCII:
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
				return false
			}
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			return false
		}
	}
	return true
}

// looseDots are mobile operators of Japan that once gave out addresses with dots in a row or at the end; many people still have one.
var looseDots = map[string]bool{"docomo.ne.jp": true, "ezweb.ne.jp": true}

// plausibleDomain wants two labels or more and a last one that is no number, so that IP addresses and host names fall out.
func plausibleDomain(s string) bool {
	if len(s) > maxDomain {
		return false
	}
	labels, top := 0, ""
	for l := range strings.SplitSeq(s, ".") {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if !isAlnum(l[i]) && l[i] != '-' {
				return false
			}
		}
		labels, top = labels+1, l
	}
	return labels > 1 && len(top) > 1 && strings.Trim(top, "0123456789") != ""
}

// EmailMatch is the form in which two addresses are compared: compatibility forms resolved and lower-cased.
func EmailMatch(address string) string {
	if isASCII(address) {
		return strings.ToLower(address)
	}
	return strings.ToLower(norm.NFKC.String(address))
}

// emailHint names the mailbox that somebody surely meant: "gmail.com" for anna@gmail and anna@gmail,com. Empty: nobody can know. It is
// never more than a well-known name, because messages are shown and kept in many places.
func emailHint(s string) string {
	_, host, found := strings.Cut(strings.Map(halfWidth, line(s)), "@")
	if !found {
		return ""
	}
	host = strings.Map(func(r rune) rune {
		if r == ',' || r == ';' || r == ' ' {
			return '.'
		}
		return unicode.ToLower(r)
	}, strings.Trim(host, " .,;:>"))
	for strings.Contains(host, "..") {
		host = strings.ReplaceAll(host, "..", ".")
	}
	for _, known := range []string{host, host + ".com"} {
		if freeDomains()[known] {
			return known
		}
	}
	return ""
}

func isAlnum(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}
