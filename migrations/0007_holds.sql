-- Submissions that somebody should look at before anybody is called, and proofs of work that were used.

-- Why a lead is held, and what became of that. Written in the statement that stores the lead; a lead that was never held has no row.
CREATE TABLE hold (
    lead_id    uuid PRIMARY KEY,                     -- UUIDv7: newest first is the order of the key
    form       text NOT NULL,
    score      integer NOT NULL,                     -- 0 to 100
    reasons    text[] NOT NULL,                      -- names, see internal/spam
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open','released','discarded')),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    settled_by uuid                                  -- the account; null: the person sent the form again, without anything odd
);
CREATE INDEX hold_open ON hold (lead_id) WHERE state = 'open';
CREATE INDEX hold_discarded ON hold (lead_id) WHERE state = 'discarded';

-- Proofs of work that were used, until they run out: each counts once, for all processes.
CREATE TABLE spent_proof (
    proof      bytea PRIMARY KEY,                    -- the signature of the challenge
    holder     bytea NOT NULL,                       -- hash of form and idempotency key: a retry has paid already
    expires_at timestamptz NOT NULL
);
CREATE INDEX spent_proof_expires ON spent_proof (expires_at);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (lead_id, form, score, reasons, state, at, settled_at) ON hold TO leadline_reporting;
    END IF;
END $$;
