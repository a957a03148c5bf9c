package playbook

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"leadline/internal/lead"
	"leadline/internal/rep"
	"leadline/internal/routing"
)

// builder turns a document into a Config, and the document into its canonical form on the way.
type builder struct {
	*reader
	cfg    *Config
	quotas map[string]routing.Quota // of groups, by slug
}

func (b *builder) build() {
	b.forms()
	b.teams()
	b.calendars()
	b.reps()
	b.groups()
	b.pools()
	b.territories()
	b.stages()
	b.rules()
	b.sets()
	b.lists()
	b.tests()
	b.connections()
	b.clients()
	b.publishing()
}

// publishing says what it takes to replace this version.
func (b *builder) publishing() {
	if b.doc.Publishing.Approvals < 0 || b.doc.Publishing.Approvals > 1 {
		b.fail("publishing.approvals", "range", "use 1, or leave it out", "approvals cannot be %d", b.doc.Publishing.Approvals)
	}
	b.cfg.Approvals = b.doc.Publishing.Approvals
}

var slugRE = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// names checks the names of a section: present, well formed and used once.
type names struct {
	b       *builder
	section string
	key     string // slug, name or email
	seen    map[string]string
}

func (b *builder) names(section, key string) names {
	return names{b: b, section: section, key: key, seen: map[string]string{}}
}

// add checks one name and gives the path of its entry.
func (n names) add(i int, name string) (path string) {
	path = pathOf(n.section, i)
	at := path + "." + n.key
	one := sections[n.section]
	switch {
	case name == "":
		n.b.fail(path, "missing", "", "a %s needs a %s", one, n.key)
		return path
	case n.key == "slug" && !slugRE.MatchString(name):
		n.b.fail(at, "format", "use small letters, digits and dashes, up to 63 of them", "%s %q: that is no slug", one, name)
	case n.seen[name] != "":
		first := n.b.position(n.seen[name])
		n.b.fail(at, "duplicate", "rename or remove one of them", "there are two %s called %q; the other is at %s:%d", n.section, name, first.file, first.line)
	}
	n.seen[name] = at
	return path
}

// pathOf is where an entry of a section stands.
func pathOf(section string, i int) string { return section + "[" + strconv.Itoa(i) + "]" }

// duration reads a time like 20s or 10m and writes it in the shortest way; text that says the default becomes empty.
func (b *builder) duration(path, what string, text *string, least, most, otherwise time.Duration) time.Duration {
	if *text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d < least || d > most {
		b.fail(path, "duration", fmt.Sprintf("use a time from %s to %s, like %s", short(least), short(most), short(max(least, 20*time.Second))), "%s cannot be %q", what, *text)
		return otherwise
	}
	*text = short(d)
	if d == otherwise {
		*text = ""
	}
	return d
}

// short writes a duration without parts that are zero: 10m, 1h30m, 20s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// rate reads a number per period like 60/1m; empty and none are no limit.
func (b *builder) rate(path, what string, text *string) lead.Rate {
	if *text == "none" {
		*text = ""
	}
	if *text == "" {
		return lead.Rate{}
	}
	count, period, ok := strings.Cut(strings.ReplaceAll(*text, " ", ""), "/")
	n, err := strconv.Atoi(count)
	per, perErr := time.ParseDuration(period)
	if !ok || err != nil || perErr != nil || n < 1 || per < time.Second || per > 24*time.Hour {
		b.fail(path, "rate", "use a number per time, like 60/1m, or none", "%s cannot be %q", what, *text)
		return lead.Rate{}
	}
	*text = fmt.Sprintf("%d/%s", n, short(per))
	return lead.Rate{Events: n, Per: per}
}

// rateOr is rate with a default for what is left out; text that says the default becomes empty, and none stays.
func (b *builder) rateOr(path, what string, text *string, otherwise lead.Rate) lead.Rate {
	switch *text {
	case "":
		return otherwise
	case "none":
		return lead.Rate{}
	}
	r := b.rate(path, what, text)
	if r == otherwise {
		*text = ""
	}
	return r
}

// off reads a switch that is on unless it says false; on is the default and becomes empty.
func off(text **bool) bool {
	if *text == nil || **text {
		*text = nil
		return false
	}
	return true
}

// word checks a value out of a few; the first one is the default and becomes empty.
func (b *builder) word(path, what string, text *string, known ...string) string {
	if *text == "" {
		return known[0]
	}
	for i, k := range known {
		if *text == k {
			if i == 0 {
				*text = ""
			}
			return k
		}
	}
	b.fail(path, "unknown", "use "+strings.Join(known, ", "), "%s cannot be %q", what, *text)
	return known[0]
}

// email gives an address its stored form: small letters. Empty stays empty.
func (b *builder) email(path, what string, text *string) string {
	if *text == "" {
		return ""
	}
	address, _, ok := lead.ParseEmail(*text)
	if !ok {
		b.fail(path, "email", "write it like mia@example.com", "%s: %q is no e-mail address", what, *text)
		return *text
	}
	*text = strings.ToLower(address)
	return *text
}

// zone checks the name of a time zone; UTC is the default and becomes empty.
func (b *builder) zone(path, what string, text *string) string {
	if _, err := rep.Zone(*text); err != nil {
		b.fail(path, "timezone", "", "%s: %v", what, err)
	}
	if *text == "UTC" {
		*text = ""
	}
	if *text == "" {
		return "UTC"
	}
	return *text
}

// hours reads a timetable and writes it in its canonical form.
func (b *builder) hours(path, what string, text *string, tz string) rep.Hours {
	if _, err := rep.Zone(tz); err != nil {
		return rep.Hours{} // reported where the zone stands
	}
	h, err := rep.ParseHours(*text, tz)
	if err != nil {
		b.fail(path, "hours", "", "%s: %v", what, err)
	}
	*text = h.String()
	return h
}
