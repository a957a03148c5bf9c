package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Early data are what a returning client sends before the handshake has ended: a whole round trip sooner, but whoever recorded them
// on the way can send them again (RFC 8470). Only HTTP/3 has them here: Go's TLS for TCP accepts none. A proxy in front may have
// taken some and then says so in a header; that is believed of anybody, since it only makes us more careful.

// earlyRefused tells whether a request must come again after the handshake.
func earlyRefused(ctx *fasthttp.RequestCtx) bool {
	conn, _ := ctx.Conn().(*bridgedConn)
	early := conn != nil && conn.early()
	if !early && string(ctx.Request.Header.Peek("Early-Data")) != "1" {
		return false
	}
	return !repeatable(&ctx.Request)
}

// repeatable tells whether a recording of a request may arrive any number of times: reading without credentials (a session's token that
// was replaced since would end the session), and sending a form under a key, where the ledger makes one lead of all of them. The
// key must be in the header: the body has not been looked at.
func repeatable(r *fasthttp.Request) bool {
	h := &r.Header
	switch string(h.Method()) {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return len(h.Peek(fiber.HeaderCookie)) == 0 && len(h.Peek(fiber.HeaderAuthorization)) == 0
	case fiber.MethodPost:
		slug, form := strings.CutPrefix(string(r.URI().PathOriginal()), "/v1/forms/")
		slug, leads := strings.CutSuffix(slug, "/leads")
		return form && leads && !strings.Contains(slug, "/") && len(h.Peek("Idempotency-Key")) > 0
	}
	return false
}
