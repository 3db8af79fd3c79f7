package main

import (
	"context"

	"rempart/config"
	"rempart/core"
	"rempart/internal/egress"
	"rempart/internal/webfetch"
)

// pages reads pages of the web through the one way out.
type pages struct{ client webfetch.Client }

// Fetch implements core.Pages.
func (p pages) Fetch(ctx context.Context, address string, limit int64) (*core.Page, error) {
	found, err := p.client.Fetch(ctx, address, limit)
	if err != nil {
		return nil, err
	}
	return &core.Page{URL: found.URL, Type: found.Type, Body: found.Body, Cut: found.Cut}, nil
}

// pages is nil when previews are off.
func (o *outside) pages(c config.Previews) core.Pages {
	if !c.Enabled {
		return nil
	}
	return pages{webfetch.Client{HTTP: o.egress.HTTP(egress.Preview), Agent: "Rempart/" + version() + " (preview of a page)"}}
}
