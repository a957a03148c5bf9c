package views

// CSRFKey is the key in a rendering's context under which stands the token, a string, that forms of a session carry. What goes to
// many people at once, or over the live stream, is rendered without; there the page's script adds the token.
type CSRFKey struct{}
