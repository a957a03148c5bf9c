package dispatch

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// poisonError says that one lead's data, not the state of the database, made dispatch fail.
type poisonError struct{ err error }

func (e *poisonError) Error() string { return e.err.Error() }
func (e *poisonError) Unwrap() error { return e.err }

// isPoison tells errors that will come again however often the same leads are tried: data errors, broken constraints, panics.
func isPoison(err error) bool {
	var poison *poisonError
	if errors.As(err, &poison) {
		return true
	}
	state := sqlState(err)
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23")
}

// isTransient tells errors after which the same transaction is worth another try at once.
func isTransient(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock time-out
		return true
	}
	return false
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
