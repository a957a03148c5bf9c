-- What another configuration than the live one would do: beside it on live leads (shadow), and with the leads of the past (backtest).

-- A configuration that is decided beside the live one for each lead, without effect. Ended ones keep their sums.
CREATE TABLE shadow (
    id         uuid PRIMARY KEY,
    version    bigint,                               -- a version that was live before; null: a draft
    draft_id   uuid,
    revision   integer,                              -- of the draft, as it was when the shadow began
    hash       text NOT NULL,
    body       text NOT NULL,                        -- canonical YAML without reps
    author     text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    seen       bigint NOT NULL,                      -- number of the newest event that was looked at
    seen_at    timestamptz,
    sums       jsonb NOT NULL DEFAULT '{}',          -- simulate.Comparison
    turns      jsonb NOT NULL DEFAULT '{}',          -- as it would have given them, by pool and member
    problem    text NOT NULL DEFAULT ''              -- why it ended by itself
);
CREATE UNIQUE INDEX shadow_open ON shadow ((ended_at IS NULL)) WHERE ended_at IS NULL;

-- The newest leads that it would have treated otherwise.
CREATE TABLE shadow_lead (
    shadow_id uuid NOT NULL REFERENCES shadow ON DELETE CASCADE,
    lead_id   uuid NOT NULL,
    number    bigint NOT NULL,                       -- counts them: old ones go
    at        timestamptz NOT NULL,                  -- of the decision
    kinds     text[] NOT NULL,                       -- see internal/simulate/compare.go
    was_rule  text NOT NULL,
    was       text NOT NULL,                         -- pool or person that the rules named
    was_to    text NOT NULL,                         -- e-mail address of who was offered it; empty: nobody by name
    rule      text NOT NULL,
    target    text NOT NULL,
    offered   text NOT NULL,
    PRIMARY KEY (shadow_id, lead_id)
);
CREATE INDEX shadow_lead_number ON shadow_lead (shadow_id, number);
CREATE INDEX shadow_lead_lead ON shadow_lead (lead_id);

-- A draft, or an earlier version, held against the leads of some days. Whichever process is free works it off.
CREATE TABLE backtest (
    id         uuid PRIMARY KEY,
    version    bigint,                               -- as in shadow
    draft_id   uuid,
    revision   integer,
    hash       text NOT NULL,
    body       text NOT NULL,
    author     text NOT NULL,
    days       integer NOT NULL CHECK (days > 0),
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting','running','done','cancelled','failed')),
    node       bigint,                               -- that works on it
    beat_at    timestamptz,                          -- when that was last heard of
    done       integer NOT NULL DEFAULT 0,           -- leads, of so many
    of_leads   integer NOT NULL DEFAULT 0,
    sums       jsonb NOT NULL DEFAULT '{}',          -- simulate.Comparison, once done
    problem    text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz
);
CREATE INDEX backtest_open ON backtest (created_at) WHERE state IN ('waiting','running');

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (id, version, draft_id, revision, hash, started_at, ended_at, seen, seen_at, problem) ON shadow TO leadline_reporting;
        GRANT SELECT (shadow_id, lead_id, number, at, kinds, was_rule, rule) ON shadow_lead TO leadline_reporting;
        GRANT SELECT (id, version, draft_id, revision, hash, days, state, done, of_leads, problem, created_at, ended_at) ON backtest TO leadline_reporting;
    END IF;
END $$;
