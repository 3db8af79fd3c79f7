package main

import (
	"fmt"
	"net/url"

	"rempart/internal/matrix"
)

// request is one that is measured. before is a request that is made before each, as what it tells of must be new.
type request struct {
	name, method, path, body string
	account                  int
	at                       int // so many at once; 0: one
	before                   *request
}

// requests are all that are measured, in their order.
func requests(in *installation) []request {
	return append(forAdministrators(in), forUsers(in)...)
}

func forAdministrators(in *installation) []request {
	const admin = "/_synapse/admin"
	hall := url.PathEscape(string(in.Hall))
	get := func(name, path string) request {
		return request{name: "admin: " + name, method: "GET", path: admin + path}
	}
	whole := get("state of the large room", "/v1/rooms/"+hall+"/state")
	four := whole
	four.name, four.at = whole.name+", four at once", 4
	return []request{
		get("rooms by name", "/v1/rooms"),
		get("rooms by name, page 50", "/v1/rooms?from=5000"),
		get("rooms by size", "/v1/rooms?order_by=joined_members"),
		get("rooms by local members", "/v1/rooms?order_by=joined_local_members"),
		get("rooms by pieces of state", "/v1/rooms?order_by=state_events"),
		get("rooms by alias", "/v1/rooms?order_by=canonical_alias"),
		get("rooms by creator", "/v1/rooms?order_by=creator"),
		get("rooms with a term that 1 in 97 has", "/v1/rooms?search_term=service+42"),
		get("rooms with a term that none has", "/v1/rooms?search_term=nobody+has+this"),
		get("empty rooms", "/v1/rooms?empty_rooms=true"),
		get("one room", "/v1/rooms/"+url.PathEscape(string(in.Room))),
		get("the large room", "/v1/rooms/"+hall),
		get("users", "/v2/users?from=0&limit=10"),
		get("users by last use", "/v3/users?from=0&limit=10&order_by=last_seen_ts"),
		get("users with a term", "/v3/users?from=0&limit=10&name=durand49"),
		get("media by user", "/v1/statistics/users/media"),
		get("media by user, by size", "/v1/statistics/users/media?order_by=media_length&dir=b"),
		get("media by user, with a term", "/v1/statistics/users/media?search_term=durand49"),
		get("largest rooms", "/v1/statistics/database/rooms"),
		get("media of the large room", "/v1/room/"+hall+"/media"),
		get("destinations", "/v1/federation/destinations"),
		get("rooms with a destination", "/v1/federation/destinations/s1.example/rooms"),
		get("members of the large room", "/v1/rooms/"+hall+"/members"),
		whole, four,
	}
}

func forUsers(in *installation) []request {
	const client = "/_matrix/client/v3"
	hall := client + "/rooms/" + url.PathEscape(string(in.Hall))
	get := func(name, path string) request { return request{name: name, method: "GET", path: path, account: 1} }
	together := func(r request) request {
		r.name, r.at = r.name+", four at once", 4
		return r
	}
	search := func(name, term string) request {
		return request{name: "people: " + name, method: "POST", path: client + "/user_directory/search",
			body: fmt.Sprintf(`{"search_term":%q,"limit":50}`, term), account: 1}
	}
	folk := in.Sizes.Accounts - 1
	sync := client + "/sync?timeout=0&filter=" + url.QueryEscape(`{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}`)
	members, joined, state := get("/members of the large room", hall+"/members"), get("/joined_members", hall+"/joined_members"), get("/state", hall+"/state")
	first := get(fmt.Sprintf("/sync: first, %d rooms", in.Sizes.Busy), sync)
	news := get("/sync: one message", sync)
	news.before = &request{method: "PUT", path: hall + "/send/m.room.message/{txn}", body: `{"msgtype":"m.text","body":"news"}`, account: 1}
	changes := get("/keys/changes, all of the large room changed", fmt.Sprintf("%s/keys/changes?from=%s&to=%s", client,
		matrix.SyncToken{Epoch: 1, Pos: in.Before}, matrix.SyncToken{Epoch: 1, Pos: in.Before + int64(in.Sizes.Accounts)}))
	return []request{
		members, together(members), joined, together(joined), state, together(state),
		get("/messages of the large room", hall+"/messages?dir=b&limit=50"),
		get("/context in the large room", hall+"/context/"+url.PathEscape(string(in.Event))+"?limit=50"),
		get("/context, members loaded lazily", hall+"/context/"+url.PathEscape(string(in.Event))+"?limit=50&filter="+url.QueryEscape(`{"lazy_load_members":true}`)),
		get("/notifications", client+"/notifications"),
		get("/notifications: highlights", client+"/notifications?only=highlight"),
		search("that nobody is", "zebulon"), search("one of 50,000", "@user4711:localhost"), search("150 have", "anne471"), search("all have", "anne"),
		{name: "people: all have, by who is in few rooms", method: "POST", path: client + "/user_directory/search", body: `{"search_term":"anne"}`, account: folk},
		changes,
		get("/publicRooms", client+"/publicRooms?limit=50"),
		{name: "/publicRooms with a term", method: "POST", path: client + "/publicRooms", body: `{"limit":50,"filter":{"generic_search_term":"service 42"}}`, account: 1},
		get("/hierarchy of the space", "/_matrix/client/v1/rooms/"+url.PathEscape(string(in.Space))+"/hierarchy?limit=1000"),
		get("/joined_rooms", client+"/joined_rooms"),
		first, news,
	}
}
