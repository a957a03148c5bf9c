package handlers

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/google/uuid"

	"leadline/internal/audit"
	"leadline/internal/lead"
	"leadline/views"
)

const day = 24 * time.Hour

// whenAges are the times that can be chosen.
var (
	whenAges    = map[string]time.Duration{"1": day, "7": 7 * day, "30": 30 * day, "90": 90 * day, "all": 0}
	whenOptions = []views.Option{
		{Value: "1", Label: "last day"},
		{Value: "7", Label: "last 7 days"},
		{Value: "30", Label: "last 30 days"},
		{Value: "90", Label: "last 90 days"},
		{Value: "all", Label: "ever"},
	}
)

// didActions are the groups of actions that can be chosen.
var (
	didActions = map[string][]audit.Action{
		"reveals": {audit.ContactRevealed, audit.PayloadRead},
		"publishes": {
			audit.Published, audit.RepsChanged, audit.DraftAdded, audit.DraftChanged, audit.DraftApproved, audit.DraftScheduled, audit.DraftFailed, audit.DraftDiscarded,
			audit.ShadowBegan, audit.ShadowEnded, audit.CanaryBegan, audit.CanaryEnded,
		},
		"people": {
			audit.RepActivated, audit.RepDeactivated, audit.AbsenceAdded, audit.AbsenceRemoved, audit.CreditAdjusted, audit.LeadRerouted, audit.LeadHandedOver,
		},
		"access": {
			audit.AccountAdded, audit.AccountChanged, audit.AccountDisabled, audit.LinkMade, audit.SetupUsed, audit.TokenAdded, audit.TokenRevoked,
		},
		"reviews":  {audit.HoldReleased, audit.HoldDiscarded, audit.HoldRestored},
		"exports":  {audit.Exported, audit.AuditExported},
		"sessions": {audit.SignedIn, audit.SignInRefused, audit.SignedOut},
		"keys": {
			audit.SecretSet, audit.SecretRemoved, audit.DataKeyMade, audit.DataKeyRotated, audit.MasterKeyRotated, audit.KeyUsed, audit.TokenUsed,
		},
		"erasures": {audit.PersonErased, audit.ErasureRepeated, audit.DemoRemoved},
		"looks":    {audit.AuditSeen, audit.AuditExported},
	}
	didOptions = []views.Option{
		{Value: "", Label: "Anything"},
		{Value: "reveals", Label: "Reveals"},
		{Value: "publishes", Label: "Publishes"},
		{Value: "people", Label: "People and turns"},
		{Value: "access", Label: "Access changes"},
		{Value: "reviews", Label: "Reviews of held leads"},
		{Value: "exports", Label: "Exports"},
		{Value: "sessions", Label: "Signing in and out"},
		{Value: "keys", Label: "Keys and secrets"},
		{Value: "erasures", Label: "Erasures"},
		{Value: "looks", Label: "Looks at this record"},
	}
	savedViews = []views.AuditSaved{
		{Name: "Reveals this week", Choice: views.AuditChoice{Did: "reveals", When: "7"}},
		{Name: "Publishes", Choice: views.AuditChoice{Did: "publishes", When: "90"}},
		{Name: "Access changes", Choice: views.AuditChoice{Did: "access", When: "90"}},
		{Name: "Exports", Choice: views.AuditChoice{Did: "exports", When: "90"}},
	}
)

// deeds are the actions in words; what it was done to follows.
var deeds = map[audit.Action]string{
	audit.SignedIn: "signed in", audit.SignInRefused: "was refused at the sign-in", audit.SignedOut: "signed out",
	audit.SetupUsed: "became the first admin", audit.AccountAdded: "added", audit.AccountChanged: "changed", audit.AccountDisabled: "closed the account of",
	audit.LinkMade: "made a sign-in link for", audit.TokenAdded: "added token", audit.TokenUsed: "used its token", audit.TokenRevoked: "revoked token",
	audit.Published: "published", audit.RepsChanged: "changed the list of reps", audit.Exported: "exported the configuration",
	audit.AuditSeen: "looked at this record", audit.AuditExported: "exported this record", audit.ContactRevealed: "revealed the contact of",
	audit.HoldReleased: "released", audit.HoldDiscarded: "discarded as spam", audit.HoldRestored: "put back for review",
	audit.PayloadRead: "read what was sent for", audit.SecretSet: "set the secret", audit.SecretRemoved: "removed the secret",
	audit.DataKeyMade: "made", audit.DataKeyRotated: "rotated", audit.MasterKeyRotated: "rotated the master key", audit.KeyUsed: "opened",
	audit.PersonErased: "erased a person", audit.ErasureRepeated: "erased a person again after a restore", audit.DemoRemoved: "removed the demo data",
	audit.DriftResolved: "marked as resolved", audit.DraftAdded: "began", audit.DraftChanged: "changed", audit.DraftApproved: "approved",
	audit.DraftScheduled: "set a time for", audit.DraftFailed: "could not publish", audit.DraftDiscarded: "discarded",
	audit.ShadowBegan: "began", audit.ShadowEnded: "ended", audit.CanaryBegan: "began a canary of", audit.CanaryEnded: "ended the canary of",
	audit.RepActivated: "activated", audit.RepDeactivated: "deactivated", audit.AbsenceAdded: "noted an absence of", audit.AbsenceRemoved: "took back an absence of",
	audit.LeadRerouted: "gave to others", audit.LeadHandedOver: "handed to others", audit.CreditAdjusted: "adjusted the turns of",
}

func auditEntry(l audit.Line) views.AuditEntry {
	e := views.AuditEntry{
		Seq: l.Seq, At: l.At, Who: actorWord(l), Did: deeds[l.Action], Reason: l.Note, Erased: l.Erased, Action: string(l.Action),
		Correlation: l.CorrelationID, Hash: hex.EncodeToString(l.Hash), Facts: detailFacts(l.Detail),
	}
	if e.Did == "" {
		e.Did = "did " + string(l.Action) + " to"
	}
	e.To, e.ToURL = objectWord(l)
	return e
}

func actorWord(l audit.Line) string {
	switch {
	case l.ActorKind == audit.Command:
		return "The command line"
	case l.ActorKind == audit.System:
		return "Leadline"
	case l.ActorKind == audit.Visitor:
		return "A visitor"
	case l.ActorKind == audit.Token:
		return strings.TrimSpace("Token " + l.ActorName)
	case l.ActorName != "":
		return l.ActorName
	case l.Actor != nil:
		return "Somebody whose account is gone"
	}
	return "Somebody unknown"
}

// objectWord names what an entry is about, and the page where it is shown.
func objectWord(l audit.Line) (word, page string) {
	switch l.ObjectKind {
	case "lead":
		id, err := uuid.Parse(l.Object)
		if err != nil {
			return l.Object, ""
		}
		return lead.Reference(id), "/leads/" + id.String()
	case "account", "token", "rep":
		if l.Actor != nil && l.Object == l.Actor.String() { // "Mia signed in Mia"
			return "", ""
		}
		if l.ObjectName == "" {
			return l.Object, ""
		}
		return l.ObjectName, ""
	case "version":
		return "version " + l.Object, ""
	case "draft":
		return "draft " + l.Object, ""
	case "data_key":
		return "key " + l.Object, ""
	case "drift":
		return "schema drift " + l.Object, "/drift?show=all"
	case "session", "erasure":
		return "", ""
	}
	return l.Object, ""
}

// detailFacts takes the details apart, whatever they are.
func detailFacts(detail json.RawMessage) []views.Answer {
	var members map[string]any
	if err := json.Unmarshal(detail, &members); err != nil {
		return []views.Answer{{Name: "Details", Value: string(detail)}}
	}
	facts := make([]views.Answer, 0, len(members))
	for name, value := range members {
		facts = append(facts, views.Answer{Name: views.Readable(name), Value: detailText(value)})
	}
	sort.Slice(facts, func(i, j int) bool { return facts[i].Name < facts[j].Name })
	return facts
}

func detailText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		return fmt.Sprintf("%.15g", v)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
