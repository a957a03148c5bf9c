package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"leadline/internal/postgres"
	"leadline/migrations"
)

// template is the migrated database that rows get copies of.
const template = "bench_template"

// bench is one run: a database server, the programs to measure, and what was found.
type bench struct {
	settings settings
	plan     plan
	progress io.Writer
	began    time.Time

	self       string // this program
	leadline   string // the real product, built for this run
	dir        string
	server     *postgres.Private
	admin      *pgx.Conn
	postmaster int
	programs   string // where pgbench is
	runs       int    // loads that were sent: no two share people
}

// newBench builds the product and starts the database server. The caller calls close.
func newBench(ctx context.Context, s settings, p plan, progress io.Writer) (*bench, error) {
	b := &bench{settings: s, plan: p, progress: progress, began: time.Now()}
	if err := b.prepare(ctx); err != nil {
		b.close(ctx)
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.self, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if b.dir, err = os.MkdirTemp("", "leadline-bench-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // the account that runs PostgreSQL must pass through
		return fmt.Errorf("open the folder to PostgreSQL: %w", err)
	}
	b.leadline = filepath.Join(b.dir, "leadline")
	b.say("building leadline")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.leadline, "leadline") //nolint:gosec // a path of ours
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build leadline: %w: %s", err, out)
	}
	b.say("starting PostgreSQL")
	b.server, err = postgres.StartPrivate(ctx, postgres.PrivateOptions{DataDir: filepath.Join(b.dir, "data"), Now: time.Now, Settings: b.settings.postgres})
	if err != nil {
		return err
	}
	if b.admin, err = pgx.Connect(ctx, b.server.DSN()); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := b.lookAround(ctx); err != nil {
		return err
	}
	return b.makeTemplate(ctx)
}

// lookAround asks the server for its process and for the folder of its programs.
func (b *bench) lookAround(ctx context.Context) error {
	var pidFile string
	if err := b.admin.QueryRow(ctx, `SELECT pg_read_file('postmaster.pid'), (SELECT setting FROM pg_config WHERE name = 'BINDIR')`).Scan(&pidFile, &b.programs); err != nil {
		return fmt.Errorf("look at the server: %w", err)
	}
	first, _, _ := strings.Cut(pidFile, "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("read the server's process: %w", err)
	}
	b.postmaster = pid
	return nil
}

func (b *bench) makeTemplate(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, `CREATE DATABASE `+template); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	db, err := postgres.Open(ctx, b.dsn(template))
	if err != nil {
		return err
	}
	defer db.Close()
	return migrations.Up(ctx, db.Jobs)
}

// fresh makes an empty, migrated database and gives its address. One of the same name is dropped.
func (b *bench) fresh(ctx context.Context, name string) (string, error) {
	for _, statement := range []string{`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`, `CREATE DATABASE ` + name + ` TEMPLATE ` + template} {
		if _, err := b.admin.Exec(ctx, statement); err != nil {
			return "", fmt.Errorf("make the database %s: %w", name, err)
		}
	}
	return b.dsn(name), nil
}

// dsn addresses a database of the server.
func (b *bench) dsn(database string) string {
	u, err := url.Parse(b.server.DSN())
	if err != nil { // the launcher made it
		return ""
	}
	u.Path = "/" + database
	return u.String()
}

// checkpoint makes rows comparable: none of them pays for what an earlier one has left to write.
func (b *bench) checkpoint(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, `CHECKPOINT`); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	return nil
}

// say tells the person who waits how far things are.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  "+format+"\n", append([]any{time.Since(b.began).Seconds()}, args...)...)
}

// close ends the server and removes what was made, also when the context has ended.
func (b *bench) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var err error
	if b.admin != nil {
		err = b.admin.Close(ctx)
	}
	if b.server != nil {
		err = errors.Join(err, b.server.Stop(ctx))
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	if err != nil {
		b.say("tidying up: %v", err)
	}
}
