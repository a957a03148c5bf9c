package pgtest_test

import (
	"sync"
	"testing"

	"leadline/internal/postgres/pgtest"
)

func TestNew_GivesEachTestADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var name string
			var leads int
			err := pgtest.New(t).Console.QueryRow(t.Context(), `SELECT current_database(), (SELECT count(*) FROM lead)`).Scan(&name, &leads)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || leads != 0 || seen[name] {
				t.Errorf("database %q, %d leads, %v", name, leads, err)
			}
			seen[name] = true
		})
	}
	all.Wait()
}
