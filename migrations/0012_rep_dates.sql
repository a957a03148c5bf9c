-- From when to when somebody takes leads, their holidays, and what they can do that not everybody can. Written by apply.
ALTER TABLE rep
    ADD COLUMN starts_on text NOT NULL DEFAULT '',   -- first day, like 2026-12-01; '' = has begun
    ADD COLUMN ends_on   text NOT NULL DEFAULT '',   -- last day; '' = none is known
    ADD COLUMN calendars text NOT NULL DEFAULT '',   -- slugs, with spaces between
    ADD COLUMN tags      text NOT NULL DEFAULT '';   -- words, with spaces between

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (starts_on, ends_on, calendars, tags) ON rep TO leadline_reporting;
    END IF;
END $$;
