package pushers

import (
	"context"

	"rempart/internal/matrix"
)

// closed is the gateway of a server that tells nobody.
type closed struct{}

// Admit refuses.
func (closed) Admit(context.Context, string) error {
	return matrix.Forbidden("This server sends no notifications.").French("Ce serveur n'envoie pas de notifications.")
}

// Notify refuses.
func (c closed) Notify(ctx context.Context, url string, _ []byte) ([]string, error) {
	return nil, c.Admit(ctx, url)
}
