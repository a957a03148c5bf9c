// Package journey holds no product code: its tests take whole journeys through the real binary, a real PostgreSQL and a real
// headless browser, the way visitors, reps and CRMs do.
package journey
