-- What a lead counts in limits on points, as the rule that decided on it says. No row: one point. Written with the first decision.
CREATE TABLE lead_points (
    lead_id uuid PRIMARY KEY,
    points  integer NOT NULL CHECK (points > 1)
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT ON lead_points TO leadline_reporting;
    END IF;
END $$;
