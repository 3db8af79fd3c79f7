package adminapi

import (
	"context"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type room struct {
	ID          matrix.RoomID `json:"room_id"`
	Name        *string       `json:"name"`
	Alias       *string       `json:"canonical_alias"`
	Joined      int64         `json:"joined_members"`
	JoinedLocal int64         `json:"joined_local_members"`
	Version     string        `json:"version"`
	Creator     string        `json:"creator"`
	Encryption  *string       `json:"encryption"`
	Federatable bool          `json:"federatable"`
	Public      bool          `json:"public"`
	JoinRules   *string       `json:"join_rules"`
	GuestAccess *string       `json:"guest_access"`
	Visibility  *string       `json:"history_visibility"`
	StateEvents int64         `json:"state_events"`
	Type        *string       `json:"room_type"`
}

func roomOf(r *admin.Room) room {
	return room{ID: r.ID, Name: nullable(r.Name), Alias: nullable(r.Alias), Joined: r.Joined, JoinedLocal: r.JoinedLocal, Version: r.Version,
		Creator: r.Creator, Encryption: nullable(r.Encryption), Federatable: r.Federatable, Public: r.Public, JoinRules: nullable(r.JoinRule),
		GuestAccess: nullable(r.GuestAccess), Visibility: nullable(r.Visibility), StateEvents: r.StateEvents, Type: nullable(r.Type)}
}

type roomsAnswer struct {
	Rooms     []room `json:"rooms"`
	Offset    int64  `json:"offset"`
	Total     int    `json:"total_rooms"`
	NextBatch *int64 `json:"next_batch,omitempty"`
	PrevBatch *int64 `json:"prev_batch,omitempty"`
}

type roomAnswer struct {
	room
	Avatar       *string        `json:"avatar"`
	Topic        *string        `json:"topic"`
	LocalDevices int64          `json:"joined_local_devices"`
	Forgotten    bool           `json:"forgotten"`
	Tombstoned   bool           `json:"tombstoned"`
	Replacement  *matrix.RoomID `json:"replacement_room"`
}

// roomRoutes adds the list of rooms, and what is said of one.
func roomRoutes(r *httpx.Router, d Deps) {
	handle(r, "GET", "/v1/rooms", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (out roomsAnswer, err error) {
		pg, err := page(p, "name", admin.KnowsRoomOrder)
		if err != nil {
			return out, err
		}
		f := admin.RoomFilter{Term: p.Query().Get("search_term")}
		if p.Query().Has("search_term") && f.Term == "" {
			return out, matrix.InvalidParam("search_term cannot be an empty string")
		}
		if f.Public, err = choice(p, "public_rooms"); err != nil {
			return out, err
		}
		if f.Empty, err = choice(p, "empty_rooms"); err != nil {
			return out, err
		}
		list, total, err := d.Admin.Rooms(ctx, c, f, pg)
		if err != nil {
			return out, err
		}
		out = roomsAnswer{Rooms: make([]room, len(list)), Offset: pg.From, Total: total, NextBatch: next(pg, len(list), int64(total))}
		for i := range list {
			out.Rooms[i] = roomOf(&list[i])
		}
		if pg.From > 0 {
			prev := max(0, pg.From-pg.Limit)
			out.PrevBatch = &prev
		}
		return out, nil
	})
	ofRoom(r, "GET", "/v1/rooms/{roomID}", func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (*roomAnswer, error) {
		v, err := d.Admin.RoomDetails(ctx, c, id)
		if err != nil {
			return nil, err
		}
		return &roomAnswer{room: roomOf(&v.Room), Avatar: nullable(v.Avatar), Topic: nullable(v.Topic), LocalDevices: v.LocalDevices,
			Forgotten: v.Forgotten, Tombstoned: v.Tombstoned, Replacement: nullable(v.Replacement)}, nil
	})
	ofRoom(r, "GET", "/v1/rooms/{roomID}/members",
		func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
			ids, err := d.Admin.Members(ctx, c, id)
			return map[string]any{"members": ids, "total": len(ids)}, err
		})
	handle(r, "GET", "/v1/rooms/{room}/forward_extremities",
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]any, error) {
			list, err := d.Admin.Extremities(ctx, c, p.Var("room"))
			out := []map[string]any{}
			for _, e := range list {
				out = append(out, map[string]any{"event_id": e.ID, "state_group": e.Row.Seq, "depth": e.Row.Depth, "received_ts": e.Row.TS})
			}
			return map[string]any{"count": len(out), "results": out}, err
		})
}

// roomActRoutes adds what is done with a room.
func roomActRoutes(r *httpx.Router, d Deps) {
	handle(r, "DELETE", "/v1/rooms/{room}/forward_extremities",
		func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (map[string]int, error) {
			n, err := d.Admin.JoinExtremities(ctx, c, p.Var("room"))
			return map[string]int{"deleted": n}, err
		})
	ofRoom(r, "GET", "/v1/rooms/{roomID}/block", func(ctx context.Context, _ matrix.Caller, id matrix.RoomID, _ httpx.Path, _ httpx.Empty) (map[string]any, error) {
		by, err := d.Admin.BlockedBy(ctx, id)
		if by == "" || err != nil {
			return map[string]any{"block": false}, err
		}
		return map[string]any{"block": true, "user_id": by}, nil
	})
	type block struct {
		Block *bool `json:"block"`
	}
	ofRoom(r, "PUT", "/v1/rooms/{roomID}/block", func(ctx context.Context, c matrix.Caller, id matrix.RoomID, _ httpx.Path, in block) (map[string]bool, error) {
		if in.Block == nil {
			return nil, matrix.MissingParam("Missing block")
		}
		return map[string]bool{"block": *in.Block}, d.Admin.Block(ctx, c, id, *in.Block)
	})
	type user struct {
		User matrix.UserID `json:"user_id"`
	}
	handle(r, "POST", "/v1/rooms/{room}/make_room_admin", func(ctx context.Context, c matrix.Caller, p httpx.Path, in user) (httpx.Empty, error) {
		return httpx.Empty{}, d.Admin.Empower(ctx, c, p.Var("room"), in.User)
	})
	handle(r, "POST", "/v1/join/{room}", func(ctx context.Context, c matrix.Caller, p httpx.Path, in user) (map[string]matrix.RoomID, error) {
		if in.User == "" {
			return nil, matrix.MissingParam("Missing user_id")
		}
		var via []matrix.ServerName
		for _, key := range [...]string{"server_name", "via"} {
			for _, name := range p.Query()[key] {
				via = append(via, matrix.ServerName(name))
			}
		}
		id, err := d.Admin.Join(ctx, c, p.Var("room"), in.User, via)
		return map[string]matrix.RoomID{"room_id": id}, err
	})
}
