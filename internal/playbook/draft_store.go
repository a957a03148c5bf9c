package playbook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
)

// The states of a draft.
const (
	DraftOpen      = "open"
	DraftScheduled = "scheduled" // goes live at a time
	DraftPublished = "published"
	DraftDiscarded = "discarded"
	DraftFailed    = "failed" // could not be published at its time; it can be scheduled or published again
)

// Draft is a configuration that is not live.
type Draft struct {
	ID        uuid.UUID  `json:"id" gorm:"primaryKey"`
	Revision  int        `json:"revision"` // an approval is for one revision
	Base      int64      `json:"base"`     // the version that was live when it was begun
	Hash      string     `json:"hash"`
	Body      string     `json:"-"`
	Author    string     `json:"author"`
	Note      string     `json:"note"`
	State     string     `json:"state"`
	PublishAt *time.Time `json:"publish_at"`
	Published *int64     `json:"published"` // the version that it became
	Problem   string     `json:"problem,omitempty"`
	CreatedAt time.Time  `json:"created_at" gorm:"->"`
	ChangedAt time.Time  `json:"changed_at"`
	Approvers []string   `json:"approvers" gorm:"-"` // of this revision
}

// TableName tells GORM where rows live.
func (Draft) TableName() string { return "config_draft" }

// AddDraft keeps a configuration without making it live. Reps in it are left out. What does not pass Check, and warnings that acks does not
// name as CODE or CODE:PATH, are Invalid faults: whoever publishes the draft later is not asked again.
func AddDraft(ctx context.Context, db *postgres.DB, cfg *Config, author, note string, acks ...string) (Draft, error) {
	if err := demand(ctx, db, cfg, acks); err != nil {
		return Draft{}, err
	}
	body := cfg.Canonical()
	d := Draft{ID: uuid.Must(uuid.NewV7()), Revision: 1, Hash: hash(body), Body: string(body), Author: author, Note: note, State: DraftOpen, Approvers: []string{}}
	err := db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		base, err := latestNumber(tx)
		if err != nil {
			return err
		}
		d.Base = base
		if err := tx.Omit("changed_at").Create(&d).Error; err != nil {
			return fmt.Errorf("store a draft: %w", err)
		}
		return noteDraft(ctx, tx, audit.DraftAdded, d, note)
	})
	return d, err
}

// ReviseDraft replaces the content of a draft that nobody has changed since revision; otherwise it is a Conflict fault. Approvals of the
// former content count no more, a time that was set is forgotten, and the draft is now about the version that is live. acks is as for AddDraft.
func ReviseDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int, cfg *Config, author, note string, acks ...string) (Draft, error) {
	if err := demand(ctx, db, cfg, acks); err != nil {
		return Draft{}, err
	}
	return changeDraft(ctx, db, id, revision, audit.DraftChanged, func(tx *gorm.DB, d *Draft) error {
		base, err := latestNumber(tx)
		if err != nil {
			return err
		}
		body := cfg.Canonical()
		d.Revision, d.Base, d.Hash, d.Body, d.Author, d.Note = d.Revision+1, base, hash(body), string(body), author, note
		d.State, d.PublishAt, d.Problem, d.Approvers = DraftOpen, nil, "", []string{}
		return nil
	})
}

// ApproveDraft notes that somebody agrees to a revision. Its author cannot. Approving twice is harmless.
func ApproveDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int, approver string) (Draft, error) {
	return changeDraft(ctx, db, id, revision, audit.DraftApproved, func(tx *gorm.DB, d *Draft) error {
		if strings.EqualFold(d.Author, approver) {
			return &fault.Error{Kind: fault.Conflict, Code: "own_draft", Message: "The author of a draft cannot approve it. Ask somebody else."}
		}
		done := tx.Exec(`INSERT INTO config_approval (draft_id, revision, approver) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, d.ID, d.Revision, approver)
		if done.Error != nil {
			return fmt.Errorf("store an approval: %w", done.Error)
		}
		if done.RowsAffected > 0 {
			d.Approvers = append(d.Approvers, approver)
		}
		return nil
	})
}

// ScheduleDraft sets the time at which a revision goes live by itself. Whether it may is asked now and then: a draft that lacks an approval,
// or comes after another version than the one it was made from, is a Conflict fault.
func ScheduleDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int, at time.Time) (Draft, error) {
	return changeDraft(ctx, db, id, revision, audit.DraftScheduled, func(tx *gorm.DB, d *Draft) error {
		live, found, err := latest(tx)
		if err != nil {
			return err
		}
		if found && len(d.Approvers) == 0 {
			if err := needsNobody(live); err != nil {
				return err
			}
		}
		if live.Number != d.Base {
			return movedOn(live.Number, d.Base)
		}
		d.State, d.PublishAt, d.Problem = DraftScheduled, &at, ""
		return nil
	})
}

// DiscardDraft forgets a draft.
func DiscardDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int) (Draft, error) {
	return changeDraft(ctx, db, id, revision, audit.DraftDiscarded, func(_ *gorm.DB, d *Draft) error {
		d.State, d.PublishAt = DraftDiscarded, nil
		return nil
	})
}

// PublishDraft makes a revision live now.
func PublishDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int) (Draft, error) {
	return changeDraft(ctx, db, id, revision, "", func(tx *gorm.DB, d *Draft) error { return d.publish(ctx, tx) })
}

// publish makes the draft live. Its row is locked.
func (d *Draft) publish(ctx context.Context, tx *gorm.DB) error {
	cfg, problems := Parse("draft", []byte(d.Body))
	if Failed(problems) {
		return Refusal(problems)
	}
	if d.Base == 0 { // begun before anything was published; Publish would take 0 for "whichever"
		if live, err := latestNumber(tx); err != nil || live != 0 {
			return errors.Join(err, movedOn(live, 0))
		}
	}
	o := PublishOptions{Author: d.Author, Note: d.Note, Expected: d.Base, ApprovedBy: strings.Join(d.Approvers, ", ")}
	version, _, err := publishIn(ctx, tx, cfg, o)
	if err != nil {
		return err
	}
	d.State, d.Published, d.PublishAt, d.Problem = DraftPublished, &version, nil, ""
	return nil
}

// changeDraft locks a draft, checks that it is the revision that was seen and still open, and stores what f makes of it.
func changeDraft(ctx context.Context, db *postgres.DB, id uuid.UUID, revision int, action audit.Action, f func(tx *gorm.DB, d *Draft) error) (Draft, error) {
	var d Draft
	err := db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var err error
		if d, err = draftIn(tx.Clauses(clause.Locking{Strength: "UPDATE"}), tx, id); err != nil {
			return err
		}
		if err := d.open(); err != nil {
			return err
		}
		if revision != 0 && revision != d.Revision {
			return &fault.Error{
				Kind: fault.Conflict, Code: "moved_on", Extra: map[string]any{"revision": d.Revision},
				Message: fmt.Sprintf("Somebody changed this draft: it is at revision %d, not %d. Look at it again.", d.Revision, revision),
			}
		}
		if err := f(tx, &d); err != nil {
			return err
		}
		if err := storeDraft(tx, &d); err != nil {
			return err
		}
		if action == "" {
			return nil // publishing has its own record
		}
		return noteDraft(ctx, tx, action, d, "")
	})
	return d, err
}

func storeDraft(tx *gorm.DB, d *Draft) error {
	if err := tx.Raw(`SELECT clock_timestamp()`).Scan(&d.ChangedAt).Error; err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	if err := tx.Save(d).Error; err != nil {
		return fmt.Errorf("store a draft: %w", err)
	}
	return nil
}

func noteDraft(ctx context.Context, tx *gorm.DB, action audit.Action, d Draft, note string) error {
	_, err := audit.Append(ctx, tx, audit.Entry{
		Action: action, ObjectKind: "draft", Object: d.ID.String(), Detail: map[string]any{"revision": d.Revision, "hash": d.Hash, "base": d.Base}, Note: note,
	})
	return err
}

func movedOn(live, base int64) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "moved_on", Extra: map[string]any{"live": live},
		Message: fmt.Sprintf("Version %d went live after this draft was begun from version %d. Make the draft again from what is live now.", live, base),
	}
}

// OneDraft finds a draft with the text that it holds. A missing one is a NotFound fault.
func OneDraft(ctx context.Context, db *postgres.DB, id uuid.UUID) (d Draft, text string, err error) {
	tx := db.Gorm.WithContext(ctx)
	if d, err = draftIn(tx, tx, id); err != nil {
		return d, "", err
	}
	return d, d.Body, nil
}

// Drafts lists drafts that are open, have a time or could not be published, newest first.
func Drafts(ctx context.Context, db *postgres.DB) ([]Draft, error) {
	drafts := []Draft{}
	tx := db.Gorm.WithContext(ctx)
	if err := tx.Where("state IN ?", []string{DraftOpen, DraftScheduled, DraftFailed}).Order("id DESC").Find(&drafts).Error; err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	for i := range drafts {
		if err := drafts[i].readApprovers(tx); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}

func draftIn(find, tx *gorm.DB, id uuid.UUID) (Draft, error) {
	var d Draft
	err := find.Where("id = ?", id).Take(&d).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return d, fault.New(fault.NotFound, "There is no such draft.")
	}
	if err != nil {
		return d, fmt.Errorf("find a draft: %w", err)
	}
	return d, d.readApprovers(tx)
}

func (d *Draft) readApprovers(tx *gorm.DB) error {
	d.Approvers = []string{}
	err := tx.Raw(`SELECT approver FROM config_approval WHERE draft_id = ? AND revision = ? ORDER BY at`, d.ID, d.Revision).Scan(&d.Approvers).Error
	if err != nil {
		return fmt.Errorf("read approvals: %w", err)
	}
	return nil
}

// publishDue makes drafts live whose time has come, each in a transaction of its own and, however many processes look, once. A draft that
// cannot be published keeps the reason. It tells how many were looked at.
func publishDue(ctx context.Context, db *postgres.DB) (n int, err error) {
	for more := true; more && err == nil; {
		more, err = publishOneDue(ctx, db)
		if more {
			n++
		}
	}
	return n, err
}

func publishOneDue(ctx context.Context, db *postgres.DB) (found bool, err error) {
	var refused *fault.Error
	var id uuid.UUID
	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var ids []uuid.UUID
		// Waited for, not skipped: of two that are due at once the earlier one goes live, whichever process is faster.
		err := tx.Raw(`SELECT id FROM config_draft WHERE state = 'scheduled' AND publish_at <= clock_timestamp()
			ORDER BY publish_at, id LIMIT 1 FOR UPDATE`).Scan(&ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		found, id = true, ids[0]
		d, err := draftIn(tx, tx, id)
		if err != nil {
			return err
		}
		if err := d.publish(ctx, tx); err != nil {
			return err
		}
		return storeDraft(tx, &d)
	})
	if !errors.As(err, &refused) {
		if err != nil {
			err = fmt.Errorf("publish a draft at its time: %w", err)
		}
		return found && err == nil, err
	}
	_, err = changeDraft(ctx, db, id, 0, audit.DraftFailed, func(_ *gorm.DB, d *Draft) error {
		if d.State == DraftScheduled {
			d.State, d.Problem = DraftFailed, refused.Message
		}
		return nil
	})
	if errors.As(err, &refused) { // somebody published or discarded it in between
		err = nil
	}
	return true, err
}
