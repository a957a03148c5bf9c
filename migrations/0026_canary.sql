-- A configuration whose rules decide for a share of the leads, until figures speak for or against it. What is not routing stays as the live
-- version has it. Never in config_version before it is promoted: there the highest number counts.
CREATE TABLE canary (
    id           uuid PRIMARY KEY,
    number       bigint NOT NULL,                    -- the version that its decisions name, kept for when it is promoted
    base         bigint NOT NULL,                    -- the version that is live beside it
    rollback_of  bigint,                             -- the version of which it is the content; null: a draft
    draft_id     uuid,
    revision     integer,
    hash         text NOT NULL,
    body         text NOT NULL,                      -- canonical YAML without reps
    author       text NOT NULL,
    approved_by  text NOT NULL DEFAULT '',
    note         text NOT NULL DEFAULT '',
    share        integer NOT NULL CHECK (share BETWEEN 1 AND 5000), -- of 10,000 leads
    until        timestamptz NOT NULL,
    max_unrouted double precision NOT NULL,          -- share of leads that may be unrouted beyond that of the others
    max_accept   double precision NOT NULL,          -- times as long may it take until a lead is accepted
    min_leads    integer NOT NULL,                   -- on both sides before anything is concluded
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running','promoted','rolled_back','stopped','superseded')),
    reason       text NOT NULL DEFAULT '',           -- why it ended
    figures      jsonb NOT NULL DEFAULT '{}',        -- playbook.CanaryFigures, as they were last
    judged_at    timestamptz,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz
);
CREATE UNIQUE INDEX canary_running ON canary (state) WHERE state = 'running';
CREATE INDEX canary_number ON canary (number);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (id, number, base, rollback_of, draft_id, revision, hash, note, share, until, max_unrouted, max_accept, min_leads, state, reason, figures,
            judged_at, started_at, ended_at) ON canary TO leadline_reporting;
    END IF;
END $$;
