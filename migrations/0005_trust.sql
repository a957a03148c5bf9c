-- What trust rests on: a record that cannot be bent, keys and credentials that are never in clear, payloads with a key each,
-- erasure that a restored backup cannot undo, and database roles that may read one without the other.

-- The audit chain. Rows are written by append_audit alone, in the transaction of what they record, and never change: each one's
-- hash covers its content and the hash of the row before. Free text by people (note) may hold personal data, so the chain covers
-- a salted digest of it instead: erasing a person removes the text and the salt, and the chain still verifies.
CREATE TABLE audit (
    seq            bigint PRIMARY KEY,
    at             timestamptz NOT NULL,
    actor_kind     text NOT NULL CHECK (actor_kind IN ('person','token','command','system','visitor')),
    actor          uuid,                             -- account or token; null for the others, and for people we do not know
    action         text NOT NULL,                    -- noun.verb, see internal/audit
    object_kind    text NOT NULL DEFAULT '',
    object         text NOT NULL DEFAULT '',         -- id, slug or name
    detail         text NOT NULL DEFAULT '{}',       -- JSON as it was hashed; ids and numbers, never contact details
    correlation_id text NOT NULL DEFAULT '',
    note           text,                             -- a reason in somebody's words; null once erased
    note_salt      bytea,
    note_digest    bytea NOT NULL,
    prev           bytea NOT NULL,
    hash           bytea NOT NULL
);
CREATE INDEX audit_object ON audit (object_kind, object, seq);
CREATE INDEX audit_actor ON audit (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_action ON audit (action, seq);

-- The end of the chain: locked by each writer until its transaction ends.
CREATE TABLE audit_head (
    name text PRIMARY KEY,
    seq  bigint NOT NULL,
    hash bytea NOT NULL
) WITH (fillfactor = 20);
INSERT INTO audit_head VALUES ('chain', 0, sha256('leadline audit chain 1'));

-- Signed heads, as they were also sent outside.
CREATE TABLE audit_anchor (
    seq       bigint PRIMARY KEY,
    at        timestamptz NOT NULL,
    hash      bytea NOT NULL,
    key_id    bigint NOT NULL,
    signature bytea NOT NULL
);

-- netstring frames a value, so that no two lists of values look the same when joined.
CREATE FUNCTION netstring(v text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT octet_length(convert_to(v, 'UTF8')) || ':' || v || ','
$$;

-- append_audit is the only way to write the chain. Locks its head until the transaction ends: call it late, but before
-- append_events, whose counter every lead needs.
CREATE FUNCTION append_audit(p_actor_kind text, p_actor uuid, p_action text, p_object_kind text, p_object text, p_detail text, p_note text,
    p_correlation text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    h      audit_head;
    t      timestamptz;
    salt   bytea := decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
    digest bytea;
    sum    bytea;
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true); -- a frozen process must not hold the end of the chain for long
    SELECT * INTO STRICT h FROM audit_head WHERE name = 'chain' FOR UPDATE;
    t := greatest(clock_timestamp(), (SELECT a.at FROM audit a WHERE a.seq = h.seq)); -- times never run backwards along the chain
    digest := sha256(salt || convert_to(p_note, 'UTF8'));
    sum := sha256(h.hash || convert_to(
        netstring((h.seq + 1)::text) || netstring(to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) ||
        netstring(p_actor_kind) || netstring(coalesce(p_actor::text, '')) || netstring(p_action) || netstring(p_object_kind) ||
        netstring(p_object) || netstring(p_detail) || netstring(p_correlation) || netstring(encode(digest, 'hex')), 'UTF8'));
    INSERT INTO audit (seq, at, actor_kind, actor, action, object_kind, object, detail, correlation_id, note, note_salt, note_digest, prev, hash)
    VALUES (h.seq + 1, t, p_actor_kind, p_actor, p_action, p_object_kind, p_object, p_detail, p_correlation, p_note, salt, digest, h.hash, sum);
    UPDATE audit_head SET seq = h.seq + 1, hash = sum WHERE name = 'chain';
    RETURN h.seq + 1;
END $$;

-- A mistake cannot change the chain; somebody with the powers of an owner can, and verification shows it.
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.note IS NULL AND NEW.note_salt IS NULL
        AND (NEW.seq, NEW.at, NEW.actor_kind, NEW.action, NEW.object_kind, NEW.object, NEW.detail, NEW.correlation_id, NEW.note_digest, NEW.prev, NEW.hash)
          = (OLD.seq, OLD.at, OLD.actor_kind, OLD.action, OLD.object_kind, OLD.object, OLD.detail, OLD.correlation_id, OLD.note_digest, OLD.prev, OLD.hash)
        AND NEW.actor IS NOT DISTINCT FROM OLD.actor THEN
        RETURN NEW; -- a person's words are erased
    END IF;
    RAISE EXCEPTION 'the audit chain is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_stays_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- Keys that protect data, each wrapped by the key-encryption key that is not in the database.
CREATE TABLE data_key (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose    text NOT NULL CHECK (purpose IN ('secret','payload','audit')),
    kek        text NOT NULL,                        -- fingerprint of the key-encryption key that wraps it
    wrapped    bytea NOT NULL,
    public     bytea,                                -- of a signing key: what verifies its signatures
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX data_key_current ON data_key (purpose) WHERE retired_at IS NULL;

-- Credentials of connections, sealed under a data key.
CREATE TABLE secret (
    name       text PRIMARY KEY,
    data_key   bigint NOT NULL REFERENCES data_key,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What a visitor sent, byte for byte, each under a key of its own that is wrapped by a data key. submission is a lead's id or an alias.
CREATE TABLE payload (
    submission uuid PRIMARY KEY,                     -- UUIDv7: old ones are found by their time
    data_key   bigint NOT NULL,
    wrapped    bytea NOT NULL,                       -- the payload's own key
    sealed     bytea NOT NULL
);

-- People who were erased, as keyed hashes of their addresses. The same list is kept outside the database, so that it survives a
-- restored backup and is carried out again.
CREATE TABLE erasure (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    subjects bytea[] NOT NULL,
    leads    uuid[] NOT NULL
);

-- Who looked at masked contact details, until when they may, and the line of the audit chain that says why.
CREATE TABLE reveal (
    id         uuid PRIMARY KEY,
    lead_id    uuid NOT NULL,
    account_id uuid NOT NULL,
    audit_seq  bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    until      timestamptz NOT NULL
);
CREATE INDEX reveal_lead ON reveal (lead_id, account_id, until);

-- The link by which the first admin signs in, printed by the server.
CREATE TABLE setup_link (
    token_hash bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

-- Roles that can be granted to people and tools who read the database: reporting without contact details, contact details,
-- payloads (sealed all the same), the audit chain. A server whose user may not make roles goes without them.
DO $$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['leadline_reporting','leadline_contact','leadline_payload','leadline_audit'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', r);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made by another database of this server at the same moment
            WHEN insufficient_privilege THEN RAISE NOTICE 'role % was not made: this user may not make roles', r;
        END;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), r);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON pool_state, node, audit_anchor TO leadline_reporting;
        -- Without words that visitors or reps may have written about a person, and without addresses of reps.
        GRANT SELECT (id, form, intent, product, country, region, postal_code, timezone, language, source, email_domain, domain_class, accepted_at, stage,
            crm_state, pool, rep_id, attempt, claimed_at, first_touch_at, closed_at, disposition, revision, demo) ON lead TO leadline_reporting;
        GRANT SELECT (seq, at, lead_id, kind, pool, rep_id, attempt) ON event TO leadline_reporting;
        GRANT SELECT (lead_id, attempt, kind, rung, pool, rep_id, state, cause, offered_at, deadline, ended_at) ON offer TO leadline_reporting;
        GRANT SELECT (lead_id, version, rule, pool, rep_id, at) ON decision TO leadline_reporting;
        GRANT SELECT (id, lead_id, kind, correlation_id, at) ON touch TO leadline_reporting;
        GRANT SELECT (id, name, team, timezone, hours, active, presence, presence_by, presence_at, demo, updated_at) ON rep TO leadline_reporting;
        GRANT SELECT (number, hash, note, demo, created_at) ON config_version TO leadline_reporting;
        GRANT SELECT (id, lead_id, connection, kind, destination, hot, state, wanted, written, attempts, calls, due_at, failing_since, last_error,
            created_at, confirmed_at) ON delivery TO leadline_reporting;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_contact') THEN
        GRANT SELECT ON contact TO leadline_contact;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_payload') THEN
        GRANT SELECT ON payload TO leadline_payload;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_audit') THEN
        GRANT SELECT ON audit, audit_head, audit_anchor TO leadline_audit;
        GRANT SELECT (id, purpose, public) ON data_key TO leadline_audit;
    END IF;
END $$;

-- Sessions have a name that outlives their token, which changes as they grow old.
ALTER TABLE session
    ADD COLUMN id            uuid,                   -- null only for sessions that the release before began
    ADD COLUMN previous_hash bytea,                  -- the token before the last change, valid for a moment more
    ADD COLUMN rotated_at    timestamptz,
    ADD COLUMN fresh_at      timestamptz,            -- until when the person was busy here without a long pause; null: since the sign-in
    ADD COLUMN trusted       boolean NOT NULL DEFAULT false,
    ADD COLUMN address       text NOT NULL DEFAULT ''; -- the network it was begun from, not the whole address

-- Last, so that the lock on the table of leads is held for a moment only.
-- lock order: nobody locks sessions and leads in one transaction
ALTER TABLE lead ADD COLUMN erased_at timestamptz;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (erased_at) ON lead TO leadline_reporting;
    END IF;
END $$;
