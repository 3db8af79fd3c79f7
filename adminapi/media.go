package adminapi

import (
	"context"
	"encoding/hex"

	"rempart/core/admin"
	"rempart/core/media"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type userMedia struct {
	Created     int64   `json:"created_ts"`
	Used        *int64  `json:"last_access_ts"`
	ID          string  `json:"media_id"`
	Length      int64   `json:"media_length"`
	Type        string  `json:"media_type"`
	Quarantined *string `json:"quarantined_by"`
	Safe        bool    `json:"safe_from_quarantine"`
	Name        *string `json:"upload_name"`
}

func userMediaOf(m admin.MediaFile) userMedia {
	out := userMedia{Created: m.Created, ID: m.ID, Length: m.Size, Type: m.Type, Quarantined: nullable(m.Quarantined), Safe: m.Protected,
		Name: nullable(m.Name)}
	if m.Used != 0 {
		out.Used = &m.Used
	}
	return out
}

// deleted is how deletions are answered.
func deleted(ids []string) map[string]any {
	return map[string]any{"deleted_media": ids, "total": len(ids)}
}

// mediaRoutes adds the files of users, and their deletion.
func mediaRoutes(r *httpx.Router, d Deps) {
	const ofOne = "/v1/users/{userID}/media"
	list := func(p httpx.Path) (admin.Page, error) {
		pg, err := page(p, "created_ts", admin.KnowsMediaOrder)
		if !p.Query().Has("order_by") && !p.Query().Has("dir") {
			pg.Backward = true // the newest first
		}
		return pg, err
	}
	ofUser(r, "GET", ofOne, func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := list(p)
		if err != nil {
			return nil, err
		}
		found, total, err := d.Admin.MediaOf(ctx, c, id, pg)
		files := make([]userMedia, len(found))
		for i, m := range found {
			files[i] = userMediaOf(m)
		}
		out := map[string]any{"media": files, "total": total}
		if n := next(pg, len(found), total); n != nil {
			out["next_token"] = *n
		}
		return out, err
	})
	ofUser(r, "DELETE", ofOne, func(ctx context.Context, c matrix.Caller, id matrix.UserID, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		pg, err := list(p)
		if err != nil {
			return nil, err
		}
		ids, err := d.Admin.DeleteMediaOf(ctx, c, id, pg)
		return deleted(ids), err
	})
	oldMedia := func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
		var q admin.OldMedia
		var err error
		if q.Before, err = needed(p, "before_ts"); err != nil {
			return nil, err
		}
		if q.Larger, err = natural(p, "size_gt", 0); err != nil {
			return nil, err
		}
		if q.KeepProfiles, err = p.QueryBool("keep_profiles", true); err != nil {
			return nil, err
		}
		ids, err := d.Admin.DeleteOldMedia(ctx, c, q)
		return deleted(ids), err
	}
	handle(r, "POST", "/v1/media/delete", oldMedia)
	handle(r, "POST", "/v1/media/{server}/delete", oldMedia)
	handle(r, "POST", "/v1/purge_media_cache", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]int, error) {
		before, err := needed(p, "before_ts")
		if err != nil {
			return nil, err
		}
		ids, err := d.Admin.DeleteOldMedia(ctx, c, admin.OldMedia{Before: before, Remote: true})
		return map[string]int{"deleted": len(ids)}, err
	})
	oneFile(r, d)
}

// oneFile adds reading and deleting one file.
func oneFile(r *httpx.Router, d Deps) {
	const path = "/v1/media/{server}/{mediaID}"
	ofFile(r, "DELETE", path, func(ctx context.Context, c matrix.Caller, a media.Address) (map[string]any, error) {
		return deleted([]string{a.ID}), d.Admin.DeleteMedia(ctx, c, a)
	})
	ofFile(r, "GET", path, func(ctx context.Context, c matrix.Caller, a media.Address) (map[string]any, error) {
		m, err := d.Admin.MediaFile(ctx, c, a)
		if err != nil {
			return nil, err
		}
		short := userMediaOf(m)
		return map[string]any{"media_info": map[string]any{
			"media_origin": m.Origin, "user_id": nil, "media_id": m.ID, "media_type": m.Type, "media_length": m.Size,
			"upload_name": short.Name, "created_ts": m.Created, "last_access_ts": short.Used, "quarantined_by": short.Quarantined,
			"safe_from_quarantine": m.Protected, "authenticated": true, "url_cache": nil, "filesystem_id": nil, "sha256": hex.EncodeToString(m.Digest),
		}}, nil
	})
}

// ofFile declares a route about the file that its path names.
func ofFile[Out any](r *httpx.Router, method, path string, fn func(context.Context, matrix.Caller, media.Address) (Out, error)) {
	handle(r, method, path, func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (out Out, err error) {
		a, err := media.ParseAddress(p.Var("server"), p.Var("mediaID"))
		if err != nil {
			return out, err
		}
		return fn(ctx, c, a)
	})
}

// quarantineRoutes adds what locks files away, and what keeps them from that.
func quarantineRoutes(r *httpx.Router, d Deps) {
	for act, on := range map[string]bool{"quarantine": true, "unquarantine": false} {
		ofFile(r, "POST", "/v1/media/"+act+"/{server}/{mediaID}", func(ctx context.Context, c matrix.Caller, a media.Address) (httpx.Empty, error) {
			return httpx.Empty{}, d.Admin.Quarantine(ctx, c, a, on)
		})
	}
	for act, on := range map[string]bool{"protect": true, "unprotect": false} {
		handle(r, "POST", "/v1/media/"+act+"/{mediaID}", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (httpx.Empty, error) {
			return httpx.Empty{}, d.Admin.Protect(ctx, c, p.Var("mediaID"), on)
		})
	}
	ofRoom(r, "GET", "/v1/room/{roomID}/media", func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
		local, remote, err := d.Admin.MediaIn(ctx, c, id)
		text := func(list []media.Address) []string {
			out := make([]string, len(list))
			for i, a := range list {
				out[i] = a.String()
			}
			return out
		}
		return map[string]any{"local": text(local), "remote": text(remote), "total": len(local)}, err
	})
	wholeRoom := func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (map[string]int64, error) {
		n, err := d.Admin.QuarantineRoom(ctx, c, id)
		return map[string]int64{"num_quarantined": n}, err
	}
	ofRoom(r, "POST", "/v1/room/{roomID}/media/quarantine", wholeRoom)
	ofRoom(r, "POST", "/v1/quarantine_media/{roomID}", wholeRoom)
	ofUser(r, "POST", "/v1/user/{userID}/media/quarantine",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (map[string]int64, error) {
			n, err := d.Admin.QuarantineUser(ctx, c, id)
			return map[string]int64{"num_quarantined": n}, err
		})
}
