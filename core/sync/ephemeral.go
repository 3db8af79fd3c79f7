package sync

import (
	"strconv"

	"rempart/internal/matrix"
	"rempart/storage"
)

// writeEphemeral writes who types and which receipts moved, and reports whether there was any.
func (b *build) writeEphemeral(v *roomView) (bool, error) {
	b.out = append(b.out, `"ephemeral":{"events":[`...)
	empty := len(b.out)
	f := b.f.Room.Ephemeral
	wanted := func(typ string) bool { return f == nil || f.MatchType(typ) && f.MatchRoom(v.r.ID()) }
	// Why to who has come back too, where somebody once typed: he may have seen that before he left.
	if (!b.initial && (v.typed > b.from.Ephemeral || v.newly && v.typed > 0) || len(v.typists) > 0) && wanted("m.typing") {
		b.writeTyping(v)
	}
	if wanted("m.receipt") {
		if err := b.writeReceipts(v); err != nil {
			return false, err
		}
	}
	found := len(b.out) > empty
	b.endList()
	b.out = append(b.out, `},`...)
	return found, nil
}

// writeTyping writes m.typing without those whom the user ignores.
func (b *build) writeTyping(v *roomView) {
	b.out = append(b.out, `{"type":"m.typing","content":{"user_ids":[`...)
	for _, user := range v.typists {
		if !b.ignored[user] && b.hears(user, eduTyping) {
			b.out = append(matrix.AppendJSONString(b.out, user), ',')
		}
	}
	b.endList()
	b.out = append(b.out, `}},`...)
}

// writeReceipts writes the receipts that moved since the token in one event; private ones are for their owner only.
func (b *build) writeReceipts(v *roomView) error {
	after := b.from.Pos
	if v.newly {
		after = 0
	}
	if after > 0 && v.receipts <= after {
		return nil
	}
	rows, err := b.movedReceipts(v.room, after)
	if err != nil {
		return err
	}
	return b.writeReceiptRows(rows)
}

func (b *build) writeReceiptRows(rows []storage.ReceiptRow) error {
	events := map[matrix.EventID]map[string]map[int64]storage.ReceiptRow{}
	var order []matrix.EventID
	for _, r := range rows {
		if r.Type != readPublic && (r.Type != readPrivate || r.User != b.u.nid) {
			continue
		}
		types := events[r.EventID]
		if types == nil {
			types = map[string]map[int64]storage.ReceiptRow{}
			events[r.EventID] = types
			order = append(order, r.EventID)
		}
		if types[r.Type] == nil {
			types[r.Type] = map[int64]storage.ReceiptRow{}
		}
		// Why: one event has one place for each user and type; the unthreaded receipt says more. MSC4102
		if old, ok := types[r.Type][r.User]; !ok || old.Thread != "" {
			types[r.Type][r.User] = r
		}
	}
	if len(order) == 0 {
		return nil
	}
	b.out = append(b.out, `{"type":"m.receipt","content":{`...)
	for _, id := range order {
		b.out = append(matrix.AppendJSONString(b.out, id), `:{`...)
		if err := b.writeReceiptTypes(events[id]); err != nil {
			return err
		}
		b.closeObject()
	}
	b.closeObject()
	b.out[len(b.out)-1] = '}'
	b.out = append(b.out, ',')
	return nil
}

func (b *build) writeReceiptTypes(types map[string]map[int64]storage.ReceiptRow) error {
	for _, typ := range [...]string{readPublic, readPrivate} {
		if types[typ] == nil {
			continue
		}
		b.out = append(matrix.AppendJSONString(b.out, typ), `:{`...)
		for nid, r := range types[typ] {
			user, err := b.s.db.GetUserID(b.ctx, nid)
			if err != nil {
				return err
			}
			if !b.hears(user, eduReceipt) {
				continue
			}
			b.out = append(matrix.AppendJSONString(b.out, user), `:{"ts":`...)
			b.out = strconv.AppendInt(b.out, r.TS, 10)
			if r.Thread != "" {
				b.out = matrix.AppendJSONString(append(b.out, `,"thread_id":`...), r.Thread)
			}
			b.out = append(b.out, `},`...)
		}
		b.closeObject()
	}
	return nil
}

// closeObject takes back the comma behind the last member, closes the object and writes a comma behind it.
func (b *build) closeObject() {
	if b.out[len(b.out)-1] == ',' {
		b.out[len(b.out)-1] = '}'
	} else {
		b.out = append(b.out, '}')
	}
	b.out = append(b.out, ',')
}
