package matrix

import (
	"strings"
	"testing"
)

// What others sent may count 255 characters up to version 10; from version 11 on, and in what is built here, it is 255 bytes.
func TestSizesInCharactersAndBytes(t *testing.T) {
	wide := strings.Repeat("\U0001F4A5", 70) // 280 bytes
	for _, v := range Versions() {
		old := !v.ImplicitRoomCreator
		if err := v.checkPeerSizes("t", &wide); (err == nil) != old {
			t.Errorf("version %s, key of 280 bytes from elsewhere: %v", v.ID, err)
		}
		if err := v.checkPeerSizes(wide, nil); (err == nil) != old {
			t.Errorf("version %s, type of 280 bytes from elsewhere: %v", v.ID, err)
		}
		if long := strings.Repeat("x", 256); v.checkPeerSizes("t", &long) == nil || v.checkPeerSizes(long, nil) == nil {
			t.Errorf("version %s takes 256 characters", v.ID)
		}
	}
	if checkSizes("t", &wide) == nil || checkSizes(wide, nil) == nil {
		t.Error("280 bytes are built")
	}
}
