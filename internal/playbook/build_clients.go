package playbook

import (
	"fmt"
	"slices"

	"leadline/internal/machine"
)

// ClientKeyNames are the stored secrets that are keys of clients, sorted, each once.
func (c *Config) ClientKeyNames() []string {
	var refs []string
	for _, client := range c.Clients {
		refs = append(refs, client.Keys...)
	}
	return storedNames(refs)
}

func (b *builder) clients() {
	names := b.names("clients", "slug")
	keyOf := map[string]string{} // whose key a reference is
	for i := range b.doc.Clients {
		d := &b.doc.Clients[i]
		path := names.add(i, d.Slug)
		what := fmt.Sprintf("client %q", d.Slug)
		if len(d.Forms) == 0 {
			b.fail(path, "missing", "add forms: [SLUG]", "%s has no form to post to", what)
		}
		for j, form := range d.Forms {
			if slices.Index(d.Forms, form) < j {
				b.fail(fmt.Sprintf("%s.forms[%d]", path, j), "duplicate", "remove one of them", "%s has the form %q twice", what, form)
			}
		}
		b.clientKeys(path, what, d.Keys, keyOf)
		b.cfg.Clients = append(b.cfg.Clients, Client{
			Slug: d.Slug, Forms: d.Forms, Keys: d.Keys, Limit: b.rate(path+".limit", what+": limit", &d.Limit),
		})
	}
}

// clientKeys checks the references to a client's keys. A key belongs to one client: it is how we know who is posting.
func (b *builder) clientKeys(path, what string, keys []string, keyOf map[string]string) {
	switch {
	case len(keys) == 0:
		b.fail(path, "missing", `add keys: ["secret:NAME"]`, "%s has no key", what)
	case len(keys) > machine.MaxKeys:
		b.fail(path+".keys", "too_many", "keep the present one and the next", "%s has %d keys; %d are enough to exchange one", what, len(keys), machine.MaxKeys)
	}
	for j, key := range keys {
		at := fmt.Sprintf("%s.keys[%d]", path, j)
		before := len(b.problems)
		b.reference(at, what+": a key", key)
		switch {
		case len(b.problems) > before: // what stands there may be the key itself
		case key == "":
			b.fail(at, "missing", "remove it", "%s has an empty key", what)
		case keyOf[key] == what:
			b.fail(at, "duplicate", "remove one of them", "%s has the key %s twice", what, key)
		case keyOf[key] != "":
			b.fail(at, "duplicate", "give each client a key of its own", "%s and %s share the key %s", keyOf[key], what, key)
		}
		keyOf[key] = what
	}
}

// clientForms checks that clients post to forms that exist, and that no form has so many clients that trying all their keys takes long.
func (c *checker) clientForms(forms []string) {
	posting := map[string]int{}
	for i, client := range c.cfg.Clients {
		for j, form := range client.Forms {
			path := fmt.Sprintf("clients[%d].forms[%d]", i, j)
			if !slices.Contains(forms, form) {
				c.fail(path, "unknown", meant(form, forms), "client %q: there is no form %q", client.Slug, form)
			}
			if posting[form]++; posting[form] == machine.MaxClients+1 {
				c.fail(path, "too_many", "let some post to another form", "form %q has more than %d clients", form, machine.MaxClients)
			}
		}
	}
}
