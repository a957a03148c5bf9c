-- What visitors sent and what became of it.
--
-- Contact details live in a table of their own, so that the lead row (rewritten at each change of stage) stays narrow, and so
-- that reporting can be granted without them. No foreign keys on the capture path: rows are written together in one statement
-- by code that cannot get the order wrong, and each key would cost a lookup per lead.

CREATE SEQUENCE node_id AS bigint;

-- One row per process that ever served. A live process holds the session advisory lock of its id; see internal/postgres/node.go.
CREATE TABLE node (
    id         bigint PRIMARY KEY,
    host       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stopped_at timestamptz
);

CREATE TABLE lead (
    id             uuid PRIMARY KEY,                 -- UUIDv7, made by the process that took the submission
    correlation_id text NOT NULL,
    form           text NOT NULL,
    intent         text NOT NULL,                    -- high | low, copied from the form
    product        text NOT NULL DEFAULT '',
    country        text NOT NULL DEFAULT '',         -- ISO 3166-1 alpha-2
    region         text NOT NULL DEFAULT '',         -- ISO 3166-2
    postal_code    text NOT NULL DEFAULT '',
    timezone       text NOT NULL DEFAULT '',         -- IANA name as the browser stated it
    language       text NOT NULL DEFAULT '',
    source         text NOT NULL DEFAULT '',         -- utm_source
    email_domain   text NOT NULL DEFAULT '',
    domain_class   text NOT NULL DEFAULT '',         -- business | free | disposable
    accepted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    stage          text NOT NULL DEFAULT 'new' CHECK (stage IN ('new','offered','waiting','claimed','contacted','booked','disqualified','closed','held','quarantined')),
    crm_state      text NOT NULL DEFAULT 'pending' CHECK (crm_state IN ('pending','saving','confirmed','conflict','refused')),
    node           bigint NOT NULL,                  -- the process that holds the dispatch lease
    dispatch_lease timestamptz NOT NULL,
    pool           text NOT NULL DEFAULT '',         -- where it is offered, waits or was claimed
    rep_id         uuid,                             -- the current holder, null until claimed
    attempt        integer NOT NULL DEFAULT 0,       -- number of the newest offer
    claimed_at     timestamptz,
    first_touch_at timestamptz,
    closed_at      timestamptz,
    disposition    text NOT NULL DEFAULT '',
    revision       integer NOT NULL DEFAULT 1,       -- grows with each change that destinations should hear of
    demo           boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX lead_new ON lead (id) WHERE stage = 'new';
CREATE INDEX lead_open ON lead (stage, pool, id) WHERE stage IN ('new','offered','waiting','claimed');
CREATE INDEX lead_held_by ON lead (rep_id, id) WHERE rep_id IS NOT NULL;

CREATE TABLE contact (
    lead_id uuid PRIMARY KEY,
    name    text NOT NULL DEFAULT '',
    email   text NOT NULL DEFAULT '',
    phone   text NOT NULL DEFAULT '',                -- E.164
    company text NOT NULL DEFAULT '',
    notes   text NOT NULL DEFAULT '',
    fields  jsonb NOT NULL DEFAULT '{}',             -- the form's own fields
    consent jsonb NOT NULL DEFAULT '{}',
    context jsonb NOT NULL DEFAULT '{}'
);

-- Exact retry identity. Stores the submission's id, because the lead is not known yet when the key is claimed: a touch leads on.
CREATE TABLE client_key (
    form        text NOT NULL,
    key         text NOT NULL,
    submission  uuid NOT NULL,
    fingerprint bytea NOT NULL,
    digest      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (form, key)
);

-- Same-person identity: a keyed hash of form and e-mail (else phone). The window is a gap on the database clock, never a bucket.
CREATE TABLE fingerprint (
    fp        bytea PRIMARY KEY,
    lead_id   uuid NOT NULL,
    last_seen timestamptz NOT NULL,
    count     integer NOT NULL DEFAULT 1
) WITH (fillfactor = 80);

-- A submission that joined a lead that was there already. Its id is an alias of that lead.
CREATE TABLE touch (
    id             uuid PRIMARY KEY,
    lead_id        uuid NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('repeat','amend')),
    correlation_id text NOT NULL DEFAULT '',
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    payload        jsonb NOT NULL
);
CREATE INDEX touch_lead ON touch (lead_id);

-- One gapless, commit-ordered stream of what happened to leads: the console's cursor and each lead's timeline.
-- Writers lock the counter row last in their transaction, so that numbers appear in commit order. Events hold ids, never contact data.
CREATE TABLE event_stream (
    name text PRIMARY KEY,
    seq  bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO event_stream VALUES ('console', 0);

CREATE TABLE event (
    seq     bigint PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lead_id uuid NOT NULL,
    kind    text NOT NULL,
    pool    text NOT NULL DEFAULT '',
    rep_id  uuid,
    attempt integer NOT NULL DEFAULT 0,
    data    jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_lead ON event (lead_id, seq);

-- append_events is the only way to write events. Call it as the last statement before COMMIT. Returns the last number given.
CREATE FUNCTION append_events(leads uuid[], kinds text[], pools text[], reps uuid[], attempts integer[], data jsonb[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    n    integer := coalesce(array_length(leads, 1), 0);
    last bigint;
BEGIN
    IF n = 0 THEN
        RETURN 0;
    END IF;
    UPDATE event_stream SET seq = seq + n WHERE name = 'console' RETURNING seq INTO last;
    INSERT INTO event (seq, lead_id, kind, pool, rep_id, attempt, data)
    SELECT last - n + d.ord, d.lead, d.kind, coalesce(d.pool, ''), d.rep, coalesce(d.attempt, 0), coalesce(d.data, '{}')
    FROM unnest(leads, kinds, pools, reps, attempts, data) WITH ORDINALITY AS d(lead, kind, pool, rep, attempt, data, ord);
    RETURN last;
END $$;
