package postgres

import (
	"database/sql"
	"fmt"

	driver "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// openGorm puts GORM on an open database/sql handle.
//
// PrepareStmt stays off: pgx prepares already, and with it SQLTx would find another type.
func openGorm(db *sql.DB) (*gorm.DB, error) {
	g, err := gorm.Open(driver.New(driver.Config{Conn: db}), &gorm.Config{
		SkipDefaultTransaction: true, // one statement is atomic by itself; several go into a transaction on purpose
		TranslateError:         true, // gorm.ErrDuplicatedKey instead of a driver's error
		DisableAutomaticPing:   true, // the pool has answered a moment ago
		// GORM prints the values of a statement that fails (after Raw and Scan even if told not to), and names and addresses must not
		// reach a log. Its errors come back to the caller, who logs them once.
		Logger: logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open the object mapper: %w", err)
	}
	return g, nil
}
