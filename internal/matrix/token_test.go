package matrix

import "testing"

func TestTokensRoundTrip(t *testing.T) {
	want := SyncToken{Epoch: 3, Pos: 1 << 40, ToDevice: 7, Ephemeral: 0}
	got, err := ParseSyncToken(want.String())
	if err != nil || got != want {
		t.Fatalf("ParseSyncToken(%q) = %+v, %v", want.String(), got, err)
	}
	for _, page := range []PageToken{LivePage(0), LivePage(12), HistoryPage(5, 9), HistoryEnd()} {
		got, err := ParsePageToken(page.String())
		if err != nil || got != page {
			t.Errorf("ParsePageToken(%q) = %+v, %v", page.String(), got, err)
		}
	}
	if page, err := ParsePageToken(want.String()); err != nil || page != LivePage(1<<40) {
		t.Errorf("a sync token as page: %+v, %v", page, err)
	}
	sliding := SlidingToken{Epoch: 3, Pos: 1 << 40, Ephemeral: 5, Life: 1 << 52, Answer: 9}
	if got, err := ParseSlidingToken(sliding.String()); err != nil || got != sliding {
		t.Errorf("ParseSlidingToken(%q) = %+v, %v", sliding.String(), got, err)
	}
	if page, err := ParsePageToken(sliding.String()); err != nil || page != LivePage(1<<40) {
		t.Errorf("a place on a connection as page: %+v, %v", page, err)
	}
	if _, err := ParseSlidingToken(want.String()); !HasCode(err, CodeUnknownPos) {
		t.Errorf("a sync token as place on a connection: %v", err)
	}
}

func TestTokensRefused(t *testing.T) {
	for _, s := range []string{"", "s", "s1_2_3", "s1_2_3_4_5", "s1_-2_3_4", "t", "tx", "h1", "h1_2_3", "s1_2_3_99999999999999999999", "s72594_4483_1934"} {
		if _, err := ParseSyncToken(s); err == nil {
			t.Errorf("ParseSyncToken(%q) was accepted", s)
		}
		if _, err := ParsePageToken(s); err == nil {
			t.Errorf("ParsePageToken(%q) was accepted", s)
		}
	}
}
