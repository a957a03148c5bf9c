-- Where the form on somebody's page and the form in our configuration differ, and who was told. Statistics: nothing here is needed to
-- take a lead, and nothing here is what a person told us. Samples are shapes, letters as x and digits as 9.

-- One way in which submissions of a form differ from what it asks for.
CREATE TABLE drift_group (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    form        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('refused','unknown','unparseable')),
    cause       text NOT NULL,                       -- FIELD/CODE, unknown/FIELD, body/WHAT, or other/KIND when there are too many
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    total       bigint NOT NULL,
    samples     text[] NOT NULL,                     -- a few masked shapes
    resolved_at timestamptz,                         -- somebody dealt with it; null again as soon as it is seen again
    demo        boolean NOT NULL DEFAULT false,
    UNIQUE (form, cause)
);

-- How often, by day of the database's clock in UTC.
CREATE TABLE drift_day (
    group_id bigint NOT NULL REFERENCES drift_group ON DELETE CASCADE,
    day      date NOT NULL,
    count    bigint NOT NULL,
    PRIMARY KEY (group_id, day)
);

-- One mail to one owner of a form, about every group that was due at that moment.
CREATE TABLE drift_mail (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    form       text NOT NULL,
    owner      text NOT NULL,                        -- e-mail address, as the configuration had it
    message_id text NOT NULL,                        -- made before the first try
    state      text NOT NULL CHECK (state IN ('waiting','sent','refused','gave_up','not_sent')),
    code       text NOT NULL DEFAULT '',             -- of the last try that failed
    tries      int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,                          -- when it was sent, or given up
    demo       boolean NOT NULL DEFAULT false
);
CREATE INDEX drift_mail_owner ON drift_mail (form, owner, created_at);

-- An owner hears of a group at most once a day.
CREATE TABLE drift_notice (
    group_id bigint NOT NULL REFERENCES drift_group ON DELETE CASCADE,
    day      date NOT NULL,
    owner    text NOT NULL,
    mail_id  bigint NOT NULL REFERENCES drift_mail ON DELETE CASCADE,
    PRIMARY KEY (group_id, day, owner)
);
CREATE INDEX drift_notice_mail ON drift_notice (mail_id);

-- Reporting may read what is no address of anybody.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON drift_group, drift_day TO leadline_reporting;
        GRANT SELECT (id, form, state, code, tries, created_at, ended_at, demo) ON drift_mail TO leadline_reporting;
        GRANT SELECT (group_id, day, mail_id) ON drift_notice TO leadline_reporting;
    END IF;
END $$;
