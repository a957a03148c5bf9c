package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx" with database/sql
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// naiveTables are what the design below writes to, beside River's own.
const naiveTables = `
CREATE TABLE naive_keys (key text PRIMARY KEY, lead_id uuid NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE naive_leads (
    id uuid PRIMARY KEY, correlation_id text, name text, email text, phone text, company text, country text, region text, postal_code text,
    product text, notes text, source text, timezone text, consent boolean, crm_state integer, received_at timestamptz
);
CREATE INDEX ON naive_leads (email);
CREATE INDEX ON naive_leads (received_at);
CREATE INDEX ON naive_leads (received_at) WHERE crm_state = 0;`

// naiveConnections is the size of its pool.
const naiveConnections = 32

type naiveKey struct {
	Key       string `gorm:"primaryKey"`
	LeadID    uuid.UUID
	CreatedAt time.Time
}

type naiveLead struct {
	ID                                          uuid.UUID `gorm:"primaryKey"`
	CorrelationID, Name, Email, Phone, Company  string
	Country, Region, PostalCode, Product, Notes string
	Source, Timezone                            string
	Consent                                     bool
	CRMState                                    int `gorm:"column:crm_state"`
	ReceivedAt                                  time.Time
}

// TableName tells GORM where rows live.
func (naiveKey) TableName() string { return "naive_keys" }

// TableName tells GORM where rows live.
func (naiveLead) TableName() string { return "naive_leads" }

// naiveJob is enqueued with each lead.
type naiveJob struct {
	LeadID uuid.UUID `json:"lead_id"`
}

// Kind names the job to River.
func (naiveJob) Kind() string { return "naive" }

// naivePost is what is read of a form post.
type naivePost struct {
	Name, Email, Phone, Company, Country, Region, Product, Notes string
	PostalCode                                                   string `json:"postal_code"`
	Consent                                                      struct{ Phone bool }
	Context                                                      struct {
		Source   string `json:"utm_source"`
		Timezone string
	}
}

// playNaive is the design that one would write first, as a yardstick: Fiber, and for each post one GORM transaction that writes an
// idempotency key, the lead and a River job. No normalisation, no identity of people, no sealed copy, no events. Argument: the
// database's address.
func playNaive(ctx context.Context, args []string) error {
	pool, err := sql.Open("pgx", args[0])
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { _ = pool.Close() }()
	pool.SetMaxOpenConns(naiveConnections)
	pool.SetMaxIdleConns(naiveConnections)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return fmt.Errorf("open GORM: %w", err)
	}
	jobs, err := river.NewClient(riverdatabasesql.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("open River: %w", err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true})
	app.Post("/v1/forms/:slug/leads", func(c *fiber.Ctx) error { //nolint:contextcheck // requests bring their own
		var post naivePost
		if err := json.Unmarshal(c.Body(), &post); err != nil {
			return fiber.ErrBadRequest
		}
		id, err := storeNaive(c.UserContext(), db, jobs, c.Get("Idempotency-Key"), post)
		if err != nil {
			return err
		}
		return c.Status(fiber.StatusCreated).JSON(fiber.Map{"lead_id": id})
	})
	return serveFiber(ctx, app)
}

// storeNaive is the one transaction of a post.
func storeNaive(ctx context.Context, db *gorm.DB, jobs *river.Client[*sql.Tx], key string, post naivePost) (uuid.UUID, error) {
	id, now := uuid.Must(uuid.NewV7()), time.Now()
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		taken := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&naiveKey{Key: key, LeadID: id, CreatedAt: now})
		if taken.Error != nil {
			return taken.Error
		}
		if taken.RowsAffected == 0 {
			var first naiveKey
			err := tx.Where("key = ?", key).Take(&first).Error
			id = first.LeadID
			return err
		}
		row := naiveLead{
			ID: id, CorrelationID: id.String(), Name: post.Name, Email: post.Email, Phone: post.Phone, Company: post.Company, Country: post.Country,
			Region: post.Region, PostalCode: post.PostalCode, Product: post.Product, Notes: post.Notes, Source: post.Context.Source,
			Timezone: post.Context.Timezone, Consent: post.Consent.Phone, ReceivedAt: now,
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		inner, ok := tx.Statement.ConnPool.(*sql.Tx)
		if !ok {
			return errors.New("GORM gave no transaction of database/sql")
		}
		_, err := jobs.InsertTx(ctx, inner, naiveJob{LeadID: id}, nil)
		return err
	})
	return id, err
}
