package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/evanw/esbuild/pkg/api"
)

// Asset is one file as it is served. Its methods may be called by any number of goroutines.
type Asset struct {
	Name  string // hashed: app-1f2e3d4c5b.css
	Type  string // Content-Type
	Plain []byte

	brotli func() []byte
	gzip   func() []byte
}

// Brotli gives the compressed bytes, made at the first call.
func (a *Asset) Brotli() []byte { return a.brotli() }

// Gzip gives the compressed bytes, made at the first call.
func (a *Asset) Gzip() []byte { return a.gzip() }

// ETag names the content.
func (a *Asset) ETag() string { return `"` + a.Name + `"` }

// collection is all assets, by the name in the source tree and by the hashed name.
type collection struct {
	bySource map[string]*Asset
	byHash   map[string]*Asset
	err      error
}

var all = sync.OnceValue(load)

// Load minifies and names everything now rather than at the first request, and tells whether all is well.
func Load() error { return all().err }

// URL is the path under which a file of this folder is served, such as /static/app-1f2e3d4c5b.css for app.css.
func URL(source string) string {
	if a, ok := all().bySource[source]; ok {
		return "/static/" + a.Name
	}
	return "/static/" + source
}

// Find gives an asset by its hashed name.
func Find(name string) (*Asset, bool) {
	a, ok := all().byHash[name]
	return a, ok
}

// Source gives an asset by its name in this folder.
func Source(name string) (*Asset, bool) {
	a, ok := all().bySource[name]
	return a, ok
}

func load() collection {
	c := collection{bySource: map[string]*Asset{}, byHash: map[string]*Asset{}}
	entries, err := files.ReadDir(".")
	if err != nil {
		c.err = fmt.Errorf("list static files: %w", err)
		return c
	}
	for _, entry := range entries {
		a, err := newAsset(entry.Name())
		if err != nil {
			c.err = err
			return c
		}
		c.bySource[entry.Name()], c.byHash[a.Name] = a, a
	}
	return c
}

func newAsset(source string) (*Asset, error) {
	body, err := files.ReadFile(source)
	if err != nil {
		return nil, fmt.Errorf("read static file %s: %w", source, err)
	}
	if body, err = minify(source, body); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	ext := path.Ext(source)
	return &Asset{
		Name:   strings.TrimSuffix(strings.TrimSuffix(source, ext), ".min") + "-" + hex.EncodeToString(sum[:5]) + ext,
		Type:   contentType(ext),
		Plain:  body,
		brotli: sync.OnceValue(func() []byte { return withBrotli(body) }),
		gzip:   sync.OnceValue(func() []byte { return withGzip(body) }),
	}, nil
}

// minify makes our own files small. Vendored ones arrive minified and are served as they came, so that they can be compared.
func minify(source string, body []byte) ([]byte, error) {
	loader := api.LoaderJS
	switch {
	case strings.HasSuffix(source, ".min.js"), strings.HasSuffix(source, ".svg"):
		return body, nil
	case strings.HasSuffix(source, ".css"):
		loader = api.LoaderCSS
	}
	result := api.Transform(string(body), api.TransformOptions{
		Loader: loader, Target: api.ES2020, MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true,
		LegalComments: api.LegalCommentsInline,
	})
	if len(result.Errors) > 0 {
		at := result.Errors[0]
		line := 0
		if at.Location != nil {
			line = at.Location.Line
		}
		return nil, fmt.Errorf("static file %s, line %d: %s", source, line, at.Text)
	}
	return result.Code, nil
}

func contentType(ext string) string {
	switch ext {
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "text/javascript; charset=utf-8"
	}
}

func withBrotli(body []byte) []byte {
	var out bytes.Buffer
	w := brotli.NewWriterLevel(&out, brotli.BestCompression)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

func withGzip(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is known to be fine
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}
