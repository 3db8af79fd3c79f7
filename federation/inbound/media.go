package inbound

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"time"

	"rempart/core/media"
	"rempart/core/media/picture"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// mediaRoutes hands our files to other servers. Content is always in the answer: no Location is given out.
// Spec: server-server-api/#content-repository
func mediaRoutes(r *httpx.Router, s *media.Service) {
	download := signed("getContent")
	download.Unstable = []string{"/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/{mediaId}"}
	httpx.HandleRaw(r, "GET", "/_matrix/federation/v1/media/download/{mediaId}", download,
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			a, wait, err := ownMedia(c, p)
			if err != nil {
				return err
			}
			f, err := s.Open(req.Context(), a, wait)
			if err != nil {
				return err
			}
			return inParts(w, f)
		})
	httpx.HandleRaw(r, "GET", "/_matrix/federation/v1/media/thumbnail/{mediaId}", signed("getContentThumbnail"),
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			a, wait, err := ownMedia(c, p)
			if err != nil {
				return err
			}
			var want picture.Want
			if want.Width, err = p.QueryInt("width", 0); err != nil {
				return err
			}
			if want.Height, err = p.QueryInt("height", 0); err != nil {
				return err
			}
			want.Crop = p.Query().Get("method") == "crop"
			if want.Animated, err = p.QueryBool("animated", false); err != nil {
				return err
			}
			f, err := s.Thumbnail(req.Context(), a, want, wait)
			if err != nil {
				return err
			}
			return inParts(w, f)
		})
}

// maxMediaWait bounds what a server may ask for, in milliseconds; the core has a bound of its own.
const maxMediaWait = 1 << 20

// ownMedia is the address of one of our files, and how long the server would wait for its content.
func ownMedia(c matrix.Caller, p httpx.Path) (media.Address, time.Duration, error) {
	a, err := media.ParseAddress(string(c.Destination), p.Var("mediaId"))
	if err != nil {
		return a, 0, err
	}
	ms, err := p.QueryInt("timeout_ms", -1)
	return a, time.Duration(min(ms, maxMediaWait)) * time.Millisecond, err
}

// inParts answers with a file in two parts: JSON about it, of which there is none yet, and its content.
func inParts(w http.ResponseWriter, f *media.File) error {
	defer func() { _ = f.Content.Close() }()
	parts := multipart.NewWriter(w)
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	about, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/json"}})
	if err != nil {
		return nil //nolint:nilerr // Why no error from here on: the answer has begun; who reads it sees it end early
	}
	_, _ = io.WriteString(about, "{}")
	disposition := "attachment"
	if f.Name != "" {
		if text := mime.FormatMediaType(disposition, map[string]string{"filename": f.Name}); text != "" {
			disposition = text
		}
	}
	content, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {f.Type}, "Content-Disposition": {disposition}})
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	if _, err := io.Copy(content, f.Content); err == nil {
		_ = parts.Close() // only a whole file gets its end
	}
	return nil
}
