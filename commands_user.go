package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"leadline/internal/account"
	"leadline/internal/audit"
	"leadline/internal/postgres"
)

// userCommands are about people who may sign in and programs that may call.
func userCommands() []command {
	return []command{
		{
			name: "user add", usage: "user add --email E --role rep|ops|admin|viewer [--name N] [--password-stdin]", summary: "adds a person and prints a one-time sign-in link",
			flags: map[string]bool{"email": true, "role": true, "name": true, "password-stdin": false}, run: userAdd,
		},
		{name: "user list", usage: "user list", summary: "lists who may sign in", run: userList},
		{
			name: "user signout", usage: "user signout --email E", summary: "ends all sessions of a person",
			flags: map[string]bool{"email": true}, run: userSignOut,
		},
		{
			name: "user disable", usage: "user disable --email E", summary: "keeps a person out until they are added again",
			flags: map[string]bool{"email": true}, run: userDisable,
		},
		{
			name: "token add", usage: "token add --name N --scope leads:read,leads:act,...", summary: "makes an API token and prints it once",
			flags: map[string]bool{"name": true, "scope": true}, run: tokenAdd,
		},
		{name: "token list", usage: "token list", summary: "lists API tokens", run: tokenList},
		{
			name: "token revoke", usage: "token revoke --name N|--id ID", summary: "ends an API token",
			flags: map[string]bool{"name": true, "id": true}, run: tokenRevoke,
		},
	}
}

// withAccounts runs f with the store of accounts; the record says that the command line did what it does.
func (c *call) withAccounts(ctx context.Context, f func(ctx context.Context, accounts *account.Store) error) error {
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		return f(audit.WithActor(ctx, audit.Actor{Kind: audit.Command}), account.NewStore(db.Gorm, c.now))
	})
}

func userAdd(ctx context.Context, c *call) error {
	email, roles := c.flags["email"], strings.FieldsFunc(c.flags["role"], func(r rune) bool { return r == ',' })
	if email == "" || len(roles) == 0 {
		return usageError("--email and --role are needed")
	}
	for _, role := range roles {
		if !slices.Contains(account.Roles, role) {
			return usageError(fmt.Sprintf("there is no role %q; roles are %s", role, strings.Join(account.Roles, ", ")))
		}
	}
	password := ""
	if c.flags["password-stdin"] != "" {
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return fmt.Errorf("no password came on standard input: %w", err)
		}
	}
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		added, err := accounts.Add(ctx, account.NewAccount{Email: email, Name: c.flags["name"], Roles: roles, Password: password})
		if err != nil {
			return err
		}
		if password != "" {
			fmt.Fprintf(c.stderr, "%s can sign in at %s/signin\n", email, c.cfg.PublicURL)
			return nil
		}
		token, err := accounts.NewLink(ctx, added.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "This link signs %s in once, within a day:\n", email)
		fmt.Fprintf(c.stdout, "%s/signin/link/%s\n", c.cfg.PublicURL, token)
		return nil
	})
}

func userList(ctx context.Context, c *call) error {
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		members, err := accounts.Members(ctx)
		if err != nil {
			return err
		}
		return c.table("EMAIL\tNAME\tROLES\tLAST SEEN", func(w io.Writer) {
			for _, m := range members {
				seen := moment(m.LastSeen, "not signed in")
				if m.Disabled {
					seen = "disabled"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Email, oneLine(m.Name), strings.Join(m.Roles, ","), seen)
			}
		})
	})
}

func userSignOut(ctx context.Context, c *call) error {
	if c.flags["email"] == "" {
		return usageError("--email is needed")
	}
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		ended, err := accounts.EndSessions(ctx, c.flags["email"])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s is signed out; sessions ended: %d.\n", c.flags["email"], ended)
		return nil
	})
}

func userDisable(ctx context.Context, c *call) error {
	if c.flags["email"] == "" {
		return usageError("--email is needed")
	}
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		if err := accounts.Disable(ctx, c.flags["email"]); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s is signed out and cannot sign in; leadline user add lets them in again.\n", c.flags["email"])
		return nil
	})
}

func tokenAdd(ctx context.Context, c *call) error {
	scopes := strings.FieldsFunc(c.flags["scope"], func(r rune) bool { return r == ',' || r == ' ' })
	if c.flags["name"] == "" || len(scopes) == 0 {
		return usageError("--name and --scope are needed")
	}
	for _, scope := range scopes {
		if !slices.Contains(account.Scopes, scope) {
			return usageError(fmt.Sprintf("there is no scope %q; scopes are %s", scope, strings.Join(account.Scopes, ", ")))
		}
	}
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		token, err := accounts.AddToken(ctx, c.flags["name"], scopes)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.stderr, "Keep this token now; it is shown once:")
		fmt.Fprintln(c.stdout, token)
		return nil
	})
}

func tokenList(ctx context.Context, c *call) error {
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		tokens, err := accounts.Tokens(ctx)
		if err != nil {
			return err
		}
		return c.table("ID\tNAME\tSCOPES\tMADE\tLAST USED", func(w io.Writer) {
			for _, t := range tokens {
				used := moment(t.UsedAt, "never")
				if t.RevokedAt != nil {
					used = "revoked " + moment(t.RevokedAt, "")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, oneLine(t.Name), strings.Join(t.Scopes, ","), moment(&t.CreatedAt, ""), used)
			}
		})
	})
}

func tokenRevoke(ctx context.Context, c *call) error {
	named := c.flags["id"]
	if named == "" {
		named = c.flags["name"]
	}
	if named == "" {
		return usageError("--name or --id is needed")
	}
	return c.withAccounts(ctx, func(ctx context.Context, accounts *account.Store) error {
		if err := accounts.RevokeToken(ctx, named); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "The token is revoked.")
		return nil
	})
}

// table prints lines of tab-separated cells under a heading.
func (c *call) table(heading string, rows func(w io.Writer)) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	rows(w)
	return w.Flush()
}

// moment is a time for a table, or what to say when there is none.
func moment(at *time.Time, never string) string {
	if at == nil {
		return never
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

// oneLine keeps a name from breaking a table or a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
