package static_test

import (
	"testing"

	"leadline/static"
)

func TestAssets_StayWithinTheirWeight(t *testing.T) {
	if err := static.Load(); err != nil {
		t.Fatal(err)
	}
	for source, budget := range map[string]int{"leadline.js": 3 * 1024, "thanks.js": 1024, "f.css": 1536} {
		asset, ok := static.Source(source)
		if !ok {
			t.Fatalf("no %s", source)
		}
		if size := len(asset.Brotli()); size > budget {
			t.Errorf("%s is %d bytes with brotli, %d are allowed", source, size, budget)
		} else {
			t.Logf("%s: %d bytes", source, size)
		}
		if found, ok := static.Find(static.URL(source)[len("/static/"):]); !ok || found != asset {
			t.Errorf("%s is not found under the name that URL gives", source)
		}
	}
}
