-- From when to when somebody takes leads, their holidays, and what they can do that not everybody can. Written by apply. A table of its own:
-- the release before reads whole rows of rep with prepared statements, which new columns would break. No row: nothing is said.
CREATE TABLE rep_terms (
    rep_id    uuid PRIMARY KEY REFERENCES rep ON DELETE CASCADE,
    starts_on text NOT NULL DEFAULT '',   -- first day, like 2026-12-01; '' = has begun
    ends_on   text NOT NULL DEFAULT '',   -- last day; '' = none is known
    calendars text NOT NULL DEFAULT '',   -- slugs, with spaces between
    tags      text NOT NULL DEFAULT ''    -- words, with spaces between
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON rep_terms TO leadline_reporting;
    END IF;
END $$;
