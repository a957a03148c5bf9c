-- no transaction
-- Offers that no screen has shown yet, by the moment at which they move on.
CREATE INDEX CONCURRENTLY IF NOT EXISTS offer_screen ON offer (screen_by) WHERE state = 'open' AND screen_by IS NOT NULL;
ALTER TABLE offer VALIDATE CONSTRAINT offer_rung;
