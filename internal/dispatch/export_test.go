package dispatch

import (
	"time"

	"leadline/internal/routing"
)

// CountedAt counts claims by the windows of limits.
func CountedAt(claims []time.Time, points []int32, now time.Time, zone string) routing.Tally {
	return loads{claims: claims, points: points}.at(now, zone)
}
