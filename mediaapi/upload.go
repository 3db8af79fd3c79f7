package mediaapi

import (
	"context"
	"encoding/json"
	"net/http"

	"rempart/core/media"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type uploadAnswer struct {
	URI string `json:"content_uri"`
}

type createAnswer struct {
	URI     string `json:"content_uri"`
	Expires int64  `json:"unused_expires_at"`
}

// uploadRoutes adds uploads, in one step and in two.
func uploadRoutes(r *httpx.Router, d Deps) {
	// Why one byte more: the core says what is too large.
	route := httpx.Route{Access: httpx.User, Class: "media", MaxBody: d.MaxUpload + 1, R0: true}
	one := route
	one.Spec, one.Unstable = "uploadContent", []string{legacyV1 + "/upload"}
	// Spec: client-server-api/#post_matrixmediav3upload
	httpx.HandleRaw(r, "POST", legacy+"/upload", one,
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			u, done := incoming(w, req, p)
			defer done()
			a, err := d.Media.Upload(req.Context(), c, u)
			if err != nil {
				return err
			}
			return answer(w, uploadAnswer{a.String()})
		})
	two := route
	two.Spec = "uploadContentToMXC"
	// Spec: client-server-api/#put_matrixmediav3uploadservernamemediaid
	httpx.HandleRaw(r, "PUT", legacy+"/upload"+ofFile, two,
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			a, err := media.ParseAddress(p.Var("serverName"), p.Var("mediaId"))
			if err != nil {
				return err
			}
			u, done := incoming(w, req, p)
			defer done()
			if err := d.Media.Fill(req.Context(), c, a, u); err != nil {
				return err
			}
			return answer(w, struct{}{})
		})
	httpx.Handle(r, "POST", legacyV1+"/create", httpx.Route{Access: httpx.User, Class: "media", Spec: "createContent"},
		func(ctx context.Context, c matrix.Caller, _ httpx.Path, _ httpx.Empty) (createAnswer, error) {
			a, expires, err := d.Media.Create(ctx, c)
			return createAnswer{a.String(), expires.UnixMilli()}, err
		})
}

// incoming is the file of a request, as a stream that must keep moving. done is called when it has been read.
func incoming(w http.ResponseWriter, req *http.Request, p httpx.Path) (u media.Upload, done func()) {
	body := &pacedReader{r: req.Body, conn: http.NewResponseController(w)}
	return media.Upload{
		Type: req.Header.Get("Content-Type"), Name: p.Query().Get("filename"), Size: req.ContentLength, Body: body,
	}, body.done
}

func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, b)
	return nil
}
