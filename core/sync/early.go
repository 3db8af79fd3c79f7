package sync

import "rempart/storage"

// earlyReads are the user's own rows about several rooms, read at once for an answer that begins with these rooms.
type earlyReads struct {
	receipts map[int64][]storage.ReceiptRow
	account  map[int64][]storage.AccountData
	known    map[int64]bool
}

// readEarly reads the rows about rooms.
func (b *build) readEarly(in []int64) error {
	if len(in) < 2 {
		return nil
	}
	r := &earlyReads{known: make(map[int64]bool, len(in))}
	var err error
	if r.receipts, err = b.s.db.ListReceiptsOfIn(b.ctx, b.u.nid, in); err != nil {
		return err
	}
	if r.account, err = b.s.db.ListAccountDataIn(b.ctx, b.u.nid, in); err != nil {
		return err
	}
	for _, room := range in {
		r.known[room] = true
	}
	b.early = r
	return nil
}

// ownReceipts are all receipts of the user in a room.
func (b *build) ownReceipts(room int64) ([]storage.ReceiptRow, error) {
	if b.early != nil && b.early.known[room] {
		return b.early.receipts[room], nil
	}
	return b.s.db.ListReceiptsOf(b.ctx, room, b.u.nid)
}

// ownData is the user's data for a room.
func (b *build) ownData(room int64) ([]storage.AccountData, error) {
	if b.early != nil && b.early.known[room] {
		return b.early.account[room], nil
	}
	return b.s.db.ListRoomAccountData(b.ctx, b.u.nid, room)
}
