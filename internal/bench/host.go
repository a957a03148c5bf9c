package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// host says on what was measured, without naming the machine.
type host struct {
	cores    int
	model    string // of the processor
	memory   string
	kernel   string
	postgres string
	settings string // those that matter for a write
	golang   string
	commit   string
	date     string
}

func (b *bench) describe(ctx context.Context) (host, error) {
	h := host{
		cores: runtime.NumCPU(), golang: runtime.Version(), date: time.Now().UTC().Format(time.DateOnly),
		model: field("/proc/cpuinfo", "model name"), commit: commit(ctx),
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return h, fmt.Errorf("read how much memory there is: %w", err)
	}
	h.memory = fmt.Sprintf("%.0f GiB", kib/1024/1024)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return h, fmt.Errorf("read the kernel's version: %w", err)
	}
	h.kernel = strings.TrimSpace(string(kernel))
	err = b.admin.QueryRow(ctx, `SELECT current_setting('server_version'), (SELECT string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings
		WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'checkpoint_timeout', 'wal_sync_method', 'data_checksums'))`).
		Scan(&h.postgres, &h.settings)
	if err != nil {
		return h, fmt.Errorf("read the server's version: %w", err)
	}
	return h, nil
}

// field is the first value under a name in a file of lines "name: value"; "unknown" without one.
func field(file, name string) string {
	text, err := os.ReadFile(file) //nolint:gosec // names are ours
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// commit names the code, and says when it was changed since.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(changed) > 0 {
		name += " with changes"
	}
	return name
}
