// Package mediaapi is the content repository's part of the client-server API: upload, download, thumbnails.
//
// It turns requests into calls of core/media and files into answers with headers that keep browsers from running what
// people upload. Bodies are streams in both directions; none is held in memory. It reaches neither storage nor the
// other entrances.
package mediaapi

import (
	"context"
	"encoding/json"

	"rempart/core/media"
	"rempart/core/preview"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// Deps is what the handlers call, and their settings.
type Deps struct {
	Media *media.Service
	// Previews makes previews of web pages; nil: there are none.
	Previews *preview.Service
	// MaxUpload bounds a file in bytes.
	MaxUpload int64
	// Legacy serves downloads and thumbnails also without a token, at the paths of before v1.11.
	Legacy bool
}

const (
	authed = "/_matrix/client/v1/media"
	legacy = "/_matrix/media/v3"
	// msc3916 and legacyV1 are further homes of authenticated and of all other media, for older clients.
	msc3916  = "/_matrix/client/unstable/org.matrix.msc3916/media"
	legacyV1 = "/_matrix/media/v1"
	ofFile   = "/{serverName}/{mediaId}"
	named    = ofFile + "/{fileName}"
)

// Register adds all routes.
// Spec: client-server-api/#content-repository
func Register(r *httpx.Router, d Deps) {
	uploadRoutes(r, d)
	h := downloads{media: d.Media}
	mine := func(spec, rest string) httpx.Route {
		return httpx.Route{Access: httpx.UserOrGuest, Class: "media", Spec: spec, Unstable: []string{msc3916 + rest}}
	}
	httpx.HandleRaw(r, "GET", authed+"/download"+ofFile, mine("getContentAuthed", "/download"+ofFile), h.download)
	httpx.HandleRaw(r, "GET", authed+"/download"+named, mine("getContentOverrideNameAuthed", "/download"+named), h.download)
	httpx.HandleRaw(r, "GET", authed+"/thumbnail"+ofFile, mine("getContentThumbnailAuthed", "/thumbnail"+ofFile), h.thumbnail)
	httpx.Handle(r, "GET", authed+"/config", mine("getConfigAuthed", "/config"), d.config)
	httpx.Handle(r, "GET", authed+"/preview_url", mine("getUrlPreviewAuthed", "/preview_url"), d.preview)
	httpx.Handle(r, "GET", legacy+"/preview_url", httpx.Route{Access: httpx.User, Class: "media", Spec: "getUrlPreview", R0: true,
		Unstable: []string{legacyV1 + "/preview_url"}}, d.preview)
	old := httpx.Route{Access: httpx.User, Class: "media", Spec: "getConfig", R0: true, Unstable: []string{legacyV1 + "/config"}}
	httpx.Handle(r, "GET", legacy+"/config", old, d.config)
	legacyRoutes(r, d, h)
}

// legacyRoutes adds what was served to everybody, or says that it is not there any more.
// Spec: client-server-api/#content-repo-client-behaviour
func legacyRoutes(r *httpx.Router, d Deps, h downloads) {
	h.public = true
	if !d.Legacy {
		h.frozen = true
	}
	everybody := func(spec, rest string) httpx.Route {
		return httpx.Route{Class: "media", Spec: spec, R0: true, Unstable: []string{legacyV1 + rest}}
	}
	httpx.HandleRaw(r, "GET", legacy+"/download"+ofFile, everybody("getContent", "/download"+ofFile), h.download)
	httpx.HandleRaw(r, "GET", legacy+"/download"+named, everybody("getContentOverrideName", "/download"+named), h.download)
	httpx.HandleRaw(r, "GET", legacy+"/thumbnail"+ofFile, everybody("getContentThumbnail", "/thumbnail"+ofFile), h.thumbnail)
}

// preview tells what a web page says of itself. Spec: client-server-api/#get_matrixclientv1mediapreview_url
func (d Deps) preview(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (json.RawMessage, error) {
	return d.Previews.Of(ctx, c, p.Param("url"))
}

type configAnswer struct {
	UploadSize int64 `json:"m.upload.size"`
}

// config tells clients how large a file may be. Spec: client-server-api/#get_matrixclientv1mediaconfig
func (d Deps) config(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (configAnswer, error) {
	return configAnswer{UploadSize: d.MaxUpload}, nil
}
