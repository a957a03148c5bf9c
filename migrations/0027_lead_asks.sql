-- What the rule that decided on a lead asks of whoever gets it, and what the lead counts in limits on points. No row: nothing, and one point.
-- Written with the first decision, which says the same.
CREATE TABLE lead_asks (
    lead_id uuid PRIMARY KEY,
    points  integer NOT NULL CHECK (points > 0),
    needs   text[] NOT NULL                          -- tags
);

-- One more kind of row in the ledger of turns.
-- contract: takes nothing away, the wider rule below stands in its place
ALTER TABLE credit_entry
    DROP CONSTRAINT credit_entry_kind_check,
    ADD CONSTRAINT credit_entry_kind CHECK (kind IN ('bad_lead','declined','taken','handed_over','no_show','cancelled','manual')) NOT VALID;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON lead_asks TO leadline_reporting;
    END IF;
END $$;
