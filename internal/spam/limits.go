package spam

import (
	"net/netip"
	"strings"
	"time"

	"leadline/internal/fault"
	"leadline/internal/lead"
)

// Admit counts one request against the limits that its form sets, or says with a Throttled fault when the next one may come. A form
// without limits counts nothing. An address of IPv6 counts by its /64, which is what one household or office gets; its network is
// the /48, or the /24 of IPv4.
func (g *Guard) Admit(form *lead.Form, address string) error {
	if form.PerIP.Events < 1 && form.PerNetwork.Events < 1 && form.PerForm.Events < 1 {
		return nil
	}
	near, around := prefixes(parseAddress(address))
	now := g.Now()
	for _, l := range []struct {
		kind   kind
		rate   lead.Rate
		prefix netip.Prefix
	}{{perAddress, form.PerIP, near}, {perNetwork, form.PerNetwork, around}, {perForm, form.PerForm, netip.Prefix{}}} {
		if l.rate.Events < 1 {
			continue
		}
		if wait := g.limits.wait(g.limits.key(whom{kind: l.kind, form: form.Slug, prefix: l.prefix}), l.rate, l.rate.Events, now); wait > 0 {
			return tooMany(l.kind, wait)
		}
	}
	return nil
}

// AdmitClient is Admit for what a machine client signs: each keeps to the rate that was agreed with it, wherever it sends from.
func (g *Guard) AdmitClient(client string, rate lead.Rate) error {
	if rate.Events < 1 || rate.Per <= 0 {
		return nil
	}
	wait := g.limits.wait(g.limits.key(whom{kind: perClient, person: client}), rate, rate.Events, g.Now())
	if wait == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Throttled, RetryAfter: wait, Message: "This client sends more than was agreed. Send it again when Retry-After is over."}
}

func tooMany(k kind, wait time.Duration) *fault.Error {
	from := "from your network"
	if k == perForm {
		from = "to this form"
	}
	return &fault.Error{Kind: fault.Throttled, RetryAfter: wait, Message: "Too many answers came " + from + " just now. Yours is not lost: it is sent again in a moment."}
}

// prefixes are what one sender is likely to own, and the network around it.
func prefixes(address netip.Addr) (near, around netip.Prefix) {
	if !address.IsValid() {
		return near, around
	}
	bits, wide := 32, 24
	if address.Is6() {
		bits, wide = 64, 48
	}
	near, _ = address.Prefix(bits) // the length fits the kind
	around, _ = address.Prefix(wide)
	return near, around
}

// parseAddress gives the zero Addr for what is no address.
func parseAddress(text string) netip.Addr {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// personKey tells one person from another as well as it can before anything is checked: by e-mail address, else by the digits of the phone
// number. Empty when neither was given.
func personKey(raw *lead.Raw) (key string, known bool) {
	if email := strings.TrimSpace(raw.Email.Plain()); email != "" {
		return strings.ToLower(email), true
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, raw.Phone.Plain())
	return digits, digits != ""
}

func emailDomain(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(strings.Trim(email[at+1:], " .>"))
}
