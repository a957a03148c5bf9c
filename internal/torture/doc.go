// Package torture holds no product code: its tests kill the real binary and the real PostgreSQL at chosen and at random moments, while a
// witness in a process of its own keeps books of what clients were told, and then count. See docs/reliability.md.
//
// Usually they run at a size that fits CI; TORTURE=full is the size of a release.
package torture
