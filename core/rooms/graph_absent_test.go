package rooms_test

import (
	"testing"

	"rempart/internal/matrix"
)

// Rooms in which a key that nobody has used yet, and that was asked for, is first set on a branch.
func TestKeyFirstSetOnABranch(t *testing.T) {
	for version, seed := range map[string]int{"4": 250, "6": 8257, "7": 7753, "12": 5750} {
		v, _ := matrix.Version(version)
		if !checkSeed(t, newRig(t, memoryURL(t), nil), v, seed) {
			t.Errorf("version %s, seed %d", version, seed)
		}
	}
}
