package spam_test

import (
	"testing"
	"time"

	"leadline/internal/postgres/pgtest"
	"leadline/internal/spam"
)

func TestSpentStore_TakesAProofOnceForAllProcesses(t *testing.T) {
	store := spam.NewSpentStore(pgtest.New(t).Gorm)
	until := time.Now().Add(time.Minute)
	for i, c := range []struct {
		proof, holder string
		mine          bool
	}{{"p", "anna", true}, {"p", "anna", true}, {"p", "ben", false}, {"q", "ben", true}, {"p", "anna", true}} {
		mine, err := store.Spend(t.Context(), []byte(c.proof), []byte(c.holder), until)
		if err != nil || mine != c.mine {
			t.Errorf("number %d: %v, %v", i+1, mine, err)
		}
	}
}
