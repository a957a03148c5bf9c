package views

import "time"

// clockWord is a clock of a lead as people say it.
func clockWord(clock string) string {
	switch clock {
	case "system":
		return "to reach a screen"
	case "accept":
		return "to take it"
	case "first_attempt":
		return "to call"
	case "contact":
		return "to speak"
	}
	return Readable(clock)
}

// clockStep words what a clock has come to.
func clockStep(clock, step string, moved bool, who string) (word, detail string) {
	switch step {
	case "warn":
		return "Half of the time is over", joined(clockWord(clock), prefixed("with ", who))
	case "act":
		word = "Time is over"
	default:
		word = "Far too late"
	}
	stays := "stays where it is"
	if moved {
		stays = prefixed("taken from ", who)
		if stays == "" {
			stays = "moves on"
		}
	}
	return word, joined(clockWord(clock), stays)
}

// pausedUntil words when a pause ends.
func pausedUntil(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "until somebody resumes it"
	}
	return "until " + at.UTC().Format("2 Jan 15:04 MST")
}
