// Package static holds what browsers load besides pages: styles and scripts, ours and vendored ones, built into the binary.
//
// Every file is served under a name that changes with its content, so that browsers may keep it for good. Views ask URL for that
// name; web serves what Find finds. Ours are minified when the process starts, so that the sources stay readable and no build step
// stands between them and the binary.
package static

import "embed"

//go:embed *.js *.css *.svg
var files embed.FS
