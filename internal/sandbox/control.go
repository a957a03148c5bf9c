package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// postFault switches a fault on and answers it as understood.
func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	var f Fault
	if err := dec.Decode(&f); err != nil {
		controlError(w, http.StatusBadRequest, "The fault could not be read: "+err.Error()+".")
		return
	}
	if wrong := f.check(); wrong != "" {
		controlError(w, http.StatusUnprocessableEntity, wrong)
		return
	}
	s.setFault(f)
	writeJSON(w, http.StatusCreated, s.faults.of(f.Vendor))
}

func (s *Server) setFault(f Fault) {
	s.faults.set(f)
	s.log.Info("sandbox fault on", "vendor", f.Vendor, "latency_ms", f.LatencyMS, "status", f.Status, "hang", f.Hang, "drop", f.Drop)
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.faults.all())
}

// deleteFaults ends all faults, or with ?vendor= the one of that vendor.
func (s *Server) deleteFaults(w http.ResponseWriter, r *http.Request) {
	vendor, ok := vendorOf(w, r)
	if !ok {
		return
	}
	s.faults.clear(vendor)
	s.log.Info("sandbox faults off", "vendor", vendor)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) getRequests(w http.ResponseWriter, r *http.Request) {
	if vendor, ok := vendorOf(w, r); ok {
		writeJSON(w, http.StatusOK, s.journal.list(vendor))
	}
}

// getRecords answers what one vendor holds as a list; without ?vendor= an object with one list per vendor.
func (s *Server) getRecords(w http.ResponseWriter, r *http.Request) {
	vendor, ok := vendorOf(w, r)
	switch {
	case !ok:
	case vendor == vendorWebhook:
		writeJSON(w, http.StatusOK, s.webhook.list())
	case vendor == vendorSlack:
		writeJSON(w, http.StatusOK, s.slack.list())
	case vendor == vendorSMTP:
		writeJSON(w, http.StatusOK, s.mailbox.list())
	default:
		writeJSON(w, http.StatusOK, map[string]any{vendorWebhook: s.webhook.list(), vendorSlack: s.slack.list(), vendorSMTP: s.mailbox.list()})
	}
}

// deleteRecords forgets what one vendor (without ?vendor=: every vendor) holds, and the calls it received.
func (s *Server) deleteRecords(w http.ResponseWriter, r *http.Request) {
	vendor, ok := vendorOf(w, r)
	if !ok {
		return
	}
	if vendor == "" || vendor == vendorWebhook {
		s.webhook.clear()
	}
	if vendor == "" || vendor == vendorSlack {
		s.slack.clear()
	}
	if vendor == "" || vendor == vendorSMTP {
		s.mailbox.clear()
	}
	s.journal.clear(vendor)
	w.WriteHeader(http.StatusNoContent)
}

// vendorOf reads ?vendor=; it answers the caller itself when the name is unknown.
func vendorOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	v := r.URL.Query().Get("vendor")
	if v != "" && !slices.Contains(vendorNames(), v) {
		controlError(w, http.StatusUnprocessableEntity, fmt.Sprintf("vendor must be one of %v.", vendorNames()))
		return "", false
	}
	return v, true
}

func controlError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	out, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "The answer could not be written as JSON.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out) // the caller may have left; nobody is there to tell
}
