package lead

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/keyring"
)

// PayloadStore reads what visitors sent, byte for byte. Nobody reads it unrecorded.
type PayloadStore struct {
	db   *gorm.DB
	open func(ctx context.Context, e keyring.Envelope, aad []byte) ([]byte, error)
}

// NewPayloadStore makes a PayloadStore on a database. open is (*keyring.Ring).OpenEnvelope.
func NewPayloadStore(db *gorm.DB, open func(ctx context.Context, e keyring.Envelope, aad []byte) ([]byte, error)) *PayloadStore {
	return &PayloadStore{db: db, open: open}
}

// payloadRow is a payload with what it belongs to.
type payloadRow struct {
	Submission uuid.UUID
	Kind       string
	At         time.Time
	DataKey    int64
	Wrapped    []byte
	Sealed     []byte
}

const payloadsSQL = `
SELECT p.submission, s.kind, s.at, p.data_key, p.wrapped, p.sealed
FROM (SELECT id, 'first' AS kind, accepted_at AS at FROM lead WHERE id = ? UNION ALL SELECT id, kind, at FROM touch WHERE lead_id = ?) s
JOIN payload p ON p.submission = s.id WHERE s.id > ? ORDER BY s.id LIMIT ?`

// payloadPage bounds one reading: a submission has up to 32 KiB, and anybody may send many.
const payloadPage = 100

// Read gives what was sent for a lead, oldest first: the first submission, repeats and corrections, as far as it is still kept. after is
// the last submission of the page before, or nil; more tells that there is another page. Aliases are resolved. What cannot be recorded
// in the audit chain is not given. NotFound when there is no such lead in scope; nothing for an erased person.
func (s *PayloadStore) Read(ctx context.Context, scope Scope, id, after uuid.UUID) (found []Payload, more bool, err error) {
	id, err = NewStore(s.db).Resolve(ctx, scope, id)
	if err != nil {
		return nil, false, err
	}
	var rows []payloadRow
	if err := s.db.WithContext(ctx).Raw(payloadsSQL, id, id, after, payloadPage+1).Scan(&rows).Error; err != nil {
		return nil, false, fmt.Errorf("read payloads of lead %s: %w", id, err)
	}
	if more = len(rows) > payloadPage; more {
		rows = rows[:payloadPage]
	}
	// Opened before the transaction: a key that this process has not opened yet needs a connection of its own.
	if found, err = s.opened(ctx, rows); err != nil {
		return nil, false, err
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		_, err := audit.Append(ctx, tx, audit.Entry{
			Action: audit.PayloadRead, ObjectKind: "lead", Object: id.String(), Detail: map[string]int{"submissions": len(found)},
		})
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return found, more, nil
}

func (s *PayloadStore) opened(ctx context.Context, rows []payloadRow) ([]Payload, error) {
	found := make([]Payload, len(rows))
	for i, r := range rows {
		document, err := s.open(ctx, keyring.Envelope{KeyID: r.DataKey, Wrapped: r.Wrapped, Sealed: r.Sealed}, r.Submission[:])
		if err != nil {
			return nil, fmt.Errorf("open payload of submission %s: %w", r.Submission, err)
		}
		found[i] = Payload{Submission: r.Submission, Kind: r.Kind, At: r.At}
		if err := found[i].read(document); err != nil {
			return nil, err
		}
	}
	return found, nil
}
