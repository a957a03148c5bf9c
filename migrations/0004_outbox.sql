-- What must reach the outside: one row per lead and connection. The row is the outbox; River gets a job only for CRM writes
-- that must be retried. Whoever works on a row holds its lease; every result carries the token it was claimed with.

CREATE TABLE delivery (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lead_id         uuid NOT NULL,
    connection      text NOT NULL,
    kind            text NOT NULL,                   -- webhook, slack, ...
    destination     text NOT NULL CHECK (destination IN ('crm','chat')),
    hot             boolean NOT NULL DEFAULT false,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending','saving','delivered','merged','conflict','quarantined','erased')),
    wanted          integer NOT NULL DEFAULT 1,      -- the lead's revision that the destination should hold
    written         integer NOT NULL DEFAULT 0,      -- the revision it does hold; a write is due while wanted > written
    sending         integer NOT NULL DEFAULT 0,      -- the revision of the write in progress: names the write, stays until its answer is known
    attempts        integer NOT NULL DEFAULT 0,      -- failed writes since the last success: decides the next wait
    calls           integer NOT NULL DEFAULT 0,      -- writes that were sent, over the row's life
    node            bigint,                          -- who works on it
    lease_until     timestamptz,                     -- null: nobody does
    token           bigint NOT NULL DEFAULT 0,       -- fencing: grows with each claim
    due_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    failing_since   timestamptz,
    record_id       text NOT NULL DEFAULT '',
    url             text NOT NULL DEFAULT '',
    last_error      text NOT NULL DEFAULT '',        -- masked, in words
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at    timestamptz,
    UNIQUE (lead_id, connection)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX delivery_due ON delivery (destination, connection, due_at) WHERE wanted > written AND state IN ('pending','saving','delivered');

-- The next moment at which a chat channel may be posted to; taken by UPDATE, so that several processes share one pace.
CREATE TABLE chat_pace (
    channel text PRIMARY KEY,                        -- connection slug and channel
    next_at timestamptz NOT NULL
) WITH (fillfactor = 20);
