package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/lead"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/rep"
	"leadline/internal/simulate"
)

// routingCommands ask what routing did and would do. None of them changes anything.
func routingCommands() []command {
	return []command{
		{
			name: "replay", usage: "replay --since 24h [--limit N]", summary: "makes stored decisions again and reports differences, of which there must be none",
			flags: map[string]bool{"since": true, "limit": true}, run: replay,
		},
		{
			name: "why", usage: "why LEAD REP", summary: "says why a lead did not go to a rep, and the least that would have given it to them",
			words: true, run: why,
		},
		{
			name: "simulate", usage: "simulate LEAD.json [--at TIME] [--version N | --draft FILE] [--presence REP=away,*=available]",
			summary: "says where a lead would go; the file holds {\"form\": SLUG, \"country\": \"DE\", ...} or the id of a lead, - reads standard input",
			flags:   map[string]bool{"at": true, "version": true, "draft": true, "presence": true}, words: true, run: runSimulate,
		},
		{
			name: "backtest", usage: "backtest FILE... --since 7d [--json]", summary: "says which leads of the past a draft would have sent elsewhere, later or to nobody",
			flags: map[string]bool{"since": true, "json": false}, words: true, run: backtest,
		},
	}
}

// maxShown bounds how many differences are printed.
const maxShown = 20

func replay(ctx context.Context, c *call) error {
	since, err := c.sinceFlag()
	if err != nil {
		return err
	}
	limit := 0
	if text := c.flags["limit"]; text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return usageError("--limit needs a number of decisions")
		}
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		shown := 0
		sum, err := simulate.Replay(ctx, db, simulate.Published(db), since, limit, func(f simulate.Finding) {
			if shown++; shown <= maxShown {
				fmt.Fprintf(c.stdout, "%s  lead %s  version %d\n", f.At.UTC().Format(time.RFC3339), f.Lead, f.Version)
				for _, d := range f.Differences {
					fmt.Fprintf(c.stdout, "    %s was  %s\n    %s is   %s\n", d.Part, d.Was, strings.Repeat(" ", len(d.Part)), d.Is)
				}
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s made again, %d of them not the first of their lead. ", count(sum.Decisions, "decision"), sum.Later)
		fmt.Fprintf(c.stdout, "Compared by rule, pool and person alone: %d of erased leads, %d from before inputs were stored.\n", sum.Erased, sum.Older)
		if sum.Different > 0 {
			return fmt.Errorf("decisions that come out otherwise than they were stored: %d. Rows or rules were changed, or this binary decides otherwise than the one that wrote them", sum.Different)
		}
		fmt.Fprintln(c.stdout, "No differences.")
		return nil
	})
}

// sinceFlag reads how far back to look.
func (c *call) sinceFlag() (time.Duration, error) {
	text := c.flags["since"]
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 3660 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	since, err := time.ParseDuration(text)
	if err != nil || since <= 0 {
		return 0, usageError("--since needs a time like 24h or 7d")
	}
	return since, nil
}

func why(ctx context.Context, c *call) error {
	if len(c.args) != 2 {
		return usageError("name a lead by its id and a rep by the e-mail address")
	}
	id, err := uuid.Parse(c.args[0])
	if err != nil {
		return usageError(fmt.Sprintf("%q is no id of a lead", c.args[0]))
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		if id, err = lead.NewStore(db.Gorm).Resolve(ctx, lead.Everything(), id); err != nil {
			return err
		}
		who, err := simulate.KnownRep(ctx, rep.NewStore(db.Gorm), c.args[1])
		if err != nil {
			return err
		}
		answers, err := simulate.Why(ctx, db, simulate.Published(db), id, who)
		if err != nil {
			return err
		}
		if len(answers) == 0 {
			fmt.Fprintln(c.stdout, "Nothing was decided about this lead yet.")
		}
		for _, a := range answers {
			printAnswer(c.stdout, a)
		}
		return nil
	})
}

func printAnswer(w io.Writer, a simulate.Answer) {
	fmt.Fprintf(w, "%s  version %d, rule %q, pool %q\n    %s\n", a.At.UTC().Format(time.RFC3339), a.Version, a.Rule, a.Pool, a.Reason)
	switch {
	case a.Got:
	case len(a.Changes) == 0:
		fmt.Fprintln(w, "    No change of theirs, of turns, pools or rules that we know of would have given it to them.")
	default:
		fmt.Fprintln(w, "    They would have had it with:")
		for _, change := range a.Changes {
			fmt.Fprintf(w, "      - %s\n", change.Text)
		}
	}
}

func runSimulate(ctx context.Context, c *call) error {
	q, err := c.simulateRequest()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		if err := c.simulateConfig(ctx, db, &q); err != nil {
			return err
		}
		result, err := simulate.One(ctx, db, q)
		if err != nil {
			return err
		}
		printResult(c.stdout, result)
		return nil
	})
}

// simulateRequest reads the lead, the time and who would be there.
func (c *call) simulateRequest() (simulate.Question, error) {
	q := simulate.Question{Presence: map[string]rep.Presence{}}
	if len(c.args) != 1 {
		return q, usageError("name one file with the lead")
	}
	if c.flags["version"] != "" && c.flags["draft"] != "" {
		return q, usageError("give --version or --draft, not both")
	}
	text, err := c.readFile(c.args[0])
	if err != nil {
		return q, err
	}
	if id, err := uuid.ParseBytes([]byte(strings.TrimSpace(string(text)))); err == nil {
		q.Stored = id
	} else if err := q.ReadLead(text); err != nil {
		return q, err
	}
	if at := c.flags["at"]; at != "" {
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return q, usageError("--at needs a time like 2026-11-23T16:02:07Z")
		}
	}
	for part := range strings.SplitSeq(c.flags["presence"], ",") {
		who, presence, ok := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case part == "":
		case !ok:
			return q, usageError("--presence needs parts like mia@example.com=away")
		default:
			q.Presence[who] = rep.Presence(presence)
		}
	}
	return q, nil
}

// simulateConfig finds the configuration that decides: a draft, a version, or the live one.
func (c *call) simulateConfig(ctx context.Context, db *postgres.DB, q *simulate.Question) (err error) {
	if name := c.flags["draft"]; name != "" {
		if q.Config, _, err = c.readFiles([]string{name}); err != nil {
			return err
		}
		return nil
	}
	if text := c.flags["version"]; text != "" {
		if q.Version, err = strconv.ParseInt(text, 10, 64); err != nil || q.Version < 1 {
			return usageError("--version needs the number of a version")
		}
	} else if q.Version, err = playbook.LiveVersion(ctx, db); err != nil {
		return err
	}
	q.Config, _, err = playbook.Stored(ctx, db, q.Version)
	return err
}

func printResult(w io.Writer, r simulate.Result) {
	out := r.Outcome
	fmt.Fprintf(w, "At %s the rule %q (%s) sends it to the pool %q", r.At.UTC().Format(time.RFC3339), out.Decision.Rule, out.Decision.Band, out.Decision.Pool)
	if out.Decision.Rep != "" {
		fmt.Fprintf(w, ", first to %s", out.Decision.Rep)
	}
	fmt.Fprintln(w, ".")
	for _, line := range out.Stages {
		fmt.Fprintf(w, "    %-9s %s.\n", line.Stage, line.Words(func(email string) string { return email }))
	}
	for _, beaten := range out.Decision.RunnersUp {
		fmt.Fprintf(w, "    It beats the rule %q on %s.\n", beaten.Rule, beaten.Lost)
	}
	for _, k := range out.Considered {
		fmt.Fprintf(w, "    %-9s %s: %s\n", k.Outcome, k.Rep, k.Reason)
	}
	switch p := out.Place; {
	case p != nil && p.Held:
		fmt.Fprintln(w, "It would be held until somebody has looked at it.")
	case p != nil && p.Joins != uuid.Nil:
		fmt.Fprintln(w, "It would be attached to an open lead of the same person.")
	case p == nil || p.Waiting:
		fmt.Fprintln(w, "Nobody can be offered it: it would wait.")
	case r.To != "":
		fmt.Fprintf(w, "It would be offered to %s, from the pool %q, for %s.\n", r.To, p.Pool, p.Terms)
	default:
		fmt.Fprintf(w, "It would be open to everybody in the pool %q.\n", p.Pool)
	}
}

func backtest(ctx context.Context, c *call) error {
	since, err := c.sinceFlag()
	if err != nil {
		return err
	}
	draft, _, err := c.readPlaybook()
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, func(db *postgres.DB) error {
		sum, err := simulate.History(ctx, db, draft, since, func(done, of int) {
			if done > 0 && done%10_000 == 0 {
				fmt.Fprintf(c.stderr, "%d of %d\n", done, of)
			}
		})
		if err != nil {
			return err
		}
		if c.flags["json"] != "" {
			return json.NewEncoder(c.stdout).Encode(sum)
		}
		printComparison(c.stdout, sum)
		return nil
	})
}

func printComparison(w io.Writer, b simulate.Comparison) {
	fmt.Fprintf(w, "%s compared, %d left out (erased, or from before inputs were stored).\n", count(b.Leads, "lead"), b.Left)
	for _, line := range []struct {
		n    int
		what string
	}{
		{b.Moved, "would have moved to another pool or person"},
		{b.Rule, "would have been decided by another rule"},
		{b.Rep, "would have been offered to somebody else first"},
		{b.Slower, "would have been slower: offered further down the ladder"},
		{b.Faster, "would have been faster"},
		{b.Unrouted, "would have been unrouted: nobody to offer them to at once"},
		{b.CapHit, "would have hit a cap that they did not hit"},
	} {
		fmt.Fprintf(w, "%8d %s\n", line.n, line.what)
	}
	moves := slices.SortedFunc(maps.Keys(b.Moves), func(x, y string) int { return cmp.Or(b.Moves[y]-b.Moves[x], strings.Compare(x, y)) })
	for _, move := range moves[:min(len(moves), maxShown)] {
		fmt.Fprintf(w, "%8d moved %s\n", b.Moves[move], move)
	}
}
