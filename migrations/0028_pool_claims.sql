-- no transaction
-- What a pool took lately: asked at each allocation in pools with limits of their own.
CREATE INDEX CONCURRENTLY IF NOT EXISTS lead_pool_claimed ON lead (pool, claimed_at) WHERE claimed_at IS NOT NULL;
ALTER TABLE credit_entry VALIDATE CONSTRAINT credit_entry_kind;
