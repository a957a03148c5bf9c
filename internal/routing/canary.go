package routing

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Shares is what the share of a canary is counted in: hundredths of a percent.
const Shares = 10_000

// Canary is a table that decides in place of the live one for a share of the leads. Immutable.
type Canary struct {
	ID    uuid.UUID
	Table *Table
	Hash  string // of the content of its version
	Share int    // of Shares leads
	Since time.Time
}

// Takes tells whether a lead is one of a canary's: by its id, so that every process says the same, and always the same of one lead. Leads
// accepted before it began are not. A nil *Canary takes none.
func (c *Canary) Takes(lead uuid.UUID, accepted time.Time) bool {
	if c == nil || accepted.Before(c.Since) {
		return false
	}
	sum := sha256.Sum256(lead[:])
	return int(binary.BigEndian.Uint64(sum[:8])%Shares) < c.Share
}

// PoolsOf gives the slugs of the pools that a rep belongs to, in a table and in that of a canary, sorted. Do not change the slice.
func PoolsOf(repEmail string, t *Table, c *Canary) []string {
	pools := t.PoolsOf(repEmail)
	if c == nil {
		return pools
	}
	pools = append(slices.Clone(pools), c.Table.PoolsOf(repEmail)...)
	slices.Sort(pools)
	return slices.Compact(pools)
}
