package playbook_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"leadline/internal/fault"
	"leadline/internal/playbook"
	"leadline/internal/postgres"
	"leadline/internal/postgres/pgtest"
)

// reworded is the same sales text with another form beside its own, so that every one of them is a version of its own.
func reworded(word string) string {
	return strings.Replace(sales, "\nforms:\n", "\nforms:\n  - {slug: "+word+", name: "+word+".example}\n", 1)
}

func draft(t *testing.T, db *postgres.DB, text, author string) playbook.Draft {
	t.Helper()
	d, err := playbook.AddDraft(t.Context(), db, parse(t, text), author, "", meant(t, text)...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// meant are the codes of all that a text is warned of.
func meant(t *testing.T, text string) []string {
	t.Helper()
	var codes []string
	for _, p := range playbook.Check(parse(t, text)) {
		codes = append(codes, p.Code)
	}
	return codes
}

func TestPublish_AsksEveryCallerForTheWarningsThatAreMeant(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	cfg, codes := parse(t, sales), meant(t, sales)
	if len(codes) == 0 {
		t.Fatal("the text has no warning")
	}
	refused := func(what string, err error) {
		t.Helper()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Code != "warnings" || len(f.Extra["warnings"].([]playbook.Finding)) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err := playbook.Publish(ctx, db, cfg, playbook.PublishOptions{Author: "mia"})
	refused("publishing", err)
	_, err = playbook.AddDraft(ctx, db, cfg, "mia", "")
	refused("a draft", err)
	if _, _, err := playbook.Publish(ctx, db, cfg, playbook.PublishOptions{Author: "mia", Acknowledged: codes}); err != nil {
		t.Fatal(err)
	}
	d := draft(t, db, reworded("one"), "mia")
	_, err = playbook.ReviseDraft(ctx, db, d.ID, d.Revision, parse(t, reworded("two")), "mia", "")
	refused("revising", err)
	if _, err := playbook.PublishDraft(ctx, db, d.ID, d.Revision); err != nil {
		t.Fatal(err)
	}
	// What stood behind each version stays with it.
	r := versionsOf(t, db)[0].Report
	if r == nil || r.Score == nil || r.Score.Rules != len(cfg.Rules) || r.Score.Noticed == 0 || len(r.Golden) != len(cfg.Tests) || r.Golden[0].Rule == "" || r.Golden[0].Name != cfg.Tests[0].Name {
		t.Errorf("report: %+v", r)
	}
}

func versionsOf(t *testing.T, db *postgres.DB) []playbook.Version {
	t.Helper()
	all, err := playbook.Versions(t.Context(), db, 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantConflict(t *testing.T, what, code string, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Conflict || f.Code != code {
		t.Errorf("%s: %v, want a conflict of code %q", what, err, code)
	}
}

const secondLook = "publishing: {approvals: 1}\n"

func TestDraft_GoesLiveOnlyOnceSomebodyElseHasApprovedWhatItSaysNow(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	apply(t, db, sales+secondLook)

	_, _, err := playbook.Apply(ctx, db, parse(t, sales), "mia", "", false)
	wantConflict(t, "lifting the rule by applying a text without it", "approval", err)
	d := draft(t, db, sales, "mia")
	_, err = playbook.PublishDraft(ctx, db, d.ID, d.Revision)
	wantConflict(t, "publishing alone", "approval", err)
	_, err = playbook.ScheduleDraft(ctx, db, d.ID, d.Revision, time.Now().Add(time.Hour))
	wantConflict(t, "scheduling alone", "approval", err)
	_, err = playbook.ApproveDraft(ctx, db, d.ID, d.Revision, "Mia")
	wantConflict(t, "approving one's own", "own_draft", err)
	for range 2 {
		if d, err = playbook.ApproveDraft(ctx, db, d.ID, d.Revision, "ben"); err != nil || len(d.Approvers) != 1 {
			t.Fatalf("approve: %+v %v", d, err)
		}
	}
	old := d.Revision
	if d, err = playbook.ReviseDraft(ctx, db, d.ID, d.Revision, parse(t, reworded("other")), "mia", "again", meant(t, reworded("other"))...); err != nil || len(d.Approvers) != 0 {
		t.Fatalf("revise: %+v %v", d, err)
	}
	_, err = playbook.PublishDraft(ctx, db, d.ID, old)
	wantConflict(t, "publishing what was approved, which it no longer is", "moved_on", err)
	_, err = playbook.PublishDraft(ctx, db, d.ID, d.Revision)
	wantConflict(t, "publishing what nobody approved", "approval", err)
	if _, err = playbook.ApproveDraft(ctx, db, d.ID, d.Revision, "ben"); err != nil {
		t.Fatal(err)
	}
	if d, err = playbook.PublishDraft(ctx, db, d.ID, d.Revision); err != nil || d.Published == nil || *d.Published != 2 {
		t.Fatalf("publish: %+v %v", d, err)
	}
	live := versionsOf(t, db)[0]
	if !live.Live || live.ApprovedBy != "ben" || live.Author != "mia" || live.Hash != d.Hash || live.Report == nil || live.Report.Tests == 0 {
		t.Errorf("the version is %+v", live)
	}
	if open, err := playbook.Drafts(ctx, db); err != nil || len(open) != 0 {
		t.Errorf("still open: %v %v", open, err)
	}
	_, err = playbook.DiscardDraft(ctx, db, d.ID, 0)
	wantConflict(t, "discarding what is live", "", err)
}

func TestPublish_TwoAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	apply(t, db, sales)
	var drafts []playbook.Draft
	for _, word := range []string{"one", "two", "three", "four"} {
		drafts = append(drafts, draft(t, db, reworded(word), word))
	}
	errs := make([]error, len(drafts))
	var wg sync.WaitGroup
	for i, d := range drafts {
		wg.Go(func() { _, errs[i] = playbook.PublishDraft(context.Background(), db, d.ID, d.Revision) })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantConflict(t, "who was later", "moved_on", err)
		d, text, err := playbook.OneDraft(t.Context(), db, drafts[i].ID)
		if err != nil || d.State != playbook.DraftOpen || !strings.Contains(text, d.Author+".example") {
			t.Errorf("the draft of who was later: %+v %v", d, err)
		}
	}
	if all := versionsOf(t, db); won != 1 || len(all) != 2 {
		t.Errorf("%d were published, and there are %d versions", won, len(all))
	}
	_, _, err := playbook.Publish(t.Context(), db, parse(t, reworded("five")), playbook.PublishOptions{Author: "five", Expected: 1, Acknowledged: meant(t, reworded("five"))})
	wantConflict(t, "applying onto a version that is no longer live", "moved_on", err)
}

func TestRollback_IsANewVersionWithTheOldContentAndLeavesPeopleAlone(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	apply(t, db, sales+secondLook)
	before := playbookText(t, db, 1)
	d := draft(t, db, reworded("other"), "mia")
	if _, err := playbook.ApproveDraft(ctx, db, d.ID, 1, "ben"); err != nil {
		t.Fatal(err)
	}
	if _, err := playbook.PublishDraft(ctx, db, d.ID, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Jobs.Exec(ctx, `UPDATE rep SET name = 'Changed since' WHERE email = 'mia@example.com'`); err != nil {
		t.Fatal(err)
	}
	if _, err := playbook.Rollback(ctx, db, 1, 0, "mia", " "); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := playbook.Rollback(ctx, db, 9, 0, "mia", "why"); !fault.Is(err, fault.NotFound) {
		t.Errorf("to a version that never was: %v", err)
	}
	version, err := playbook.Rollback(ctx, db, 1, 2, "mia", "leads went nowhere")
	if err != nil || version != 3 {
		t.Fatalf("version %d, %v", version, err)
	}
	live := versionsOf(t, db)[0]
	if live.RollbackOf == nil || *live.RollbackOf != 1 || live.Note != "leads went nowhere" || !bytes.Equal(playbookText(t, db, 3), before) {
		t.Errorf("the version is %+v", live)
	}
	var name string
	if err := db.Jobs.QueryRow(ctx, `SELECT name FROM rep WHERE email = 'mia@example.com'`).Scan(&name); err != nil || name != "Changed since" {
		t.Errorf("mia is %q, %v", name, err)
	}
}

func playbookText(t *testing.T, db *postgres.DB, version int64) []byte {
	t.Helper()
	text, err := playbook.Text(t.Context(), db, version)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

func TestDraft_GoesLiveAtItsTimeOnceHoweverManyServersRun(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	apply(t, db, sales)
	first, stale, gone := draft(t, db, reworded("first"), "mia"), draft(t, db, reworded("stale"), "ben"), draft(t, db, reworded("gone"), "eve")
	for i, d := range []playbook.Draft{first, stale, gone} {
		if _, err := playbook.ScheduleDraft(ctx, db, d.ID, d.Revision, time.Now().Add(time.Duration(i-10)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	later := draft(t, db, reworded("later"), "mia")
	if _, err := playbook.ScheduleDraft(ctx, db, later.ID, later.Revision, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := playbook.DiscardDraft(ctx, db, gone.ID, gone.Revision); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	inner, stop := context.WithCancel(ctx)
	for range 4 {
		live := newLive(db)
		running.Go(func() { _ = live.Run(inner) })
		defer waitFor(t, func() bool { return live.Current().Version == 2 })
	}
	state := func(id uuid.UUID) playbook.Draft {
		d, _, err := playbook.OneDraft(ctx, db, id)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	waitFor(t, func() bool {
		return state(first.ID).State == playbook.DraftPublished && state(stale.ID).State == playbook.DraftFailed
	})
	if problem := state(stale.ID).Problem; !strings.Contains(problem, "Version 2 is live") {
		t.Errorf("the second draft says %q", problem)
	}
	if state(gone.ID).State != playbook.DraftDiscarded || state(later.ID).State != playbook.DraftScheduled {
		t.Error("a draft was published that should not be")
	}
	if all := versionsOf(t, db); len(all) != 2 || all[0].Author != "mia" {
		t.Errorf("versions %+v", all)
	}
	t.Cleanup(running.Wait)
	t.Cleanup(stop)
}
