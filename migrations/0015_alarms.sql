-- What somebody must look at, and consoles that ask instead of being told.

-- An alarm opens when something is wrong and closes when it is not any more, both by itself. Acknowledging one says that a person
-- saw it; it stays open.
CREATE TABLE alarm (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind            text NOT NULL,                   -- see internal/dispatch/alarms.go
    lead_id         uuid,                            -- null: not about one lead
    pool            text NOT NULL DEFAULT '',
    opened_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at       timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by uuid                             -- account or token
);
CREATE UNIQUE INDEX alarm_open ON alarm (kind, coalesce(lead_id, '00000000-0000-0000-0000-000000000000'), pool) WHERE closed_at IS NULL;
CREATE INDEX alarm_lead ON alarm (lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX alarm_opened ON alarm (opened_at, id);

-- A console behind something that blocks sockets asks every few seconds. It cannot confirm what it shows within one. (No column of rep:
-- the release before reads whole rows of reps by prepared statements, which a new column breaks.)
CREATE TABLE console_poll (
    rep_id uuid PRIMARY KEY,
    at     timestamptz NOT NULL
) WITH (fillfactor = 50);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON alarm, console_poll TO leadline_reporting;
    END IF;
END $$;
