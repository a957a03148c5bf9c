-- What stood behind a version when it was published: the findings of its checks, how its golden leads fared, who approved it, and of which
-- earlier version it is the content.
ALTER TABLE config_version
    ADD COLUMN report      jsonb,                    -- playbook.Report; null: published by an older release
    ADD COLUMN approved_by text NOT NULL DEFAULT '',
    ADD COLUMN rollback_of bigint;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'leadline_reporting') THEN
        GRANT SELECT (rollback_of) ON config_version TO leadline_reporting;
    END IF;
END $$;
