package spam

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// CheckProof verifies a solution, whatever it is for.
func CheckProof(key []byte, payload string, now time.Time) bool {
	_, _, ok := checkProof(key, payload, now, func(map[string]string) bool { return true })
	return ok
}

// Solve does a browser's work.
func Solve(p *Proof) string {
	var s solved
	s.Challenge = *p
	for ; ; s.Solution.Counter++ {
		key, err := derive(p.Parameters, s.Solution.Counter)
		if err != nil {
			panic(err)
		}
		if text := hex.EncodeToString(key); strings.HasPrefix(text, p.Parameters.KeyPrefix) {
			s.Solution.DerivedKey = text
			break
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}

// Counters tells how many limits are remembered.
func (g *Guard) Counters() (n int) {
	for i := range g.limits.shard {
		n += len(g.limits.shard[i].tat)
	}
	return n
}
