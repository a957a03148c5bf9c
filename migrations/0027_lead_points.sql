-- What a lead counts in limits on points, as the rule that decided on it says. No row: one point. Written with the first decision.
CREATE TABLE lead_points (
    lead_id uuid PRIMARY KEY,
    points  integer NOT NULL CHECK (points > 1)
);

-- One more kind of row in the ledger of turns.
-- contract: takes nothing away, the wider rule below stands in its place
ALTER TABLE credit_entry
    DROP CONSTRAINT credit_entry_kind_check,
    ADD CONSTRAINT credit_entry_kind CHECK (kind IN ('bad_lead','declined','taken','handed_over','no_show','cancelled','manual')) NOT VALID;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON lead_points TO leadline_reporting;
    END IF;
END $$;
