package rooms

// Yields reports whether a write here waits for another node's turn.
func (r *Room) Yields() bool {
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	return r.turns.changed != nil
}
