package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"leadline/static"
)

// GET /static/:name — a file under the name that changes with its content: browsers keep it for good.
func serveStatic(c *fiber.Ctx) error {
	asset, ok := static.Find(c.Params("name"))
	if !ok {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	if strings.HasPrefix(asset.Name, "leadline-") {
		openToAll(c)
	}
	return send(c, asset)
}

// GET /leadline.js — the form script under its plain name, for pages that want to follow new versions.
func serveFormScript(c *fiber.Ctx) error {
	asset, ok := static.Source("leadline.js")
	if !ok {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=300")
	openToAll(c)
	return send(c, asset)
}

// openToAll lets pages of other sites load a script, also under cross-origin isolation and with an integrity attribute.
func openToAll(c *fiber.Ctx) {
	c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	c.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

func send(c *fiber.Ctx, asset *static.Asset) error {
	c.Set(fiber.HeaderContentType, asset.Type)
	c.Set(fiber.HeaderETag, asset.ETag())
	c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	if c.Get(fiber.HeaderIfNoneMatch) == asset.ETag() {
		return c.SendStatus(fiber.StatusNotModified)
	}
	accepts := c.Get(fiber.HeaderAcceptEncoding)
	switch {
	case strings.Contains(accepts, "br"):
		c.Set(fiber.HeaderContentEncoding, "br")
		return c.Send(asset.Brotli())
	case strings.Contains(accepts, "gzip"):
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(asset.Gzip())
	default:
		return c.Send(asset.Plain)
	}
}
