package mediaapi

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"rempart/core/media"
	"rempart/core/media/picture"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// downloads serves files. public is set at the paths that need no token, frozen when those are closed.
type downloads struct {
	media          *media.Service
	public, frozen bool
}

// download serves a file. Spec: client-server-api/#get_matrixclientv1mediadownloadservernamemediaid
func (d downloads) download(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
	a, wait, err := d.asked(req.Context(), c, p)
	if err != nil {
		return err
	}
	f, err := d.media.Open(req.Context(), a, wait)
	if err != nil {
		return err
	}
	defer func() { _ = f.Content.Close() }()
	if name := media.CleanName(p.Var("fileName")); name != "" {
		f.Name = name
	}
	return d.serve(w, req, f, disposition(f.Type, f.Name))
}

// thumbnail serves a small picture of a file.
// Spec: client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid
func (d downloads) thumbnail(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
	a, wait, err := d.asked(req.Context(), c, p)
	if err != nil {
		return err
	}
	want, err := wanted(p)
	if err != nil {
		return err
	}
	f, err := d.media.Thumbnail(req.Context(), a, want, wait)
	if err != nil {
		return err
	}
	defer func() { _ = f.Content.Close() }()
	return d.serve(w, req, f, disposition(f.Type, thumbnailName(f.Type)))
}

// asked reads the address, and how long the client would wait for its content. A file of another server of this installation is asked
// for as such.
func (d downloads) asked(ctx context.Context, c matrix.Caller, p httpx.Path) (media.Address, time.Duration, error) {
	if d.frozen {
		return media.Address{}, 0, matrix.NotFound("Media is served with an access token only.")
	}
	a, err := media.ParseAddress(p.Var("serverName"), p.Var("mediaId"))
	if err != nil {
		return a, 0, err
	}
	if err := d.media.Visit(ctx, cmp.Or(c.Server, matrix.ServerName(matrix.ServerName(httpx.Host(ctx)).Host())), a); err != nil {
		return a, 0, err
	}
	ms, err := p.QueryInt("timeout_ms", -1)
	return a, time.Duration(min(ms, longestWait)) * time.Millisecond, err
}

// longestWait bounds what a client may ask for, in milliseconds; the core has a bound of its own.
const longestWait = 1 << 20

func wanted(p httpx.Path) (w picture.Want, err error) {
	if w.Width, err = p.QueryInt("width", 0); err != nil {
		return w, err
	}
	if w.Height, err = p.QueryInt("height", 0); err != nil {
		return w, err
	}
	switch p.Query().Get("method") {
	case "", "scale":
	case "crop":
		w.Crop = true
	default:
		return w, matrix.InvalidParam("The method of a thumbnail is crop or scale.")
	}
	w.Animated, err = p.QueryBool("animated", false)
	return w, err
}

// serve answers with a file or the ranges of it that are asked for.
func (d downloads) serve(w http.ResponseWriter, req *http.Request, f *media.File, disposition string) error {
	safeHeaders(w.Header(), f, disposition)
	if d.public {
		w.Header().Set("Cache-Control", "public, max-age=86400")
	}
	if !strings.HasPrefix(req.Header.Get("Range"), "bytes=") {
		req.Header.Del("Range") // Spec: RFC 9110, 14.2: a unit that is not known is passed over
	}
	paced := &pacedWriter{ResponseWriter: w, conn: http.NewResponseController(w)}
	defer paced.done()
	http.ServeContent(paced, req, "", f.Created, f.Content)
	if paced.refused { // Content-Range is set
		return matrix.NewError(http.StatusRequestedRangeNotSatisfiable, matrix.CodeInvalidParam, "The file has no such range: Content-Range says how long it is.")
	}
	return nil
}
