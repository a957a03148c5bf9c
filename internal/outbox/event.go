package outbox

import "leadline/internal/lead"

// eventOf says what the timeline and the consoles hear of a result; no kind: nothing.
func eventOf(a Applied) (lead.EventKind, map[string]any) {
	if !a.OK {
		return "", nil
	}
	r := a.Result
	detail := map[string]any{"connection": r.Claimed.Connection}
	switch {
	case a.State == Quarantined:
		detail["reason"] = r.Reason
		if r.Claimed.Destination == Chat {
			return lead.EventChatRefused, detail
		}
		return lead.EventCRMRefused, detail
	case r.Claimed.Destination == Chat:
		return chatEvent(r, detail)
	case r.Outcome == WasDelivered:
		detail["revision"] = r.Claimed.Revision
		detail["ms"] = r.Took.Milliseconds()
		if r.Claimed.Written == 0 {
			detail["ms"] = a.SinceAccepted.Milliseconds()
		}
		return lead.EventCRMWritten, detail
	}
	if r.Outcome == WasSlow && a.State != Saving {
		return "", nil // a slow update of a record that is there already changes nothing for anybody
	}
	// The 30th "still trying" helps nobody: the timeline shows the start of trouble and then each doubling of the attempts.
	attempts := r.Claimed.Attempts + 1
	if r.Outcome == WasFailed && (r.Uncount && !r.Job || attempts&(attempts-1) != 0) {
		return "", nil
	}
	detail["attempts"] = attempts
	detail["reason"] = r.Reason
	return lead.EventCRMSaving, detail
}

func chatEvent(r Result, detail map[string]any) (lead.EventKind, map[string]any) {
	switch {
	case r.Outcome == WasMerged:
		detail["digest"] = true
		return lead.EventChatPosted, detail
	case r.Outcome == WasDelivered && r.Claimed.Written == 0:
		return lead.EventChatPosted, detail
	case r.Outcome == WasDelivered:
		return lead.EventChatUpdated, detail
	}
	return "", nil
}
