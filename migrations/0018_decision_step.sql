-- Why each lead went where it did, step by step; drafts of the configuration, and when they are to become live.

-- Each decision about a lead after the first, which is in decision: re-offers, overflow, draining, and attempts that found no pool. With
-- all that it was made from, so that it can be made again. Nobody but the one who holds the lead's row adds to it.
CREATE TABLE decision_step (
    lead_id uuid NOT NULL,
    at      timestamptz NOT NULL,
    attempt integer NOT NULL,                        -- number of the newest offer afterwards
    cause   text NOT NULL,                           -- as on the offer
    version bigint NOT NULL,                         -- under which it was made
    record  jsonb NOT NULL,                          -- routing.Record
    PRIMARY KEY (lead_id, at)
);
CREATE INDEX decision_step_at ON decision_step USING brin (at);

-- A configuration that is not live yet. Never in config_version before it is: there the highest number counts.
CREATE TABLE config_draft (
    id         uuid PRIMARY KEY,
    revision   integer NOT NULL DEFAULT 1,           -- raised with each change of body; an approval is for one revision
    base       bigint NOT NULL,                      -- version that was live when it was begun
    hash       text NOT NULL,
    body       text NOT NULL,                        -- canonical YAML without reps
    author     text NOT NULL,
    note       text NOT NULL DEFAULT '',
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open','scheduled','published','discarded','failed')),
    publish_at timestamptz,                          -- when scheduled
    published  bigint,                               -- the version that it became
    problem    text NOT NULL DEFAULT '',             -- why it could not be published at its time
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX config_draft_due ON config_draft (publish_at) WHERE state = 'scheduled';

-- Who approved which revision of a draft.
CREATE TABLE config_approval (
    draft_id uuid NOT NULL REFERENCES config_draft ON DELETE CASCADE,
    revision integer NOT NULL,
    approver text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (draft_id, revision, approver)
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (lead_id, at, attempt, cause, version) ON decision_step TO leadline_reporting;
        GRANT SELECT (id, revision, base, hash, note, state, publish_at, published, created_at, changed_at) ON config_draft TO leadline_reporting;
        GRANT SELECT (draft_id, revision, at) ON config_approval TO leadline_reporting;
    END IF;
END $$;
