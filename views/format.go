package views

import (
	"fmt"
	"strings"
	"time"
)

// Clock is a time span as the console writes it: "9 h", "1:24", "0:41". It must agree with tick in console.js.
func Clock(d time.Duration) string {
	d = d.Abs()
	if d >= time.Hour {
		return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	}
	s := int(d / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// Place is where a zone's clock is read: the city of its name, or empty.
func Place(zone string) string {
	_, city, ok := strings.Cut(zone, "/")
	if !ok || strings.HasPrefix(zone, "Etc/") {
		return ""
	}
	if _, deeper, ok := strings.Cut(city, "/"); ok {
		city = deeper
	}
	return strings.ReplaceAll(city, "_", " ")
}

// LocalTime is the wall clock in a zone, such as 14:32; empty when the zone is unknown.
func LocalTime(at time.Time, zone string) string {
	if zone == "" {
		return ""
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return ""
	}
	return at.In(loc).Format("15:04")
}

// Readable makes a slug or an option readable: "pricing_question" becomes "Pricing question".
func Readable(slug string) string {
	s := strings.NewReplacer("_", " ", "-", " ").Replace(slug)
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// plural is a count with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// joined puts the non-empty parts of a meta line together as short sentences: "14:32 in Berlin. Routing. From google."
func joined(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " · ")
}
