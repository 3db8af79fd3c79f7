package peers

import (
	"context"

	"rempart/core/media"
	"rempart/internal/matrix"
)

var _ media.Peers = (*Peers)(nil)

// Download fetches a file of another server.
func (p *Peers) Download(ctx context.Context, from, to matrix.ServerName, id string, limit int64) (*media.RemoteFile, error) {
	f, err := p.client.Download(ctx, from, to, id, limit)
	if err != nil {
		return nil, err
	}
	return &media.RemoteFile{Type: f.Type, Name: f.Name, Content: f.Content}, nil
}
