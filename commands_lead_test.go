package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func TestLeadCommands_PauseAndResumeClocks(t *testing.T) {
	t.Parallel()
	o := newTerminal(t)
	if code, _, problems := o.run("", "migrate"); code != 0 {
		t.Fatal(problems)
	}
	if code, _, problems := o.run(repPlaybook, "apply", "-"); code != 0 {
		t.Fatal(problems)
	}
	id := uuid.Must(uuid.NewV7())
	db, err := pgx.Connect(t.Context(), strings.TrimPrefix(o.environ[0], "DATABASE_URL="))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `INSERT INTO lead (id, correlation_id, form, intent, node, dispatch_lease, stage, pool) VALUES ($1, 'x', 'demo', 'high', 1, now(), 'waiting', 'p')`, id); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `INSERT INTO lead_clock (lead_id, kind, pool, target, started_at, since, warn_at, target_at, escalate_at)
		VALUES ($1, 'accept', 'p', '1h', now(), now(), now() + interval '30 min', now() + interval '1 h', now() + interval '90 min')`, id); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"pause"}, 2, "name one lead by its id"},
		{[]string{"pause", "seven", "--reason", "on_hold"}, 2, "is no id of a lead"},
		{[]string{"pause", id.String(), "--reason", "asked_for_time", "--until", "soon"}, 2, `"soon" is no time`},
		{[]string{"pause", id.String(), "--reason", "lunch"}, 1, "Use quiet_hours, asked_for_time or on_hold."},
		{[]string{"pause", uuid.NewString(), "--reason", "on_hold", "--note", "x"}, 1, "not here"},
		{[]string{"pause", id.String(), "--reason", "on_hold", "--note", "legal has to agree"}, 0, "stand until they are resumed: leadline lead resume " + id.String()},
		{[]string{"resume", id.String()}, 0, "run again"},
		{[]string{"resume", id.String()}, 1, "not paused"},
	} {
		code, out, problems := o.run("", append([]string{"lead"}, c.args...)...)
		if code != c.code || !strings.Contains(out+problems, c.says) {
			t.Errorf("%v: %d %s%s", c.args, code, out, problems)
		}
	}
}
