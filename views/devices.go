package views

import (
	"fmt"
	"time"
)

// Devices is the list of devices a person is signed in on.
type Devices struct {
	Meta    PageMeta
	Devices []Device
	Ended   int // how many were just signed out
}

// Device is one session of the person.
type Device struct {
	ID      string
	Words   string // the browser and the system
	Network string // where it began; empty: not known
	Began   time.Time
	Used    time.Time
	Here    bool // this very one
	Trusted bool // stays signed in
}

func (d Devices) others() int {
	n := 0
	for _, device := range d.Devices {
		if !device.Here {
			n++
		}
	}
	return n
}

// ago is a time that has passed in words, as exact as people need.
func ago(now, at time.Time) string {
	switch d := now.Sub(at); {
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

// utc is a moment for people in any place.
func utc(at time.Time) string { return at.UTC().Format("2 Jan 2006, 15:04 UTC") }
