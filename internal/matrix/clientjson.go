package matrix

import "strconv"

// ClientJSON appends the event as clients get it, up to "unsigned": neither that nor the closing brace, so
// that the caller adds `,"unsigned":{...}}` or `}` for each recipient. A redaction carries "redacts" both in content
// and on top level, whatever its room version. Spec: client-server-api/#room-event-format, rooms/v11/#event-format
func (e *Event) ClientJSON(dst []byte, includeRoomID bool) []byte {
	dst = append(dst, `{"content":`...)
	dst = e.clientContent(dst)
	dst = AppendJSONString(append(dst, `,"event_id":`...), e.ID)
	if e.Sticky > 0 {
		dst = append(strconv.AppendInt(append(dst, `,"msc4354_sticky":{"duration_ms":`...), e.Sticky, 10), '}')
	}
	dst = strconv.AppendInt(append(dst, `,"origin_server_ts":`...), e.OriginServerTS, 10)
	if e.Redacts != "" {
		dst = AppendJSONString(append(dst, `,"redacts":`...), e.Redacts)
	}
	if includeRoomID {
		dst = AppendJSONString(append(dst, `,"room_id":`...), e.RoomID)
	}
	dst = AppendJSONString(append(dst, `,"sender":`...), e.Sender)
	if e.StateKey != nil {
		dst = AppendJSONString(append(dst, `,"state_key":`...), *e.StateKey)
	}
	return AppendJSONString(append(dst, `,"type":`...), e.Type)
}

func (e *Event) clientContent(dst []byte) []byte {
	if e.Redacts == "" || e.Version.RedactsInContent {
		return append(dst, e.Content...)
	}
	return append(dst, setMember(e.Content, []byte(`"redacts"`), AppendJSONString(nil, e.Redacts))...)
}

// StrippedJSON appends the event as stripped state: content, sender, state_key, type; a whole object.
// Spec: client-server-api/#stripped-state
func (e *Event) StrippedJSON(dst []byte) []byte {
	dst = append(append(dst, `{"content":`...), e.Content...)
	dst = AppendJSONString(append(dst, `,"sender":`...), e.Sender)
	key := ""
	if e.StateKey != nil {
		key = *e.StateKey
	}
	dst = AppendJSONString(append(dst, `,"state_key":`...), key)
	dst = AppendJSONString(append(dst, `,"type":`...), e.Type)
	return append(dst, '}')
}
