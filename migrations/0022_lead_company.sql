-- no transaction
-- Leads in somebody's hands by the company they came from, for leads that go to whoever has another one of it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS lead_company ON lead (email_domain, id) WHERE domain_class = 'business' AND stage IN ('claimed', 'contacted');
