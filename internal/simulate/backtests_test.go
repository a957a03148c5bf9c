package simulate_test

import (
	"log/slog"
	"testing"

	"leadline/internal/simulate"
)

func TestBacktests_GoOnAfterTheProcessThatRanOneAndStopWhenCancelled(t *testing.T) {
	t.Parallel()
	db, about := history(t, 3000)
	l := &line{t: t, db: db}
	add := func() simulate.Backtest {
		t.Helper()
		b, err := simulate.AddBacktest(t.Context(), db, l.candidate(austrians("world")), 7, "mia")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	state := func(b simulate.Backtest) simulate.Backtest {
		t.Helper()
		now, err := simulate.OneBacktest(t.Context(), db, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	lost, cancelled := add(), add()
	// A process took the first, came half-way and is gone; nobody wants the second any more.
	l.exec(`UPDATE backtest SET state = 'running', node = 77, done = 1000, of_leads = 3000, beat_at = clock_timestamp() - interval '1 minute' WHERE id = $1`, lost.ID)
	if now, err := simulate.CancelBacktest(t.Context(), db, cancelled.ID); err != nil || now.State != simulate.BacktestCancelled {
		t.Fatalf("%+v %v", now, err)
	}
	runner := simulate.NewBacktests(db, 1, slog.New(slog.DiscardHandler))
	l.run(runner.Run)
	runner.Wake()
	l.eventually("the backtest", func() bool { return state(lost).State == simulate.BacktestDone })
	got := state(lost)
	if got.Done != 3000 || got.OfLeads != 3000 || got.Sums.Leads != 3000 || got.Sums.Moved != about["AT"] || got.Sums.Moves["at > world"] != about["AT"] || got.EndedAt == nil {
		t.Errorf("result %+v", got)
	}
	if now := state(cancelled); now.State != simulate.BacktestCancelled || now.Done != 0 {
		t.Errorf("cancelled: %+v", now)
	}
	// One that runs stops at the next step of its progress.
	l.exec(`CREATE FUNCTION cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.done = 1000 THEN NEW.state := 'cancelled'; NEW.ended_at := clock_timestamp(); END IF; RETURN NEW; END $$`)
	l.exec(`CREATE TRIGGER cancel BEFORE UPDATE ON backtest FOR EACH ROW EXECUTE FUNCTION cancel()`)
	running := add()
	runner.Wake()
	l.eventually("it to stop", func() bool { return state(running).State == simulate.BacktestCancelled })
	if now := state(running); now.Sums.Leads != 0 || now.State != simulate.BacktestCancelled {
		t.Errorf("what was cancelled has a result: %+v", now)
	}
}
