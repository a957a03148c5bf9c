package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

const appendSQL = `SELECT append_audit(%s, %s, %s, %s, %s, %s, %s, %s)`

// Append writes an entry inside a GORM transaction and gives its number. The actor comes from ctx unless the entry names one.
// It holds the end of the chain until the transaction ends: call it late, but before append_events.
func Append(ctx context.Context, tx *gorm.DB, e Entry) (int64, error) {
	args, err := e.By(ctx).args()
	if err != nil {
		return 0, err
	}
	var seq int64
	query := fmt.Sprintf(appendSQL, "?", "?", "?", "?", "?", "?", "?", "?")
	// By Row: when GORM's own Scan fails, it prints the values, and the note among them may be personal.
	raw := tx.WithContext(ctx).Raw(query, args...)
	row := raw.Row()
	if row == nil { // the transaction had failed before
		return 0, fmt.Errorf("record %s: %w", e.Action, raw.Error)
	}
	if err := row.Scan(&seq); err != nil {
		return 0, fmt.Errorf("record %s: %w", e.Action, err)
	}
	return seq, nil
}

// AppendTx is Append for a pgx transaction.
func AppendTx(ctx context.Context, tx pgx.Tx, e Entry) (int64, error) {
	args, err := e.By(ctx).args()
	if err != nil {
		return 0, err
	}
	var seq int64
	query := fmt.Sprintf(appendSQL, "$1", "$2::uuid", "$3", "$4", "$5", "$6", "$7", "$8")
	if err := tx.QueryRow(ctx, query, args...).Scan(&seq); err != nil {
		return 0, fmt.Errorf("record %s: %w", e.Action, err)
	}
	return seq, nil
}

// args are the parameters of append_audit.
func (e Entry) args() ([]any, error) {
	detail := "{}"
	if e.Detail != nil {
		text, err := json.Marshal(e.Detail)
		if err != nil {
			return nil, fmt.Errorf("write the details of %s: %w", e.Action, err)
		}
		detail = string(text)
	}
	var actor *string
	if e.Actor != nil {
		id := e.Actor.String()
		actor = &id
	}
	clean := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "") }
	return []any{e.ActorKind, actor, string(e.Action), e.ObjectKind, clean(e.Object), clean(detail), clean(e.Note), clean(e.CorrelationID)}, nil
}
