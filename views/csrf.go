package views

import "context"

type csrfKey struct{}

// WithCSRF makes forms that are rendered with this context carry the token of a session. What goes to many people at once, or over
// the live stream, is rendered without; there the page's script adds the token.
func WithCSRF(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return context.WithValue(ctx, csrfKey{}, token)
}

func csrfToken(ctx context.Context) string {
	token, _ := ctx.Value(csrfKey{}).(string)
	return token
}
