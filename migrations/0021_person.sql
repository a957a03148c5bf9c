-- Who sent what, whatever the form, and which leads belong to an open lead of the same person.

-- Written in the statement that stores the lead, if there is something to say. A keyed hash, as in fingerprint, but without the form, and only while
-- the configuration asks for it.
CREATE TABLE lead_person (
    lead_id      uuid PRIMARY KEY,
    person       bytea,                              -- of the e-mail address, else the phone number
    country_from text NOT NULL DEFAULT ''            -- where the country comes from, if the visitor did not state it: region
);
CREATE INDEX lead_person_leads ON lead_person (person, lead_id) WHERE person IS NOT NULL;

-- Leads that were attached to an open lead of the same person: whoever has that one has them too.
CREATE TABLE lead_joined (
    lead_id uuid PRIMARY KEY,
    to_lead uuid NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX lead_joined_to ON lead_joined (to_lead);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (lead_id, country_from) ON lead_person TO leadline_reporting;
        GRANT SELECT ON lead_joined TO leadline_reporting;
    END IF;
END $$;
