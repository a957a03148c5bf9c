-- Which configuration is live, what it decided, and to whom each lead was offered.

-- Immutable: a roll-back publishes the old body under a new number. The live version is the highest number.
CREATE TABLE config_version (
    number     bigint PRIMARY KEY,
    hash       text NOT NULL,                        -- SHA-256 of body, hex
    body       text NOT NULL,                        -- canonical YAML without reps
    author     text NOT NULL DEFAULT '',
    note       text NOT NULL DEFAULT '',
    demo       boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The first routing decision of each lead, with all that is needed to explain it.
CREATE TABLE decision (
    lead_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    rule    text NOT NULL,
    pool    text NOT NULL,
    rep_id  uuid,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    trace   jsonb NOT NULL
);

-- One row per pool: members and their credits side by side, locked FOR UPDATE (in slug order) by whoever allocates.
CREATE TABLE pool_state (
    pool    text PRIMARY KEY,
    members uuid[] NOT NULL DEFAULT '{}',
    credits double precision[] NOT NULL DEFAULT '{}',
    last_at timestamptz[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

CREATE TABLE offer (
    lead_id    uuid NOT NULL,
    attempt    integer NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('exclusive','pool')),
    rung       text NOT NULL DEFAULT 'turn' CHECK (rung IN ('person','turn','pool','last_resort')), -- where on the ladder it stands
    pool       text NOT NULL,
    rep_id     uuid,                                 -- only for exclusive
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open','accepted','declined','timed_out','withdrawn')),
    cause      text NOT NULL,                        -- what led to it: first, timeout, decline, presence_lost, deactivated, overflow, drain
    offered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deadline   timestamptz,                          -- null: stays open
    ended_at   timestamptz,
    reason     text NOT NULL DEFAULT '',
    PRIMARY KEY (lead_id, attempt)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX offer_open ON offer (lead_id) WHERE state = 'open';
CREATE INDEX offer_deadline ON offer (deadline) WHERE state = 'open' AND deadline IS NOT NULL;
CREATE INDEX offer_rep_open ON offer (rep_id) WHERE state = 'open' AND rep_id IS NOT NULL;

-- What a rep has in hand, and took today: asked at each allocation in pools with limits.
CREATE INDEX lead_in_hand ON lead (rep_id) WHERE stage = 'claimed';
CREATE INDEX lead_claimed_at ON lead (rep_id, claimed_at) WHERE claimed_at IS NOT NULL;
