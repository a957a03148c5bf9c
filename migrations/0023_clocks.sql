-- How much time leads take against what their pool allows, and when a clock stands still.

-- The clocks of a lead, only those that its pool has. Nobody but the one who holds the lead's row changes them, except that a clock warns, and
-- that the one for screens stops, by themselves. A clock that begins anew with the next rep keeps what it has done: it acts once and escalates once a lead.
CREATE TABLE lead_clock (
    lead_id       uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('system','accept','first_attempt','contact')),
    pool          text NOT NULL,                     -- on whose terms and calendar it runs
    rep_id        uuid,                              -- who has the lead; null: nobody
    target        interval NOT NULL,                 -- of running time
    used          interval NOT NULL DEFAULT '0',     -- of it, before since
    started_at    timestamptz NOT NULL,
    since         timestamptz,                       -- runs from then, which may be to come; null: stands until somebody lets it run
    warn_at       timestamptz,                       -- half of the target; null while it stands, like the next two
    target_at     timestamptz,
    escalate_at   timestamptz,                       -- one and a half times the target
    warned_at     timestamptz,
    acted_at      timestamptz,
    escalated_at  timestamptz,
    stopped_at    timestamptz,
    stopped_by    text NOT NULL DEFAULT '',          -- painted, claimed, attempt, contact, closed, taken_back, erased
    taken_from    uuid,                              -- the rep out of whose hands it took the lead
    taken_attempt integer,                           -- number of the offer that this led to
    next_at       timestamptz GENERATED ALWAYS AS (CASE WHEN stopped_at IS NULL THEN
                      CASE WHEN warned_at IS NULL THEN warn_at WHEN acted_at IS NULL THEN target_at WHEN escalated_at IS NULL THEN escalate_at END END) STORED,
    PRIMARY KEY (lead_id, kind)
) WITH (fillfactor = 80);
CREATE INDEX lead_clock_next ON lead_clock (next_at) WHERE next_at IS NOT NULL;

-- While a lead is paused its clocks for people stand. The newest pause without resumed_at counts until it is over.
CREATE TABLE lead_pause (
    lead_id    uuid NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason     text NOT NULL CHECK (reason IN ('quiet_hours','asked_for_time','on_hold')),
    note       text NOT NULL DEFAULT '',             -- in words; goes with an erasure
    until      timestamptz,                          -- null: until somebody resumes it
    by         text NOT NULL,                        -- console, api or command line
    resumed_at timestamptz,                          -- before its time, or by the next pause
    PRIMARY KEY (lead_id, at)
);
CREATE UNIQUE INDEX lead_pause_open ON lead_pause (lead_id) WHERE resumed_at IS NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON lead_clock TO leadline_reporting;
        GRANT SELECT (lead_id, at, reason, until, by, resumed_at) ON lead_pause TO leadline_reporting;
    END IF;
END $$;
