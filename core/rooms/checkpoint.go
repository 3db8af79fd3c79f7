package rooms

import "rempart/storage"

// checkpointEvery is the number of versions between two folded copies of current state. The larger the state, the
// longer the way: so the copies never take more than the rows between them.
func checkpointEvery(size int) int64 {
	every := int64(1024)
	for every < int64(size)/8 {
		every *= 2
	}
	return every
}

// checkpoint adds a folded copy of current state where one is due.
func (b *builder) checkpoint() {
	if b.snap.seq%checkpointEvery(b.snap.state.size()) == 0 {
		b.change.Add(&storage.CheckpointRow{Room: b.r.nid, Seq: b.snap.seq, Pairs: b.snap.state.pairs()})
	}
}
