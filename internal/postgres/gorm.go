package postgres

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

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
		Logger: logger.New(log.New(os.Stderr, "", log.LstdFlags), logger.Config{
			LogLevel:      logger.Error,
			SlowThreshold: time.Second,
			// GORM prints the values of a statement that fails; names and e-mail addresses must not reach a log.
			ParameterizedQueries:      true,
			IgnoreRecordNotFoundError: true,
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("open the object mapper: %w", err)
	}
	return g, nil
}
