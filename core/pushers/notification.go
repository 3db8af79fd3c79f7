package pushers

import (
	"encoding/json"
	"maps"

	"rempart/core/push"
	"rempart/internal/matrix"
	"rempart/storage"
)

// notification is what a gateway is told. Spec: push-gateway-api/#post_matrixpushv1notify
type notification struct {
	event  *matrix.Event // nil: only the count
	room   matrix.RoomID
	user   matrix.UserID
	tweaks map[string]json.RawMessage
	unread int64
	// full admits what the event says, for pushers that ask for it.
	full                    bool
	sender, roomName, alias string
}

// take takes over the tweaks of a rule.
func (n *notification) take(notice push.Notice) { n.tweaks = maps.Clone(notice.Tweaks) }

// mention presents the event as the default rule for mentions does: its name in the text, or a rule that is gone by now, has
// made it a mention.
func (n *notification) mention() {
	if n.tweaks == nil {
		n.tweaks = map[string]json.RawMessage{}
	}
	n.tweaks["highlight"] = json.RawMessage("true")
	if n.tweaks["sound"] == nil {
		n.tweaks["sound"] = json.RawMessage(`"default"`)
	}
}

// text reads the name or alias of a room.
func (p present) text(typ string) string {
	e := p.Event(matrix.StateTuple{Type: typ})
	if e == nil {
		return ""
	}
	var c struct {
		Name  string `json:"name"`
		Alias string `json:"alias"`
	}
	_ = matrix.Decode(e.Content, &c) // a broken name is no name
	return c.Name + c.Alias
}

// priority is high for what makes a sound or highlights, for invitations and calls, and for what is encrypted: whether that is urgent,
// only the device can tell.
func (n *notification) priority() string {
	if n.event == nil {
		return "low"
	}
	h, highlighted := n.tweaks["highlight"]
	if n.event.Type == "m.room.encrypted" || n.event.Type == "m.room.member" || n.tweaks["sound"] != nil || highlighted && string(h) != "false" {
		return "high"
	}
	return "low"
}

// device is the one that a pusher stands for.
type device struct {
	AppID   string                     `json:"app_id"`
	PushKey string                     `json:"pushkey"`
	TS      int64                      `json:"pushkey_ts"`
	Data    map[string]json.RawMessage `json:"data"`
	Tweaks  map[string]json.RawMessage `json:"tweaks,omitempty"`
}

type counts struct {
	Unread int64 `json:"unread,omitempty"`
}

// body is the notification as gateways read it.
type body struct {
	EventID    matrix.EventID  `json:"event_id,omitempty"`
	RoomID     matrix.RoomID   `json:"room_id,omitempty"`
	Type       string          `json:"type,omitempty"`
	Sender     matrix.UserID   `json:"sender,omitempty"`
	SenderName string          `json:"sender_display_name,omitempty"`
	RoomName   string          `json:"room_name,omitempty"`
	RoomAlias  string          `json:"room_alias,omitempty"`
	Target     bool            `json:"user_is_target,omitempty"`
	Content    json.RawMessage `json:"content,omitempty"`
	Priority   string          `json:"prio"`
	Counts     counts          `json:"counts"`
	Devices    []device        `json:"devices"`
}

// json is the request for a pusher: the pusher's data is passed on without the url.
func (n *notification) json(row *storage.Pusher) []byte {
	to := device{AppID: row.AppID, PushKey: row.PushKey, TS: row.SetAt / 1000, Data: map[string]json.RawMessage{}}
	_ = matrix.Decode(row.Data, &to.Data) // it was checked when it was set
	delete(to.Data, "url")
	b := body{Priority: n.priority(), Counts: counts{n.unread}}
	if n.event != nil {
		b.EventID, b.RoomID = n.event.ID, n.room
		if n.full && string(to.Data["format"]) != `"event_id_only"` {
			to.Tweaks = n.tweaks
			n.fill(&b)
		}
	}
	b.Devices = []device{to}
	raw, _ := json.Marshal(map[string]body{"notification": b}) // every part is JSON already, or text
	return raw
}

// fill adds what the event says.
func (n *notification) fill(b *body) {
	b.Type, b.Sender, b.SenderName, b.RoomName, b.RoomAlias = n.event.Type, n.event.Sender, n.sender, n.roomName, n.alias
	b.Content = json.RawMessage(n.event.Content)
	b.Target = n.event.Type == "m.room.member" && n.event.StateKeyEquals(string(n.user))
}
