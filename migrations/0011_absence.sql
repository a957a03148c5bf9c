-- When people take no leads, and what changes whose turn it is beside the turns themselves.

-- Data, not configuration: it holds at once, without a version. Says that somebody is away and never why.
CREATE TABLE absence (
    id         uuid PRIMARY KEY,
    rep_id     uuid NOT NULL REFERENCES rep ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('leave','pause')),
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz,                          -- exclusive; null: until it is taken back
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (ends_at > starts_at)
);
CREATE INDEX absence_rep ON absence (rep_id, starts_at);

-- One row for each change of somebody's credit in a pool that no turn made. What stands in pool_state is the turns and the sum of these.
CREATE TABLE credit_entry (
    id      uuid PRIMARY KEY,                        -- UUIDv7: the order of the key is that of time
    pool    text NOT NULL,                           -- the key of pool_state: a pool's slug, or group:NAME
    rep_id  uuid NOT NULL REFERENCES rep ON DELETE CASCADE,
    lead_id uuid,                                    -- null: not because of a lead
    kind    text NOT NULL CHECK (kind IN ('bad_lead','declined','taken','no_show','cancelled','manual')),
    amount  double precision NOT NULL,               -- as it was added: within the bounds of a credit
    reason  text NOT NULL DEFAULT '',                -- a manager's words, for manual ones
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX credit_entry_pool ON credit_entry (pool, id);
CREATE INDEX credit_entry_lead ON credit_entry (lead_id) WHERE lead_id IS NOT NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON absence TO leadline_reporting;
        GRANT SELECT (id, pool, rep_id, lead_id, kind, amount, at) ON credit_entry TO leadline_reporting;
    END IF;
END $$;
