package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"rempart/core/admin"
	"rempart/core/users"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

type listedUser struct {
	Name         matrix.UserID `json:"name"`
	UserType     *string       `json:"user_type"`
	IsGuest      bool          `json:"is_guest"`
	Admin        bool          `json:"admin"`
	Deactivated  bool          `json:"deactivated"`
	Erased       bool          `json:"erased"`
	ShadowBanned bool          `json:"shadow_banned"`
	Locked       bool          `json:"locked"`
	Suspended    bool          `json:"suspended"`
	DisplayName  *string       `json:"displayname"`
	AvatarURL    *string       `json:"avatar_url"`
	CreationTS   int64         `json:"creation_ts"`
	LastSeenTS   *int64        `json:"last_seen_ts"`
	AppserviceID *string       `json:"appservice_id"`
}

func listed(u admin.ListedUser) listedUser {
	m := admin.MarksOf(u.Flags)
	out := listedUser{Name: u.ID, UserType: nullable(u.Type), IsGuest: m.Guest, Admin: m.Admin, Deactivated: m.Deactivated, Erased: m.Erased,
		ShadowBanned: m.ShadowBanned, Locked: m.Locked, Suspended: m.Suspended, DisplayName: nullable(u.DisplayName),
		AvatarURL: nullable(u.AvatarURL), CreationTS: u.Created, AppserviceID: nullable(u.Appservice)}
	if u.LastSeen != 0 {
		out.LastSeenTS = &u.LastSeen
	}
	return out
}

type usersAnswer struct {
	Users     []listedUser `json:"users"`
	NextToken *string      `json:"next_token,omitempty"`
	Total     int64        `json:"total"`
}

type threepid struct {
	Medium    string `json:"medium"`
	Address   string `json:"address"`
	AddedAt   int64  `json:"added_at,omitempty"`
	Validated int64  `json:"validated_at,omitempty"`
}

type externalID struct {
	Provider string `json:"auth_provider"`
	ID       string `json:"external_id"`
}

type userAnswer struct {
	listedUser
	Threepids   []threepid   `json:"threepids"`
	ExternalIDs []externalID `json:"external_ids"`
	// What this server has no notion of.
	NoticeSent     *string `json:"consent_server_notice_sent"`
	ConsentVersion *string `json:"consent_version"`
	ConsentTS      *int64  `json:"consent_ts"`
}

// userRoutes adds the list of accounts, and reading, making and changing one.
func userRoutes(r *httpx.Router, d Deps) {
	handle(r, "GET", "/v2/users", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (usersAnswer, error) {
		return listUsers(ctx, d, c, p, false)
	})
	handle(r, "GET", "/v3/users", func(ctx context.Context, c matrix.Caller, p httpx.Path, _ httpx.Empty) (usersAnswer, error) {
		return listUsers(ctx, d, c, p, true)
	})
	ofUser(r, "GET", "/v2/users/{userID}",
		func(ctx context.Context, c matrix.Caller, id matrix.UserID, _ httpx.Path, _ httpx.Empty) (*userAnswer, error) {
			return showUser(ctx, d, c, id)
		})
	// Why raw: a new account is answered by 201.
	httpx.HandleRaw(r, "PUT", prefix+"/v2/users/{userID}", httpx.Route{Access: httpx.Admin},
		func(w http.ResponseWriter, req *http.Request, c matrix.Caller, p httpx.Path) error {
			id, err := p.UserID()
			if err != nil {
				return err
			}
			var in map[string]json.RawMessage
			if err := httpx.DecodeJSON(w, req, httpx.DefaultMaxBody, &in); err != nil {
				return err
			}
			change, err := accountOf(in)
			if err != nil {
				return err
			}
			created, err := d.Users.Manage(req.Context(), c, id, change)
			if err != nil {
				return err
			}
			out, err := showUser(req.Context(), d, c, id)
			if err != nil {
				return err
			}
			body, err := json.Marshal(out)
			if err != nil {
				return err
			}
			status := http.StatusOK
			if created {
				status = http.StatusCreated
			}
			httpx.WriteJSON(w, status, body)
			return nil
		})
}

// listUsers lists accounts. The older list knows "deactivated" only as a wish to see those too.
func listUsers(ctx context.Context, d Deps, c matrix.Caller, p httpx.Path, tristate bool) (out usersAnswer, err error) {
	pg, err := page(p, "name", admin.KnowsUserOrder)
	if err != nil {
		return out, err
	}
	f := admin.UserFilter{ID: p.Query().Get("user_id"), Name: p.Query().Get("name"), NotTypes: p.Query()["not_user_type"]}
	for name, to := range map[string]**bool{"guests": &f.Guests, "admins": &f.Admins, "deactivated": &f.Deactivated, "locked": &f.Locked,
		"suspended": &f.Suspended, "shadow_banned": &f.Shadow} {
		if *to, err = choice(p, name); err != nil {
			return out, err
		}
	}
	// Why: these two say whether such accounts are to be seen too, not whether they are to be seen alone.
	f.Guests, f.Locked = orAll(f.Guests, true), orAll(f.Locked, false)
	if !tristate {
		f.Deactivated = orAll(f.Deactivated, false)
	}
	list, total, err := d.Admin.Users(ctx, c, f, pg)
	if err != nil {
		return out, err
	}
	out.Users, out.Total = make([]listedUser, len(list)), total
	for i, u := range list {
		out.Users[i] = listed(u)
	}
	if n := next(pg, len(list), total); n != nil {
		text := strconv.FormatInt(*n, 10)
		out.NextToken = &text
	}
	return out, nil
}

// orAll turns "see them too" into a condition: true asks for nothing, false leaves them out.
func orAll(too *bool, def bool) *bool {
	if too == nil && def || too != nil && *too {
		return nil
	}
	return new(bool)
}

func showUser(ctx context.Context, d Deps, c matrix.Caller, id matrix.UserID) (*userAnswer, error) {
	a, err := d.Admin.Account(ctx, c, id)
	if err != nil {
		return nil, err
	}
	out := &userAnswer{Threepids: []threepid{}, ExternalIDs: []externalID{}, listedUser: listed(admin.ListedUser{ID: a.ID, Flags: a.Flags,
		Created: a.Created, DisplayName: a.DisplayName, AvatarURL: a.AvatarURL, Type: a.Type, Appservice: a.Appservice, LastSeen: a.LastSeen})}
	out.CreationTS /= 1000 // Why: of one account interfaces expect seconds, in lists milliseconds
	for _, t := range a.Threepids {
		out.Threepids = append(out.Threepids, threepid{t.Medium, t.Address, t.Added, t.Validated})
	}
	for _, e := range a.ExternalIDs {
		out.ExternalIDs = append(out.ExternalIDs, externalID{e.Provider, e.ID})
	}
	return out, nil
}

// accountOf reads what is to be changed of an account: keys that are absent stay as they are, as do those that are null, save for
// the user type, which null clears.
func accountOf(in map[string]json.RawMessage) (a users.Account, err error) {
	var threepids *[]threepid
	var external *[]externalID
	var logout *bool
	for key, to := range map[string]any{"password": &a.Password, "displayname": &a.DisplayName, "avatar_url": &a.AvatarURL,
		"user_type": &a.Type, "admin": &a.Admin, "deactivated": &a.Deactivated, "locked": &a.Locked, "threepids": &threepids,
		"external_ids": &external, "logout_devices": &logout} {
		raw, ok := in[key]
		if !ok {
			continue
		}
		if key == "user_type" && string(raw) == "null" {
			a.Type = new(string)
			continue
		}
		if matrix.Decode(raw, to) != nil {
			return a, matrix.BadJSON("The field " + strconv.Quote(key) + " has the wrong type.")
		}
	}
	a.KeepSessions = logout != nil && !*logout
	if threepids != nil {
		a.Threepids = &[]users.ThreepidOf{}
		for _, t := range *threepids {
			*a.Threepids = append(*a.Threepids, users.ThreepidOf{Medium: t.Medium, Address: t.Address})
		}
	}
	if external != nil {
		a.ExternalIDs = &[]users.ExternalID{}
		for _, e := range *external {
			*a.ExternalIDs = append(*a.ExternalIDs, users.ExternalID{Provider: e.Provider, ID: e.ID})
		}
	}
	return a, nil
}
