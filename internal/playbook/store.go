package playbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"leadline/internal/audit"
	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/internal/rep"
)

// applyLock keeps two Apply calls from taking the same number.
const applyLock = 0x4C4D << 48

// channel is where processes hear of a new version.
const channel = "leadline"

// versionRow is the config_version table, without the columns the database fills in.
type versionRow struct {
	Number int64 `gorm:"primaryKey"`
	Hash   string
	Body   string
	Author string
	Note   string
	Demo   bool

	Report     *string
	ApprovedBy string
	RollbackOf *int64
}

// TableName tells GORM where rows live.
func (versionRow) TableName() string { return "config_version" }

// Apply publishes a configuration whatever it warns of: the demo's and those of trials, where nobody is asked.
func Apply(ctx context.Context, db *postgres.DB, cfg *Config, author, note string, demo bool) (version int64, changed bool, err error) {
	return Publish(ctx, db, cfg, PublishOptions{Author: author, Note: note, Demo: demo, unasked: true})
}

// PublishOptions say who publishes and on which understanding.
type PublishOptions struct {
	Author     string
	Note       string
	Demo       bool
	Expected   int64  // the version that must be live; another one is a Conflict fault. 0: whichever is
	RollbackOf int64  // the version of which this is the content; 0: it is new
	ApprovedBy string // who else looked at it, where the live version asks for that

	// The warnings that are meant, as CODE or CODE:PATH. Others are an Invalid fault of code warnings; a roll-back was asked when it was new.
	Acknowledged []string

	unasked bool  // warnings count for nothing
	number  int64 // that was kept for it; 0: the next
}

// Publish makes a configuration live: in one transaction it adds and updates reps and, if anything else differs from what is live,
// stores a new version. changed is false when the version stays; reps are up to date all the same. Reps that the text leaves
// out are left alone. A configuration that does not pass Check, or names reps whom nobody knows, is an Invalid fault; one that
// needs a second person, or comes after another one that its author has not seen, a Conflict.
func Publish(ctx context.Context, db *postgres.DB, cfg *Config, o PublishOptions) (version int64, changed bool, err error) {
	if !o.unasked && o.RollbackOf == 0 {
		if err := demand(ctx, db, cfg, o.Acknowledged); err != nil {
			return 0, false, err
		}
	}
	err = db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		version, changed, err = publishIn(ctx, tx, cfg, o)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("apply the configuration: %w", err)
	}
	return version, changed, nil
}

// publishIn is Publish within a transaction.
func publishIn(ctx context.Context, tx *gorm.DB, cfg *Config, o PublishOptions) (version int64, changed bool, err error) {
	problems := Check(cfg)
	if Failed(problems) {
		return 0, false, Refusal(problems)
	}
	if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(applyLock)).Error; err != nil {
		return 0, false, fmt.Errorf("wait for other publications: %w", err)
	}
	reps := slices.Clone(cfg.Reps)
	for i := range reps {
		reps[i].Demo = o.Demo
	}
	store := rep.NewStore(tx)
	updated, err := store.Upsert(ctx, reps)
	if err != nil {
		return 0, false, err
	}
	if err := knowsReps(ctx, store, cfg); err != nil {
		return 0, false, err
	}
	if version, changed, err = publish(tx, cfg, problems, o); err != nil {
		return 0, false, err
	}
	if !changed && updated == 0 {
		return version, false, nil
	}
	if err := record(ctx, tx, cfg, version, changed, updated, o); err != nil {
		return 0, false, err
	}
	if changed {
		if err := supersedeCanary(ctx, tx); err != nil {
			return 0, false, err
		}
	}
	// Heard by others only once this has committed.
	if err := tx.Exec("SELECT pg_notify(?, 'config')", channel).Error; err != nil {
		return 0, false, fmt.Errorf("announce the new version: %w", err)
	}
	return version, changed, nil
}

// record writes what was published into the audit chain: without it, nothing is published.
func record(ctx context.Context, tx *gorm.DB, cfg *Config, version int64, changed bool, updated int, o PublishOptions) error {
	if updated > 0 {
		entry := audit.Entry{Action: audit.RepsChanged, ObjectKind: "rep", Detail: map[string]any{"changed": updated}}
		if _, err := audit.Append(ctx, tx, entry); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	detail := map[string]any{"hash": hash(cfg.Canonical())}
	if o.RollbackOf > 0 {
		detail["rollback_of"] = o.RollbackOf
	}
	_, err := audit.Append(ctx, tx, audit.Entry{
		Action: audit.Published, ObjectKind: "version", Object: strconv.FormatInt(version, 10), Detail: detail, Note: o.Note,
	})
	return err
}

// Refusal makes one fault of what Check found.
func Refusal(problems []Problem) error {
	var lines []string
	for _, p := range problems {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	return fault.New(fault.Invalid, "The configuration has errors: %s", strings.Join(lines, "\n"))
}

// knowsReps refuses names of people who are neither in the text nor in the database.
func knowsReps(ctx context.Context, store *rep.Store, cfg *Config) error {
	all, err := store.All(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range all {
		known[r.Email] = true
	}
	var unknown []string
	for _, ref := range cfg.namedReps() {
		if !known[ref.email] {
			unknown = append(unknown, fmt.Sprintf("%s names %s", ref.what, ref.email))
		}
	}
	if len(unknown) > 0 {
		return fault.New(fault.Invalid, "Some reps do not exist: %s. Add them to reps.", strings.Join(unknown, "; "))
	}
	return knowsCalendars(all, cfg)
}

// publish stores the configuration under the next number unless it is live already.
func publish(tx *gorm.DB, cfg *Config, problems []Problem, o PublishOptions) (version int64, changed bool, err error) {
	body := cfg.Canonical()
	live, found, err := latest(tx)
	if err != nil {
		return 0, false, err
	}
	if o.Expected != 0 && o.Expected != live.Number {
		return 0, false, &fault.Error{
			Kind: fault.Conflict, Code: "moved_on", Extra: map[string]any{"live": live.Number},
			Message: fmt.Sprintf("Version %d is live by now, not version %d. Look at what it changed, and publish again.", live.Number, o.Expected),
		}
	}
	// Somebody who publishes what the demo had published makes it theirs.
	if live.Hash == hash(body) && (o.Demo || !live.Demo) {
		return live.Number, false, nil
	}
	if found && o.RollbackOf == 0 && o.ApprovedBy == "" {
		if err := needsNobody(live); err != nil {
			return 0, false, err
		}
	}
	report, err := reportOf(cfg, problems)
	if err != nil {
		return 0, false, err
	}
	number := o.number
	if number == 0 {
		if number, err = nextNumber(tx, live.Number); err != nil {
			return 0, false, err
		}
	}
	row := versionRow{
		Number: number, Hash: hash(body), Body: string(body), Author: o.Author, Note: o.Note, Demo: o.Demo, Report: &report, ApprovedBy: o.ApprovedBy,
	}
	if o.RollbackOf > 0 {
		row.RollbackOf = &o.RollbackOf
	}
	if err := tx.Create(&row).Error; err != nil {
		return 0, false, fmt.Errorf("store version %d: %w", row.Number, err)
	}
	return row.Number, true, nil
}

// needsNobody refuses to replace a live version that asks for a second person. A version that can no longer be read asks for nobody.
func needsNobody(live versionRow) error {
	cfg, problems := Parse("live", []byte(live.Body))
	if Failed(problems) || cfg.Approvals == 0 {
		return nil
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "approval",
		Message: "The live version asks for a second person (publishing: {approvals: 1}). Make a draft, and let somebody else approve it.",
	}
}

// reportOf is what the checks found, as it is stored with the version.
func reportOf(cfg *Config, problems []Problem) (string, error) {
	score := MutationScore(cfg)
	if len(score.Unnoticed) > mostUnnoticed {
		score.Unnoticed = score.Unnoticed[:mostUnnoticed]
	}
	text, err := json.Marshal(Report{Tests: len(cfg.Tests), Warnings: Findings(problems), Score: &score, Golden: cfg.goldenResults()})
	if err != nil {
		return "", fmt.Errorf("write the report of the checks: %w", err)
	}
	return string(text), nil
}

// latest reads the live version; found is false, and the row zero, before the first one.
func latest(tx *gorm.DB) (row versionRow, found bool, err error) {
	err = tx.Order("number DESC").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return versionRow{}, false, nil
	}
	if err != nil {
		return versionRow{}, false, fmt.Errorf("read the live version: %w", err)
	}
	return row, true, nil
}

// latestNumber is the number of the live version; 0 before the first one.
func latestNumber(tx *gorm.DB) (int64, error) {
	var number int64
	if err := tx.Raw("SELECT coalesce(max(number), 0) FROM config_version").Scan(&number).Error; err != nil {
		return 0, fmt.Errorf("ask for the live version: %w", err)
	}
	return number, nil
}

// Export writes the live configuration with everybody who is in the database, sorted by e-mail address. Applying it changes
// nothing, and exporting again gives the same bytes. That somebody did so is recorded.
func Export(ctx context.Context, db *postgres.DB) ([]byte, error) {
	doc := document{Version: 1}
	err := db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		live, found, err := latest(tx)
		if err != nil {
			return err
		}
		if found {
			cfg, problems := Parse(fmt.Sprintf("version %d", live.Number), []byte(live.Body))
			if Failed(problems) {
				return Refusal(problems)
			}
			doc = cfg.doc
		}
		reps, err := rep.NewStore(tx).All(ctx)
		if err != nil {
			return err
		}
		for _, r := range reps {
			doc.Reps = append(doc.Reps, exported(r))
		}
		_, err = audit.Append(ctx, tx, audit.Entry{Action: audit.Exported, ObjectKind: "version", Object: strconv.FormatInt(live.Number, 10)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("export the configuration: %w", err)
	}
	return encode(doc), nil
}

// exported is a rep as it is written. The zone is written even if the team's is the same: teams may change, people stay.
func exported(r rep.Rep) repDoc {
	d := repDoc{
		Email: r.Email, Name: r.Name, Team: r.Team, Phone: r.Phone, Timezone: r.Timezone, Hours: r.Hours,
		Calendars: strings.Fields(r.Calendars), From: r.StartsOn, Until: r.EndsOn, Tags: strings.Fields(r.Tags),
	}
	if !r.Active {
		d.Active = new(bool)
	}
	return d
}
