package postgres

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// teachTypes tells a connection how our values travel. Times come back in UTC, whatever zone this machine or the server is in. Ids go
// as the 16 bytes they are: the driver by itself would write each as text and read that again, because uuid.UUID is a
// driver.Valuer. Slices that carry batches go without reflection.
func teachTypes(conn *pgx.Conn) {
	m := conn.TypeMap()
	m.RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	id := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	m.RegisterType(id)
	m.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: &pgtype.ArrayCodec{ElementType: id}})
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapSlice}, m.TryWrapEncodePlanFuncs...)
}

// uuidCodec is the driver's, but for values of type uuid.UUID.
type uuidCodec struct{ pgtype.UUIDCodec }

func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ours := value.(uuid.UUID); ours && format == pgtype.BinaryFormatCode {
		return encodeUUID{}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ours := target.(*uuid.UUID); ours && format == pgtype.BinaryFormatCode {
		return scanUUID{}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type encodeUUID struct{}

func (encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	id, ok := value.(uuid.UUID)
	if !ok {
		return nil, errors.New("not a uuid.UUID")
	}
	return append(buf, id[:]...), nil
}

type scanUUID struct{}

// Scan leaves the target alone at NULL, as uuid.UUID's own Scan does.
func (scanUUID) Scan(src []byte, target any) error {
	id, ok := target.(*uuid.UUID)
	switch {
	case !ok:
		return errors.New("not a *uuid.UUID")
	case src == nil:
		return nil
	case len(src) != len(id):
		return errors.New("a uuid has 16 bytes")
	}
	copy(id[:], src)
	return nil
}

func wrapSlice(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	switch v := value.(type) {
	case []uuid.UUID:
		return &slicePlan[uuid.UUID]{}, pgtype.FlatArray[uuid.UUID](v), true
	case []*uuid.UUID:
		return &slicePlan[*uuid.UUID]{}, pgtype.FlatArray[*uuid.UUID](v), true
	case []*time.Time:
		return &slicePlan[*time.Time]{}, pgtype.FlatArray[*time.Time](v), true
	case []json.RawMessage:
		return &slicePlan[json.RawMessage]{}, pgtype.FlatArray[json.RawMessage](v), true
	}
	return nil, nil, false
}

type slicePlan[T any] struct{ next pgtype.EncodePlan }

func (p *slicePlan[T]) SetNext(next pgtype.EncodePlan) { p.next = next }

func (p *slicePlan[T]) Encode(value any, buf []byte) ([]byte, error) {
	slice, ok := value.([]T)
	if !ok {
		return nil, errors.New("not the slice that was planned for")
	}
	return p.next.Encode(pgtype.FlatArray[T](slice), buf)
}
