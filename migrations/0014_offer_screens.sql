-- Offers know whether a screen showed them, by when one must, and why a rep passed; and there is one more rung.
-- contract: takes nothing away, the wider rule below stands in its place
ALTER TABLE offer
    DROP CONSTRAINT offer_rung_check,
    ADD CONSTRAINT offer_rung CHECK (rung IN ('person','turn','pool','last_resort','manager')) NOT VALID,
    ADD COLUMN declined  text NOT NULL DEFAULT '',   -- why it was passed, as a code; see internal/routing/decline.go
    ADD COLUMN shown_at  timestamptz,                -- when a console of the rep confirmed that it is on the screen
    ADD COLUMN screen_by timestamptz;                -- until when one must; null: one did, or nobody asks
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (declined, shown_at, screen_by) ON offer TO leadline_reporting;
    END IF;
END $$;
