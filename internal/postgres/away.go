package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Away tells errors of a server that cannot be reached, hung up, is starting or stopping, or has become a standby: trying again later
// helps, and nothing is wrong with what was asked. What was under way when it hung up may have been done.
func Away(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "08") || strings.HasPrefix(refused.Code, "57P") || refused.Code == "25006" || refused.Code == "53300"
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // it was we who ended it
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) { // it hung up in the middle of an answer; before it was asked
		return true
	}
	var connecting *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connecting) || errors.As(err, &network)
}
