package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/postgres/pgtest"
)

// What the driver is taught must mean the same as what it did before: values come back as they went, and NULL stays NULL.
func TestTypes_GoAndComeBackUnchanged(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	id, at := uuid.Must(uuid.NewV7()), time.Date(2026, 3, 29, 1, 30, 0, 123456000, time.UTC)
	var (
		one, empty uuid.UUID
		some, none *uuid.UUID
		ids        []uuid.UUID
		holes      []*uuid.UUID
		moments    []*time.Time
		documents  []*string
		asText     string
	)
	empty = id
	err := db.Path.QueryRow(t.Context(), `SELECT $1::uuid, NULL::uuid, $2::uuid, $3::uuid, $4::uuid[], $5::uuid[], $6::timestamptz[], $7::jsonb[]::text[], $1::uuid::text`,
		id, &id, (*uuid.UUID)(nil), []uuid.UUID{id, uuid.Nil}, []*uuid.UUID{nil, &id}, []*time.Time{&at, nil}, []json.RawMessage{json.RawMessage(`{"a": 1}`), nil},
	).Scan(&one, &empty, &some, &none, &ids, &holes, &moments, &documents, &asText)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case one != id, asText != id.String(), some == nil || *some != id:
		t.Errorf("the id came back as %v, %s, %v", one, asText, some)
	case empty != id:
		t.Errorf("NULL changed an id to %v", empty)
	case none != nil:
		t.Errorf("NULL came back as %v", none)
	case len(ids) != 2 || ids[0] != id || ids[1] != uuid.Nil:
		t.Errorf("ids came back as %v", ids)
	case len(holes) != 2 || holes[0] != nil || holes[1] == nil || *holes[1] != id:
		t.Errorf("ids with a hole came back as %v", holes)
	case len(moments) != 2 || moments[0] == nil || !moments[0].Equal(at) || moments[1] != nil:
		t.Errorf("moments came back as %v", moments)
	case len(documents) != 2 || documents[0] == nil || *documents[0] != `{"a": 1}` || documents[1] != nil:
		t.Errorf("documents came back as %v", documents)
	}
}
