package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"leadline/internal/fault"
)

// Store answers who did, saw or changed what. It writes only that somebody looked.
type Store struct {
	db  *gorm.DB
	now func() time.Time
}

// NewStore makes a Store on a database.
func NewStore(db *gorm.DB, now func() time.Time) *Store { return &Store{db: db, now: now} }

// Filter narrows a list of entries. Zero fields do not narrow.
type Filter struct {
	ActorKind  string
	Actor      *uuid.UUID // account or token
	Actions    []Action
	ObjectKind string
	Object     string    // an id, slug or name, exactly
	Since      time.Time // at or after
	Until      time.Time // before
	Own        *uuid.UUID
	Cursor     string // what the page before returned
	Limit      int    // 1 to 200; 50 when zero
}

// Line is an entry as the record has it, with names as they are today.
type Line struct {
	Seq           int64
	At            time.Time
	ActorKind     string
	Actor         *uuid.UUID
	ActorName     string // empty: nobody we know by now, or no person and no token
	Action        Action
	ObjectKind    string
	Object        string
	ObjectName    string // of an account, a token or a rep; empty for everything else
	Detail        json.RawMessage
	CorrelationID string
	Note          string
	Erased        bool // the note was erased
	Hash          []byte
}

// Page sizes.
const (
	pageDefault = 50
	pageMost    = 200
	exportMost  = 50_000
	seenAgain   = time.Hour // looking at the same once more is recorded after this
)

// List gives one page of entries, newest first, and the cursor of the next; an empty cursor means that there is no more. With
// Own, an account, it gives that person's own doing and who looked at the contact details of the leads that they hold. That viewer
// looked, and at what, is recorded in the same transaction: no record, no page. The same look is recorded once an hour.
func (s *Store) List(ctx context.Context, viewer uuid.UUID, f Filter) (lines []Line, next string, err error) {
	limit := min(max(f.Limit, 0), pageMost)
	if limit == 0 {
		limit = pageDefault
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if lines, err = s.read(tx, f, limit+1); err != nil {
			return err
		}
		if len(lines) > limit {
			lines = lines[:limit]
			next = strconv.FormatInt(lines[limit-1].Seq, 10)
		}
		if err := name(tx, lines); err != nil {
			return err
		}
		return s.recordLook(ctx, tx, viewer, f)
	})
	return lines, next, err
}

// Export gives all entries of a filter, newest first, and records who took them and what for. More than 50,000 are an Invalid
// fault, and so is an export without a purpose.
func (s *Store) Export(ctx context.Context, viewer uuid.UUID, f Filter, purpose string) (lines []Line, err error) {
	if purpose == "" {
		return nil, fault.New(fault.Invalid, "Say what the export is for.")
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if lines, err = s.read(tx, f, exportMost+1); err != nil {
			return err
		}
		if len(lines) > exportMost {
			return fault.New(fault.Invalid, "These are more than %d entries. Choose a shorter time.", exportMost)
		}
		if err := name(tx, lines); err != nil {
			return err
		}
		detail := f.told()
		detail["entries"] = len(lines)
		_, err = Append(ctx, tx, Entry{ActorKind: Person, Actor: &viewer, Action: AuditExported, Detail: detail, Note: purpose})
		return err
	})
	return lines, err
}

// recordLook records that somebody looked, unless the same look is on record from the last hour.
func (s *Store) recordLook(ctx context.Context, tx *gorm.DB, viewer uuid.UUID, f Filter) error {
	detail, err := json.Marshal(f.told())
	if err != nil {
		return fmt.Errorf("write what was looked at: %w", err)
	}
	since, err := rowAt(tx, s.now().Add(-seenAgain))
	if err != nil {
		return err
	}
	var known bool
	err = tx.Raw(`SELECT EXISTS (SELECT FROM audit WHERE actor = ? AND seq >= ? AND action = ? AND detail = ?)`,
		viewer, since, string(AuditSeen), string(detail)).Scan(&known).Error
	if err != nil {
		return fmt.Errorf("look up earlier looks: %w", err)
	}
	if known {
		return nil
	}
	_, err = Append(ctx, tx, Entry{ActorKind: Person, Actor: &viewer, Action: AuditSeen, Detail: json.RawMessage(detail)})
	return err
}

// told is a filter as ids and names. Where in the list somebody was is left out: turning pages is one look.
func (f Filter) told() map[string]any {
	told := map[string]any{}
	set := func(name, value string) {
		if value != "" {
			told[name] = value
		}
	}
	set("actor_kind", f.ActorKind)
	if f.Actor != nil {
		set("actor", f.Actor.String())
	}
	if len(f.Actions) > 0 {
		told["actions"] = f.Actions
	}
	set("object_kind", f.ObjectKind)
	set("object", f.Object)
	if !f.Since.IsZero() {
		set("since", f.Since.UTC().Format(time.DateOnly))
	}
	if !f.Until.IsZero() {
		set("until", f.Until.UTC().Format(time.DateOnly))
	}
	if f.Own != nil {
		told["own"] = true
	}
	return told
}

type lineRow struct {
	Seq           int64
	At            time.Time
	ActorKind     string
	Actor         *uuid.UUID
	Action        string
	ObjectKind    string
	Object        string
	Detail        string
	CorrelationID string
	Note          *string
	Hash          []byte
}

// ownScope is what a rep may see: their own doing, and who saw the contact details of the leads they hold.
const ownScope = `(actor_kind = 'person' AND actor = ? OR action IN ? AND object_kind = 'lead' AND object IN
	(SELECT l.id::text FROM account me JOIN rep r ON r.email = me.email JOIN lead l ON l.rep_id = r.id WHERE me.id = ?))`

func (s *Store) read(tx *gorm.DB, f Filter, limit int) ([]Line, error) {
	q := tx.Table("audit").Select(`seq, at, actor_kind, actor, action, object_kind, object, detail, correlation_id, note, hash`)
	for _, c := range []struct{ column, value string }{{"actor_kind", f.ActorKind}, {"object_kind", f.ObjectKind}, {"object", f.Object}} {
		if c.value != "" {
			q = q.Where(c.column+" = ?", c.value)
		}
	}
	if f.Actor != nil {
		q = q.Where("actor = ?", *f.Actor)
	}
	if len(f.Actions) > 0 {
		q = q.Where("action IN ?", f.Actions)
	}
	if f.Own != nil {
		q = q.Where(ownScope, *f.Own, []Action{ContactRevealed, PayloadRead}, *f.Own)
	}
	for _, c := range []struct {
		condition string
		at        time.Time
	}{{"seq >= ?", f.Since}, {"seq < ?", f.Until}} {
		if !c.at.IsZero() {
			seq, err := rowAt(tx, c.at)
			if err != nil {
				return nil, err
			}
			q = q.Where(c.condition, seq)
		}
	}
	if f.Cursor != "" {
		before, err := strconv.ParseInt(f.Cursor, 10, 64)
		if err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "This cursor is not one of ours. Leave it out to begin again.")
		}
		q = q.Where("seq < ?", before)
	}
	var rows []lineRow
	if err := q.Order("seq DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the audit chain: %w", err)
	}
	lines := make([]Line, len(rows))
	for i, r := range rows {
		lines[i] = r.line()
	}
	return lines, nil
}

func (r lineRow) line() Line {
	l := Line{
		Seq: r.Seq, At: r.At, ActorKind: r.ActorKind, Actor: r.Actor, Action: Action(r.Action), ObjectKind: r.ObjectKind, Object: r.Object,
		Detail: json.RawMessage(r.Detail), CorrelationID: r.CorrelationID, Erased: r.Note == nil, Hash: r.Hash,
	}
	if r.Note != nil {
		l.Note = *r.Note
	}
	return l
}

// rowAt gives the number of the first row that is not older than a moment; one more than the last when all are. Times never run
// backwards along the chain, so a few looks at its primary key find the place without an index on time.
func rowAt(tx *gorm.DB, at time.Time) (int64, error) {
	var high int64
	if err := tx.Raw(`SELECT coalesce(max(seq), 0) + 1 FROM audit`).Scan(&high).Error; err != nil {
		return 0, fmt.Errorf("find a moment in the audit chain: %w", err)
	}
	low := int64(1)
	for low < high {
		middle := low + (high-low)/2
		var older bool
		err := tx.Raw(`SELECT coalesce((SELECT at < ? FROM audit WHERE seq >= ? ORDER BY seq LIMIT 1), false)`, at, middle).Scan(&older).Error
		if err != nil {
			return 0, fmt.Errorf("find a moment in the audit chain: %w", err)
		}
		if older {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// name fills in what people and tokens are called today.
func name(tx *gorm.DB, lines []Line) error {
	ids := map[uuid.UUID]string{}
	for _, l := range lines {
		if l.Actor != nil {
			ids[*l.Actor] = ""
		}
		if id, ok := l.named(); ok {
			ids[id] = ""
		}
	}
	if len(ids) == 0 {
		return nil
	}
	names, err := namesOf(tx, `SELECT id, coalesce(nullif(name, ''), email) AS name FROM account UNION ALL SELECT id, name FROM api_token UNION ALL SELECT id, name FROM rep`, ids)
	if err != nil {
		return err
	}
	for i := range lines {
		if lines[i].Actor != nil {
			lines[i].ActorName = names[*lines[i].Actor]
		}
		if id, ok := lines[i].named(); ok {
			lines[i].ObjectName = names[id]
		}
	}
	return nil
}

// named gives the id of an object that has a name for people.
func (l Line) named() (uuid.UUID, bool) {
	if l.ObjectKind != "account" && l.ObjectKind != "token" && l.ObjectKind != "rep" {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(l.Object)
	return id, err == nil
}

func namesOf(tx *gorm.DB, query string, ids map[uuid.UUID]string) (map[uuid.UUID]string, error) {
	var rows []struct {
		ID   uuid.UUID
		Name string
	}
	if err := tx.Raw(query).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("look up names: %w", err)
	}
	for _, r := range rows {
		if _, wanted := ids[r.ID]; wanted {
			ids[r.ID] = r.Name
		}
	}
	return ids, nil
}

// KnownActor is somebody whose entries can be asked for.
type KnownActor struct {
	Kind string // Person or Token
	ID   uuid.UUID
	Name string
}

// Actors gives everybody who may be named as an actor, people first, by name.
func (s *Store) Actors(ctx context.Context) ([]KnownActor, error) {
	var known []KnownActor
	err := s.db.WithContext(ctx).Raw(`SELECT 'person' AS kind, id, coalesce(nullif(name, ''), email) AS name FROM account
		UNION ALL SELECT 'token', id, name FROM api_token ORDER BY 1, 3, 2`).Scan(&known).Error
	if err != nil {
		return nil, fmt.Errorf("list people and tokens: %w", err)
	}
	return known, nil
}

// Head gives the number of the last row, 0 when there is none.
func (s *Store) Head(ctx context.Context) (int64, error) {
	var seq int64
	if err := s.db.WithContext(ctx).Raw(`SELECT seq FROM audit_head WHERE name = 'chain'`).Scan(&seq).Error; err != nil {
		return 0, fmt.Errorf("read the end of the chain: %w", err)
	}
	return seq, nil
}
