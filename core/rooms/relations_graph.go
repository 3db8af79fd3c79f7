package rooms

import (
	"bytes"

	"rempart/internal/matrix"
	"rempart/storage"
)

// relation is what an event says of another. Spec: client-server-api/#forming-relationships-between-events
type relation struct {
	RelType string         `json:"rel_type"`
	EventID matrix.EventID `json:"event_id"`
	// Key is what an annotation says.
	Key string `json:"key"`
}

// relationIn reads the relation of a content; false when there is none.
func relationIn(content []byte) (relation, bool) {
	if !bytes.Contains(content, []byte(`"m.relates_to"`)) {
		return relation{}, false
	}
	var c struct {
		Relation relation `json:"m.relates_to"`
	}
	if matrix.Decode(content, &c) != nil || c.Relation.RelType == "" || c.Relation.EventID == "" {
		return relation{}, false
	}
	return c.Relation, true
}

// relate notes to which event a message relates.
func (b *builder) relate(e *Stored) {
	if r, ok := relationIn(e.Content); ok {
		b.change.Add(&storage.RelationRow{At: storage.At{Live: e.Row.Live}, Target: matrix.HashID(r.EventID), Event: e.Row.NID,
			Room: b.r.nid, RelType: r.RelType, Type: e.Type, Sender: e.Row.Sender})
	}
}
