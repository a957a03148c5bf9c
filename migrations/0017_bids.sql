-- Claims made within a pool's window: they count as made at once, and are settled by whose turn it is.
CREATE TABLE bid (
    lead_id uuid NOT NULL,
    attempt integer NOT NULL,                        -- of the offer to the pool
    rep_id  uuid NOT NULL,
    by      text NOT NULL,                           -- console, api or slack
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (lead_id, attempt, rep_id)
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON bid TO leadline_reporting;
    END IF;
END $$;
