package lead

import "strings"

// cleanContext keeps what helps and shortens what is too long: telemetry is never a reason to refuse. Campaigns and addresses of pages
// are looked at by many people, so no e-mail address stays in them.
func cleanContext(c Context) Context {
	c.PageURL, c.Referrer = cleanURL(c.PageURL), cleanURL(c.Referrer)
	for _, s := range []*string{&c.UTMSource, &c.UTMMedium, &c.UTMCampaign, &c.UTMTerm, &c.UTMContent} {
		*s = cut(withoutAddresses(line(head(*s, maxContext))), maxContext)
	}
	for _, s := range []*string{&c.SubmittedAt, &c.Locale, &c.Device, &c.Network} {
		*s = cut(line(head(*s, maxOther)), maxOther)
	}
	c.Timezone = timezone(c.Timezone)
	return c
}

// source is what reports go by: the campaign's source in small letters. One with an at sign is dropped, because it must never be anybody's
// address.
func source(utm string) string {
	utm = strings.ToLower(utm)
	if strings.Contains(utm, "@") || strings.Contains(utm, "%40") || strings.Contains(utm, hiddenAddress) {
		return ""
	}
	return cut(utm, maxOther)
}

// cleanURL keeps addresses of web pages alone, without the name and password that may stand before the host, without e-mail addresses, and
// without the values of parameters that name a person.
func cleanURL(s string) string {
	s = line(head(s, maxContext))
	scheme, rest, found := strings.Cut(s, "://")
	if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return ""
	}
	host, path := rest, ""
	if end := strings.IndexAny(rest, "/?#\\"); end >= 0 {
		host, path = rest[:end], rest[end:]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	if host == "" {
		return ""
	}
	return cut(strings.ToLower(scheme)+"://"+withoutAddresses(host)+withoutPersons(withoutAddresses(path)), maxContext)
}

// personal are parameters that name a person, folded.
var personal = map[string]bool{
	"email": true, "mail": true, "emailaddress": true, "useremail": true, "phone": true, "phonenumber": true, "tel": true, "telephone": true,
	"mobile": true, "firstname": true, "lastname": true, "fullname": true, "surname": true, "fname": true, "lname": true, "password": true,
}

// withoutPersons empties the parameters of an address that name a person, in its query and in what follows a #.
func withoutPersons(s string) string {
	start := strings.IndexAny(s, "?#")
	if start < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:start])
	for rest := s[start:]; rest != ""; {
		end := strings.IndexAny(rest[1:], "&?#;") + 1
		if end == 0 {
			end = len(rest)
		}
		name, _, found := strings.Cut(rest[1:end], "=")
		if found && personal[fold(name)] {
			b.WriteString(rest[:1] + name + "=")
		} else {
			b.WriteString(rest[:end])
		}
		rest = rest[end:]
	}
	return b.String()
}

// hiddenAddress stands where an e-mail address stood.
const hiddenAddress = "[email]"

// atSigns are the ways to write an at sign in an address of the web, encoded up to three times and in full width among them.
var atSigns = []string{"@", "%40", "%2540", "%252540", "\uFF20", "\uFE6B", "%ef%bc%a0", "%EF%BC%A0"}

// withoutAddresses puts hiddenAddress in the place of everything that looks like an e-mail address.
func withoutAddresses(s string) string {
	for from := 0; ; {
		at := strings.IndexAny(s[from:], "@%\uFF20\uFE6B")
		if at < 0 {
			return s
		}
		at += from
		after := at + atSign(s[at:])
		start, end := at, after
		for start > 0 && isLocalByte(s[start-1]) {
			start--
		}
		for end < len(s) && isDomainByte(s[end]) {
			end++
		}
		switch {
		case after == at: // a percent sign that begins something else
			from = at + 1
		case start == at || !strings.Contains(strings.Trim(s[after:end], "."), "."):
			from = after
		default:
			s = s[:start] + hiddenAddress + s[end:]
			from = start + len(hiddenAddress)
		}
	}
}

// atSign is the length of the at sign that s begins with; 0 when it begins with none.
func atSign(s string) int {
	for _, sign := range atSigns {
		if strings.HasPrefix(s, sign) {
			return len(sign)
		}
	}
	return 0
}

// isLocalByte tells what belongs to the part before the at sign. Percent signs do: letters of other scripts are sent encoded.
func isLocalByte(b byte) bool {
	return isAlnum(b) || b >= 0x80 || strings.IndexByte(".!#$%'*+-^_`{|}~", b) >= 0
}

// isDomainByte tells what belongs to the part after it.
func isDomainByte(b byte) bool {
	return isAlnum(b) || b >= 0x80 || b == '.' || b == '-' || b == '_'
}
