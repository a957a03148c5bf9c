package migrations

// rule is one habit that Lint holds migrations to.
type rule struct {
	name    string
	advice  string // what to do instead
	warning bool   // worth a look, yet no mistake in itself
}

// The rules. docs/migrations.md explains why each is there.
var (
	ruleFile    = rule{name: "file", advice: "name files 0001_words.sql, each number once, and close every quote and comment"}
	ruleHeader  = rule{name: "header", advice: "to run outside a transaction, the first line must read exactly \"" + outsideMark + "\""}
	ruleControl = rule{name: "transaction", advice: "leave BEGIN, COMMIT and the like to the runner: it opens and ends the transaction"}
	ruleSetting = rule{name: "setting", advice: "leave time-outs to the runner: it limits the wait for locks and tries again"}

	ruleNarrowID = rule{name: "narrow-id", advice: "make ids bigint or uuid: smaller ones run out"}
	ruleUnlogged = rule{name: "unlogged", advice: "make it an ordinary table: an unlogged one is empty after a crash and on every standby"}

	ruleDrop   = rule{name: "drop", advice: "drop it in a later release than the last that uses it, and say so on the line above, like \"-- contract: nothing since 1.4 reads it\""}
	ruleRename = rule{name: "rename", advice: "add the new name beside the old one, fill it in a job, and drop the old one a release later"}
	ruleType   = rule{name: "change-type", advice: "add a column of the new type, fill it in a job, and drop the old one a release later"}

	ruleSetNotNull = rule{name: "set-not-null", advice: "add CHECK (… IS NOT NULL) NOT VALID and validate it in the next file: SET NOT NULL reads the whole table under a lock"}
	ruleAddNotNull = rule{name: "add-not-null", advice: "give the column a constant DEFAULT, or leave NOT NULL away: the binary before does not write it"}
	ruleVolatile   = rule{name: "volatile-default", advice: "add the column with a constant DEFAULT or none and fill it in a job: a DEFAULT that differs per row rewrites the table under a lock"}
	ruleRewrite    = rule{name: "rewrite", advice: "find a way that does not rewrite the table or index under a lock: a new column or table filled in a job, or the CONCURRENTLY form"}

	ruleIndex       = rule{name: "index", advice: "build it with CREATE INDEX CONCURRENTLY in a file of its own that begins with \"" + outsideMark + "\" (a key then takes it over with ADD CONSTRAINT … USING INDEX)"}
	ruleOutside     = rule{name: "concurrently", advice: "move it to a file of its own that begins with \"" + outsideMark + "\": CONCURRENTLY is refused inside a transaction"}
	ruleDropIndex   = rule{name: "drop-index", advice: "use DROP INDEX CONCURRENTLY in a file of its own that begins with \"" + outsideMark + "\""}
	ruleNotValid    = rule{name: "not-valid", advice: "add the constraint by ADD CONSTRAINT … NOT VALID, and validate it in a later file"}
	ruleValidate    = rule{name: "validate", advice: "validate in a later file: here the lock of ADD CONSTRAINT is held while the whole table is read"}
	ruleRepeatable  = rule{name: "repeatable", advice: "say IF NOT EXISTS, IF EXISTS or OR REPLACE and give a name: without a transaction a file that failed half-way is run again from its start"}
	ruleBackfill    = rule{name: "backfill", advice: "fill or empty older tables in a job, in batches; a migration may only touch rows that it names by their key"}
	ruleLock        = rule{name: "lock-table", advice: "do without LOCK TABLE: everybody waits until the file is done"}
	ruleLockOrder   = rule{name: "lock-order", advice: "give each older table a file of its own: others lock them in another order; or say why it is safe in a line \"-- lock order: …\"", warning: true}
	ruleMaintenance = rule{name: "maintenance", advice: "leave VACUUM FULL and CLUSTER to a maintenance window and use the CONCURRENTLY form of REINDEX and REFRESH: the table stands still meanwhile"}
)

func allRules() []rule {
	return []rule{
		ruleFile, ruleHeader, ruleControl, ruleSetting, ruleNarrowID, ruleUnlogged, ruleDrop, ruleRename, ruleType, ruleSetNotNull, ruleAddNotNull,
		ruleVolatile, ruleRewrite, ruleIndex, ruleOutside, ruleDropIndex, ruleNotValid, ruleValidate, ruleRepeatable, ruleBackfill, ruleLock, ruleLockOrder,
		ruleMaintenance,
	}
}
