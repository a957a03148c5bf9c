package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// timeLayout is how a moment is written where it is hashed or signed: UTC, always with six decimals.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// genesis is the hash that the first row continues.
var genesis = sha256.Sum256([]byte("leadline audit chain 1"))

// row is one line of the table as it was found. Every column may be NULL here: whoever owns the database can drop a constraint,
// and verification must be able to say so.
type row struct {
	seq           int64
	at            pgtype.Timestamptz
	actorKind     pgtype.Text
	actor         pgtype.UUID
	action        pgtype.Text
	objectKind    pgtype.Text
	object        pgtype.Text
	detail        pgtype.Text
	correlationID pgtype.Text
	note          pgtype.Text
	salt          []byte
	digest        []byte
	prev          []byte
	hash          []byte
}

const rowColumns = `seq, at, actor_kind, actor, action, object_kind, object, detail, correlation_id, note, note_salt, note_digest, prev, hash`

// into lists where rowColumns are scanned to.
func (r *row) into() []any {
	return []any{
		&r.seq, &r.at, &r.actorKind, &r.actor, &r.action, &r.objectKind, &r.object, &r.detail, &r.correlationID,
		&r.note, &r.salt, &r.digest, &r.prev, &r.hash,
	}
}

// whole tells whether all is there that a row must have, with a time that can be written.
func (r *row) whole() bool {
	for _, text := range []pgtype.Text{r.actorKind, r.action, r.objectKind, r.object, r.detail, r.correlationID} {
		if !text.Valid {
			return false
		}
	}
	return r.at.Valid && r.at.InfinityModifier == pgtype.Finite && r.digest != nil && r.prev != nil && r.hash != nil
}

// sum computes the hash that the row must have, without the database's help: SHA-256 of the hash before and, each framed as a
// netstring so that no two rows can look the same, its number, time, actor, action, object, details, correlation id and the digest
// of its note. buf is room to work in; it is returned for the next call.
func (r *row) sum(buf []byte) (sum [sha256.Size]byte, _ []byte) {
	actor := ""
	if r.actor.Valid {
		actor = r.actor.String()
	}
	buf = append(buf[:0], r.prev...)
	for _, value := range []string{
		strconv.FormatInt(r.seq, 10), canonical(r.at.Time), r.actorKind.String, actor, r.action.String, r.objectKind.String,
		r.object.String, r.detail.String, r.correlationID.String, hex.EncodeToString(r.digest),
	} {
		buf = appendNetstring(buf, value)
	}
	return sha256.Sum256(buf), buf
}

// noteFits tells whether the note that is there is the one that was digested.
func (r *row) noteFits() bool {
	salted := make([]byte, 0, len(r.salt)+len(r.note.String))
	digest := sha256.Sum256(append(append(salted, r.salt...), r.note.String...))
	return bytes.Equal(digest[:], r.digest)
}

// appendNetstring frames a value by its length in bytes.
func appendNetstring(buf []byte, value string) []byte {
	buf = strconv.AppendInt(buf, int64(len(value)), 10)
	buf = append(buf, ':')
	buf = append(buf, value...)
	return append(buf, ',')
}

func canonical(at time.Time) string { return at.UTC().Format(timeLayout) }
