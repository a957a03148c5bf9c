package drift

import (
	"fmt"
	"net/url"
	"strings"

	"leadline/internal/lead"
)

// lettersGroups is how many groups a mail spells out.
const letterGroups = 20

// subject names the form and how many things are new; nothing that a visitor sent.
func subject(form string, groups []Group) string {
	if len(groups) == 1 {
		return "The form " + form + " is sent something it does not expect"
	}
	return fmt.Sprintf("The form %s is sent %d things it does not expect", form, len(groups))
}

// letter is the text of a mail. Values of visitors appear as masked shapes alone.
func letter(publicURL string, form *lead.Form, m waitingMail) string {
	var b strings.Builder
	page := publicURL + "/drift?form=" + url.QueryEscape(m.form)
	fmt.Fprintf(&b, "You look after the form %s. What arrives differs from what the form asks for:\n\n", m.form)
	for i, g := range m.groups {
		if i == letterGroups {
			fmt.Fprintf(&b, "And %d more, all on the page below.\n\n", len(m.groups)-letterGroups)
			break
		}
		fmt.Fprintf(&b, "* %s\n  %s\n  Seen %s today, first at %s UTC.\n", g.Sentence(), g.Consequence(), times(g.Today()), g.First.UTC().Format("2006-01-02 15:04"))
		if len(g.Samples) > 0 {
			fmt.Fprintf(&b, "  Samples (letters are x, digits are 9): %s\n", strings.Join(g.Samples, "   "))
		}
		fmt.Fprintf(&b, "  What to do: %s\n\n", g.Advice(form))
	}
	fmt.Fprintf(&b, "Everything about it, and what to add to the configuration:\n%s\n\n", page)
	b.WriteString("Each of these is mailed to you once a day at most, as long as it goes on and nobody has marked it as resolved.\n")
	b.WriteString("You get this mail because the configuration names you among the owners of this form.\n")
	return b.String()
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
