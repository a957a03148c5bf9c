-- Who works leads, who may sign in, and which programs may call.

CREATE TABLE rep (
    id              uuid PRIMARY KEY,
    email           text NOT NULL UNIQUE CHECK (email = lower(email)),
    name            text NOT NULL,
    team            text NOT NULL DEFAULT '',
    phone           text NOT NULL DEFAULT '',
    timezone        text NOT NULL DEFAULT 'UTC',
    hours           text NOT NULL DEFAULT '',        -- '' = always
    active          boolean NOT NULL DEFAULT true,
    presence        text NOT NULL DEFAULT 'off' CHECK (presence IN ('available','focus','away','off')),
    presence_by     text NOT NULL DEFAULT 'system' CHECK (presence_by IN ('console','api','system')),
    presence_reason text NOT NULL DEFAULT '',        -- why the system changed it, in words for the rep
    presence_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    reachable_at    timestamptz,                     -- last sign of a console (pong)
    missed          integer NOT NULL DEFAULT 0,      -- offers in a row that timed out
    demo            boolean NOT NULL DEFAULT false,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- A person who may sign in. A rep's account has the rep's e-mail address.
CREATE TABLE account (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE CHECK (email = lower(email)),
    name          text NOT NULL DEFAULT '',
    roles         text NOT NULL DEFAULT '',          -- space-separated: rep ops admin viewer
    password_hash text NOT NULL DEFAULT '',          -- argon2id, '' = signs in by one-time link only
    disabled_at   timestamptz,
    demo          boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE session (
    token_hash   bytea PRIMARY KEY,                  -- SHA-256 of the cookie's value
    account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_agent   text NOT NULL DEFAULT ''
);
CREATE INDEX session_account ON session (account_id);

CREATE TABLE signin_link (
    token_hash bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE TABLE api_token (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    scopes       text NOT NULL,                      -- space-separated
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);
