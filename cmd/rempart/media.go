package main

import (
	"context"
	"net"

	"rempart/adminapi"
	"rempart/clientapi"
	"rempart/config"
	"rempart/core/media"
	"rempart/core/preview"
	"rempart/federation/peers"
	"rempart/internal/clamd"
	"rempart/internal/egress"
	"rempart/internal/httpx"
	"rempart/internal/icap"
	"rempart/internal/matrix"
	"rempart/mediaapi"
)

// media opens the store of files and starts what serves them.
func (a *app) media(ctx context.Context, cfg *config.Config, g *ground, local func(matrix.ServerName) bool, f *outside) (mediaapi.Deps, error) {
	const mib = 1 << 20
	d := mediaapi.Deps{MaxUpload: int64(cfg.Media.MaxUploadMiB) * mib, Legacy: cfg.Media.Legacy}
	store, err := media.NewDisk(cfg.Media.Path)
	if err != nil {
		return d, err
	}
	o := media.Options{
		DB: g.db, Store: store, Local: local, MaxUpload: d.MaxUpload, Quota: int64(cfg.Media.QuotaMiB) * mib,
		ImageBytes: int64(cfg.Media.ImageMemoryMiB) * mib, Border: g.border, Log: g.log,
	}
	if f.open {
		o.Peers, o.Server = peers.New(f.client, f.keys), matrix.ServerName(cfg.Server.Name)
	}
	if o.Scanner, err = scanner(cfg.Media, f.egress); err != nil {
		return d, err
	}
	d.Media = media.New(ctx, o)
	d.Previews = preview.New(ctx, preview.Options{DB: g.db, Media: d.Media, Pages: f.pages(cfg.Previews), Log: g.log})
	a.onClose = append(a.onClose, closing(d.Previews.Close))
	a.onDrain = append(a.onDrain, d.Media.Close)
	a.onClose = append(a.onClose, closing(d.Media.Close))
	return d, nil
}

// scanner is the virus scanner of the configuration, nil for none: ClamAV's daemon on a unix socket, or one that speaks ICAP.
func scanner(c config.Media, out *egress.Egress) (media.Scanner, error) {
	switch {
	case c.Clamd != "":
		return &clamd.Client{Dial: func(ctx context.Context) (net.Conn, error) {
			return out.Dial(ctx, egress.Scan, "unix", c.Clamd)
		}}, nil
	case c.ICAP != "":
		return icap.New(c.ICAP, 0, func(ctx context.Context, address string) (net.Conn, error) {
			return out.Dial(ctx, egress.Scan, "tcp", address)
		})
	}
	return nil, nil
}

// clientRoutes adds every route of the client address.
func clientRoutes(m mediaapi.Deps, ad adminapi.Deps) func(*httpx.Router, clientapi.Deps) {
	return func(r *httpx.Router, d clientapi.Deps) {
		clientapi.Register(r, d)
		mediaapi.Register(r, m)
		adminapi.Register(r, ad)
	}
}
