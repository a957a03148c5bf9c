package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"leadline/internal/fault"
	"leadline/internal/postgres"
	"leadline/views"
)

// shown says how a kind of fault looks from outside.
type shown struct {
	status int
	title  string
}

var kinds = map[fault.Kind]shown{
	fault.Malformed:       {fiber.StatusBadRequest, "This could not be read"},
	fault.Unauthenticated: {fiber.StatusUnauthorized, "Sign in first"},
	fault.Forbidden:       {fiber.StatusForbidden, "This is not open to you"},
	fault.NotFound:        {fiber.StatusNotFound, "There is nothing here"},
	fault.Conflict:        {fiber.StatusConflict, "Somebody was faster"},
	fault.TooLarge:        {fiber.StatusRequestEntityTooLarge, "This is too long"},
	fault.Unsupported:     {fiber.StatusUnsupportedMediaType, "This format is not accepted"},
	fault.Invalid:         {fiber.StatusUnprocessableEntity, "Some answers need another look"},
	fault.Unproven:        {fiber.StatusPreconditionRequired, "One more step"},
	fault.Throttled:       {fiber.StatusTooManyRequests, "Too many at once"},
	fault.Unavailable:     {fiber.StatusServiceUnavailable, "Not possible right now"},
}

// Fail answers with an error: a problem document for programs, a page or a fragment for people. A fault is shown as it is;
// anything else becomes "Something went wrong" with the correlation id, and its text goes to the log alone.
func Fail(c *fiber.Ctx, err error) error {
	f, status, title := explain(err)
	if status >= 500 || f.Err != nil {
		c.Locals(localFailure, err)
	}
	c.Status(status)
	c.Set(fiber.HeaderCacheControl, "no-store")
	setRetryAfter(c, f)
	switch {
	case c.Get("HX-Request") == "true":
		return Render(c, views.ErrorFragment(f.Message, CorrelationOf(c)))
	case WantsHTML(c):
		message, again := f.Message, c.GetRespHeader(fiber.HeaderRetryAfter)
		if again != "" && status == fiber.StatusServiceUnavailable && c.Method() == fiber.MethodGet {
			c.Set("Refresh", again) // the person waits; nobody has to press anything
			message += " This page tries again by itself."
		}
		return Render(c, views.ErrorPage(views.Problem{Status: status, Title: title, Message: message, Reference: CorrelationOf(c)}))
	default:
		return problem(c, f, status, title)
	}
}

// setRetryAfter says when to come back, in whole seconds, where that is part of the answer.
func setRetryAfter(c *fiber.Ctx, f fault.Error) {
	if f.RetryAfter > 0 || f.Kind == fault.Throttled || f.Kind == fault.Unavailable {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(max(1, int(math.Ceil(f.RetryAfter.Seconds())))))
	}
}

// FailureOf gives the error that Fail kept for the log, or nil.
func FailureOf(c *fiber.Ctx) error {
	err, _ := c.Locals(localFailure).(error)
	return err
}

// explain finds what may be shown of an error. The fault it returns is a copy where the error was none.
func explain(err error) (f fault.Error, status int, title string) {
	var known *fault.Error
	var http *fiber.Error
	switch {
	case errors.As(err, &known):
		f = *known
	case errors.As(err, &http):
		return fromHTTP(http.Code)
	case postgres.Away(err):
		f = fault.Error{Kind: fault.Unavailable, Message: "The database is not there right now. Try again in a moment.", RetryAfter: time.Second, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		f = fault.Error{Kind: fault.Unavailable, Message: "This took too long. We do not know yet whether it worked; try again.", RetryAfter: time.Second, Err: err}
	}
	if how, ok := kinds[f.Kind]; ok {
		return f, how.status, how.title
	}
	f = fault.Error{Kind: "internal", Message: "Something went wrong on our side. Try again in a moment.", Err: err}
	return f, fiber.StatusInternalServerError, "Something went wrong"
}

// fromHTTP words what the server itself refuses, mostly before any handler ran.
func fromHTTP(code int) (fault.Error, int, string) {
	kind, message := fault.Malformed, "This request could not be read."
	switch code {
	case fiber.StatusNotFound:
		kind, message = fault.NotFound, "Check the address."
	case fiber.StatusMethodNotAllowed:
		return fault.Error{Kind: "method", Message: "This address does not do that."}, code, "Not possible here"
	case fiber.StatusRequestEntityTooLarge:
		kind, message = fault.TooLarge, "At most 32 KiB are accepted."
	case fiber.StatusRequestHeaderFieldsTooLarge:
		return fault.Error{Kind: "headers_too_large", Message: "The request's headers are longer than 8 KiB."}, code, "This is too long"
	case fiber.StatusTooEarly:
		return fault.Error{Kind: "too_early", Message: "Send this again once the connection is set up, or with an Idempotency-Key."}, code, "Too early"
	case fiber.StatusRequestTimeout:
		return fault.Error{Kind: "timeout", Message: "The request did not arrive in time."}, code, "Too slow"
	case fiber.StatusUpgradeRequired:
		return fault.Error{Kind: "upgrade", Message: "This address is for the console's live connection."}, code, "Not possible here"
	}
	return fault.Error{Kind: kind, Message: message}, kinds[kind].status, kinds[kind].title
}

// problem writes an RFC 9457 document. Members of Extra cannot replace the standard ones.
func problem(c *fiber.Ctx, f fault.Error, status int, title string) error {
	doc := make(map[string]any, 8+len(f.Extra))
	for name, value := range f.Extra {
		doc[name] = value
	}
	doc["type"] = "urn:leadline:problem:" + string(f.Kind)
	doc["title"], doc["status"], doc["detail"] = title, status, f.Message
	doc["correlation_id"] = CorrelationOf(c)
	if f.Code != "" {
		doc["code"] = f.Code
	}
	if len(f.Fields) > 0 {
		doc["errors"] = f.Fields
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return c.Send(body)
}

// bearer takes the credential of a scheme ("Receipt ", "Bearer ") out of the Authorization header.
func bearer(c *fiber.Ctx, scheme string) (string, bool) {
	value, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), scheme)
	return strings.TrimSpace(value), ok
}

// WantsHTML tells whether a person's browser is asking for a page, rather than a program for data.
func WantsHTML(c *fiber.Ctx) bool {
	return strings.Contains(c.Get(fiber.HeaderAccept), "text/html")
}
