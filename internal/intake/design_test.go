package intake_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leadline/internal/fault"
	"leadline/internal/intake"
	"leadline/internal/lead"
	"leadline/internal/privacy"
)

// click is one submission as a visitor sends it: by whom, with which key, saying what, and to which of two processes.
type click struct {
	form    *lead.Form
	person  int
	key     string
	notes   string
	process int
}

func (c click) raw() lead.Raw {
	return lead.Raw{Email: person(c.person), ClientKey: c.key, Notes: privacy.Text(c.notes)}
}

// design is a way to tell what is new from what is not. The product's and those that do not work are judged by the same tests.
type design func(ctx context.Context, c click) (intake.Accepted, error)

// skews are how wrong the clocks of the two processes are.
var skews = [2]time.Duration{10 * time.Minute, -10 * time.Minute}

// product is the design of the product: two processes with wrong clocks and connections of their own. stop ends both.
func product(b *bench) (submit design, stop func()) {
	var (
		services [2]*intake.Service
		stops    [2]func()
	)
	for i := range services {
		services[i], stops[i] = b.start(func(o *intake.Options) {
			o.Node, o.Now = int64(i+1), func() time.Time { return time.Now().Add(skews[i]) }
		})
	}
	submit = func(ctx context.Context, c click) (intake.Accepted, error) {
		for {
			got, err := services[c.process].Accept(ctx, c.form, c.raw(), lead.Arrival{})
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code == "unknown_outcome" {
				return got, err
			}
			// A machine under load refuses now and then. It says that nothing was stored, and is taken at its word.
		}
	}
	return submit, func() { stops[0](); stops[1]() }
}

// formFor is a form of its own for one history or group, so that nothing of another touches it.
func formFor(name string, n int, window time.Duration) *lead.Form {
	return &lead.Form{Slug: fmt.Sprintf("%s-%d", name, n), Intent: lead.IntentHigh, DedupeWindow: window}
}
