package playbook

import (
	"context"
	"fmt"

	"leadline/internal/machine"
)

// ClientsOf are the machine clients that may post to a form.
func (s *Snapshot) ClientsOf(form string) []machine.Client {
	var out []machine.Client
	for _, c := range s.Clients {
		if c.Posts(form) {
			out = append(out, c)
		}
	}
	return out
}

// clients resolves the keys of all clients. A key that cannot be used stops neither its client's other key nor anybody else. An error
// is one that may pass.
func (l *Live) clients(ctx context.Context, cfg *Config) ([]machine.Client, error) {
	var (
		out   = make([]machine.Client, 0, len(cfg.Clients))
		owner = map[machine.Key]string{}
	)
	for _, c := range cfg.Clients {
		resolved := machine.Client{Slug: c.Slug, Forms: c.Forms, Limit: c.Limit}
		for _, ref := range c.Keys {
			key, wrong, err := l.clientKey(ctx, ref)
			if err != nil {
				return nil, err
			}
			if other := owner[key]; wrong == "" && other != "" && other != c.Slug {
				wrong = fmt.Sprintf("%s holds a key of client %s too; give each its own", ref, other)
			}
			if wrong != "" {
				resolved.Wrong = append(resolved.Wrong, wrong)
				continue
			}
			owner[key] = c.Slug
			resolved.Keys = append(resolved.Keys, key)
		}
		out = append(out, resolved)
	}
	return out, nil
}

// clientKey finds the key that a reference stands for, or says why it cannot be used.
func (l *Live) clientKey(ctx context.Context, ref string) (key machine.Key, wrong string, err error) {
	value, missing, err := l.credential(ctx, ref)
	if err != nil || missing != "" {
		return machine.Key{}, missing, err
	}
	key, unusable := machine.ParseKey(value)
	if unusable != nil {
		return machine.Key{}, fmt.Sprintf("%s is no key: %v; leadline secret generate makes one", ref, unusable), nil
	}
	return key, "", nil
}
