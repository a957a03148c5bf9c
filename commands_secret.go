package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"leadline/internal/keyring"
	"leadline/internal/machine"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/privacy"
)

// secretCommands store credentials and rotate the keys that protect them.
func secretCommands() []command {
	return []command{
		{name: "secret set", usage: "secret set NAME < FILE", summary: "stores a credential, read from standard input", words: true, run: secretSet},
		{
			name: "secret generate", usage: "secret generate NAME [--force]", summary: "makes a key for a machine client, stores it and prints it once",
			flags: map[string]bool{"force": false}, words: true, run: secretGenerate,
		},
		{name: "secret list", usage: "secret list", summary: "prints the names of stored credentials", run: secretList},
		{
			name: "secret remove", usage: "secret remove NAME [--force]", summary: "forgets a credential",
			flags: map[string]bool{"force": false}, words: true, run: secretRemove,
		},
		{
			name: "secret rotate", usage: "secret rotate [--master | --lost FINGERPRINT]", summary: "makes new data keys, or puts all of them under a new LEADLINE_KEK",
			flags: map[string]bool{"master": false, "lost": true}, run: secretRotate,
		},
	}
}

// openKeyring reads the key-encryption key and opens the keyring with it.
func (c *call) openKeyring(ctx context.Context, db *postgres.DB) (*keyring.Ring, error) {
	secret, err := c.secret()
	if err != nil {
		return nil, err
	}
	master, err := keyring.ReadMaster(ctx, secret, c.cfg.KEK, c.cfg.KEKPrevious)
	if err != nil {
		return nil, err
	}
	return keyring.Open(ctx, db, master)
}

// withKeyring runs a short command with database and keyring. Where there are keys already, a secret made up here would be a stray one, so
// it must be there; before the first key it is made as a server would make it.
func (c *call) withKeyring(ctx context.Context, f func(db *postgres.DB, ring *keyring.Ring) error) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		var keys bool
		if err := db.Console.QueryRow(ctx, `SELECT EXISTS (SELECT FROM data_key)`).Scan(&keys); err != nil {
			return fmt.Errorf("look for data keys: %w", err)
		}
		if keys {
			if _, err := c.knownSecret(); err != nil {
				return err
			}
		}
		ring, err := c.openKeyring(ctx, db)
		if err != nil {
			return err
		}
		return f(db, ring)
	})
}

// secretName is the one argument of a command. Nothing is repeated: somebody may have given the value there.
func (c *call) secretName() (string, error) {
	if len(c.args) != 1 {
		return "", usageError("give one name, and nothing else on the command line")
	}
	if !keyring.IsSecretName(c.args[0]) {
		return "", usageError("a name has small letters, digits, - and _, and begins with a letter or digit")
	}
	return c.args[0], nil
}

func secretSet(ctx context.Context, c *call) error {
	name, err := c.secretName()
	if err != nil {
		return err
	}
	value, err := c.readSecret()
	if err != nil {
		return err
	}
	return c.withKeyring(ctx, func(db *postgres.DB, ring *keyring.Ring) error {
		if err := refuseNoKey(ctx, db, name, value); err != nil {
			return err
		}
		if err := ring.Secrets().Set(ctx, name, value); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "Stored. Connections and clients use it as secret:%s.\n", name)
		return nil
	})
}

// refuseNoKey refuses a value that a machine client could not sign with, where one is meant to.
func refuseNoKey(ctx context.Context, db *postgres.DB, name string, value privacy.Secret) error {
	cfg, err := liveConfig(ctx, db)
	if err != nil || !slices.Contains(cfg.ClientKeyNames(), name) {
		return err
	}
	if _, err := machine.ParseKey(value); err != nil {
		return fmt.Errorf("a machine client signs with secret:%s, and this is no key: %w; run: leadline secret generate %s --force", name, err, name)
	}
	return nil
}

func secretGenerate(ctx context.Context, c *call) error {
	name, err := c.secretName()
	if err != nil {
		return err
	}
	return c.withKeyring(ctx, func(_ *postgres.DB, ring *keyring.Ring) error {
		all, err := ring.Secrets().List(ctx)
		if err != nil {
			return err
		}
		if c.flags["force"] == "" && slices.ContainsFunc(all, func(s keyring.SecretInfo) bool { return s.Name == name }) {
			return fmt.Errorf("there is a secret called %s; choose another name, or add --force to replace it", name)
		}
		key := machine.NewKey()
		if err := ring.Secrets().Set(ctx, name, key); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "Stored as secret:%s. This is the only time it is shown; give it to the client over a safe way:\n", name)
		fmt.Fprintln(c.stdout, key.Plain())
		return nil
	})
}

// readSecret takes a value from standard input, without the end of its line.
func (c *call) readSecret() (privacy.Secret, error) {
	if f, ok := c.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(c.stderr, "Give the value now, then Enter and Ctrl-D. It shows while you type; a file or a pipe does not show it.")
		}
	}
	text, err := io.ReadAll(io.LimitReader(c.stdin, keyring.SecretMost+3))
	if err != nil {
		return "", fmt.Errorf("read the value from standard input: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case value == "":
		return "", errors.New("no value came on standard input")
	case len(value) > keyring.SecretMost:
		return "", fmt.Errorf("the value is longer than %d bytes", keyring.SecretMost)
	}
	return privacy.Secret(value), nil
}

func secretList(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return usageError("nothing is expected on the command line")
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		all, err := keyring.NewSecrets(db, nil).List(ctx)
		if err != nil {
			return err
		}
		cfg, err := liveConfig(ctx, db)
		if err != nil {
			return err
		}
		named := cfg.SecretNames()
		if len(all) == 0 {
			fmt.Fprintln(c.stderr, "No secret is stored.")
		}
		for _, s := range all {
			fmt.Fprintf(c.stdout, "%-32s set %s\n", s.Name, s.Updated.UTC().Format("2006-01-02 15:04:05 UTC"))
			named = slices.DeleteFunc(named, func(name string) bool { return name == s.Name })
		}
		c.warnUnset(named, cfg.ClientKeyNames())
		return nil
	})
}

func secretRemove(ctx context.Context, c *call) error {
	name, err := c.secretName()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		cfg, err := liveConfig(ctx, db)
		if err != nil {
			return err
		}
		if slices.Contains(cfg.SecretNames(), name) && c.flags["force"] == "" {
			return fmt.Errorf("the live configuration uses secret:%s: leads of its connection would wait, its client would be refused; apply one that does not, or add --force", name)
		}
		if err := keyring.NewSecrets(db, nil).Remove(ctx, name); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "Removed.")
		return nil
	})
}

func secretRotate(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return usageError("nothing is expected on the command line")
	}
	master, lost := c.flags["master"] != "", c.flags["lost"]
	if master && lost != "" {
		return usageError("--master and --lost do not go together")
	}
	return c.withKeyring(ctx, func(_ *postgres.DB, ring *keyring.Ring) error {
		switch {
		case master:
			return c.rotateMaster(ctx, ring)
		case lost != "":
			return c.giveUp(ctx, ring, lost)
		}
		for _, purpose := range keyring.Purposes {
			id, resealed, err := ring.RotateData(ctx, purpose)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%-8s data key %d is in use", purpose, id)
			if purpose == keyring.Secret {
				fmt.Fprintf(c.stdout, "; secrets sealed anew: %d", resealed)
			}
			fmt.Fprintln(c.stdout)
		}
		return nil
	})
}

func (c *call) rotateMaster(ctx context.Context, ring *keyring.Ring) error {
	n, err := ring.RotateMaster(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(c.stdout, "Nothing to do: every data key is under this key-encryption key already.")
		return nil
	}
	fmt.Fprintf(c.stdout, "Data keys put under the new key-encryption key: %d. Once every server runs with it, take LEADLINE_KEK_PREVIOUS away.\n", n)
	return nil
}

func (c *call) giveUp(ctx context.Context, ring *keyring.Ring, kek string) error {
	lost, err := ring.GiveUp(ctx, kek)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "Data keys given up: %d. New ones are made when they are needed; stored payloads under the old ones cannot be read again.\n", lost.Keys)
	c.warnUnset(lost.Secrets, nil)
	return nil
}

// warnUnset names secrets that must be set. Some may be keys of machine clients.
func (c *call) warnUnset(names, clientKeys []string) {
	for _, name := range names {
		if slices.Contains(clientKeys, name) {
			fmt.Fprintf(c.stderr, "warning: secret:%s is not set, and its client cannot sign with it; run: leadline secret generate %s\n", name, name)
			continue
		}
		fmt.Fprintf(c.stderr, "warning: secret:%s is not set, and leads for its connection wait; run: leadline secret set %s\n", name, name)
	}
}

// warnUnsetSecrets names the secrets that a configuration refers to and that are not stored yet.
func (c *call) warnUnsetSecrets(ctx context.Context, db *postgres.DB, cfg *playbook.Config) error {
	names := cfg.SecretNames()
	if len(names) == 0 {
		return nil
	}
	all, err := keyring.NewSecrets(db, nil).List(ctx)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(all, func(s keyring.SecretInfo) bool { return s.Name == name })
	})
	c.warnUnset(names, cfg.ClientKeyNames())
	return nil
}

// liveConfig is the live configuration; an empty one before the first.
func liveConfig(ctx context.Context, db *postgres.DB) (*playbook.Config, error) {
	live := playbook.NewLive(db, func(string) (string, bool) { return "", false }, slog.New(slog.DiscardHandler))
	if err := live.Refresh(ctx); err != nil {
		return nil, err
	}
	if cfg := live.Current().Config; cfg != nil {
		return cfg, nil
	}
	return &playbook.Config{}, nil
}
