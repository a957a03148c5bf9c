package playbook

import (
	"slices"
	"time"

	"leadline/internal/routing"
)

// Bounds and default of how long a lead is kept for an owner who is not there.
const (
	leastWait   = 10 * time.Second
	mostWait    = time.Hour
	defaultWait = 2 * time.Minute
)

// mostWithin bounds for how many days a closed lead makes its rep the owner of the next.
const mostWithin = 1825

// stages reads what is asked before any rule: whether somebody writes again, and whose they are already.
func (b *builder) stages() {
	b.cfg.Stages.Attach = b.word("repeat", "repeat", &b.doc.Repeat, "route", "attach") == "attach"
	d, o := &b.doc.Owner, &b.cfg.Stages.Owner
	kinds := make([]string, len(routing.OwnerKinds))
	for i, kind := range routing.OwnerKinds {
		kinds[i] = string(kind)
	}
	b.known("owner.match", "owner: match", d.Match, kinds...)
	if len(d.Match) == 0 {
		d.Match, kinds = nil, nil
	}
	d.Match = slices.DeleteFunc(kinds, func(kind string) bool { return !slices.Contains(d.Match, kind) }) // in the order in which they count
	for _, kind := range d.Match {
		o.Match = append(o.Match, routing.OwnerBy(kind))
	}
	if d.WithinDays < 0 || d.WithinDays > mostWithin {
		b.fail("owner.within_days", "range", "use 1 to 1825, or leave it out", "owner: within_days cannot be %d", d.WithinDays)
	}
	o.Within = time.Duration(d.WithinDays) * 24 * time.Hour
	o.Absent = routing.Absence(b.word("owner.absent", "owner: absent", &d.Absent, string(routing.AbsentPool), string(routing.AbsentWait), string(routing.AbsentSubstitute)))
	b.ownerWait(o)
	b.substitutes(o)
	if len(o.Match) == 0 && (o.Within != 0 || o.Absent != routing.AbsentPool || len(d.Substitutes) > 0) {
		b.fail("owner", "missing", "add match: [person], or remove owner", "owner says nothing about whose leads are looked for")
	}
	if o.Within != 0 && !slices.Contains(o.Match, routing.ByContact) {
		b.fail("owner.within_days", "unused", "add contact to match, or remove it", "owner: within_days is about closed leads, which nobody looks for")
	}
}

func (b *builder) ownerWait(o *routing.Owner) {
	d := &b.doc.Owner
	if o.Absent != routing.AbsentWait {
		if d.Wait != "" {
			b.fail("owner.wait", "unused", "add absent: wait, or remove it", "owner: wait needs absent: wait")
		}
		return
	}
	o.Wait = b.duration("owner.wait", "owner: wait", &d.Wait, leastWait, mostWait, defaultWait)
}

func (b *builder) substitutes(o *routing.Owner) {
	d := &b.doc.Owner
	switch {
	case o.Absent != routing.AbsentSubstitute && len(d.Substitutes) > 0:
		b.fail("owner.substitutes", "unused", "add absent: substitute, or remove them", "owner: substitutes need absent: substitute")
	case o.Absent == routing.AbsentSubstitute && len(d.Substitutes) == 0:
		b.fail("owner", "missing", "add substitutes: [{rep: E-MAIL, by: E-MAIL}]", "owner: absent: substitute does not say who stands in for whom")
	}
	for i := range d.Substitutes {
		s := &d.Substitutes[i]
		path := pathOf("owner.substitutes", i)
		rep, by := b.email(path+".rep", "owner: substitutes", &s.Rep), b.email(path+".by", "owner: substitutes", &s.By)
		switch {
		case rep == "" || by == "" || rep == by:
			b.fail(path, "missing", "write {rep: E-MAIL, by: E-MAIL}", "owner: a substitute needs a rep and another who stands in for them")
		case o.Substitutes[rep] != "":
			b.fail(path+".rep", "duplicate", "remove one of them", "owner: %s has two substitutes", rep)
		default:
			if o.Substitutes == nil {
				o.Substitutes = map[string]string{}
			}
			o.Substitutes[rep] = by
		}
	}
}
