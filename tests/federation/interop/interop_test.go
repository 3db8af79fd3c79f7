package interop

import (
	"testing"
)

// scene is one story between people of two servers; the room is the host's.
type scene struct {
	name string
	play func(t *testing.T, version string, host, guest *side)
}

var scenes = []scene{
	{"talk", talkInARoom},
	{"opening", openingState},
	{"invite", inviteAcceptLeave},
	{"reject", rejectInvite},
	{"withdraw", withdrawInvite},
	{"kick", kickAndReturn},
	{"ban", banAndForgive},
	{"knock", knockAndEnter},
	{"restricted", restrictedJoin},
	{"upgrade", upgrade},
	{"picture", picture},
	{"redact", redact},
	{"ephemeral", typingAndReceipts},
	{"people", profilesAndAliases},
	{"history", historyOfBefore},
}

// Every scene is played both ways, in each room version that both servers know.
func TestAnotherServer(t *testing.T) {
	w := newWorld(t)
	for _, s := range scenes {
		for _, version := range w.versions {
			for _, d := range [][2]*side{{w.ours, w.theirs}, {w.theirs, w.ours}} {
				t.Run(s.name+"/v"+version+"/"+d[0].kind+" hosts", func(t *testing.T) { s.play(t, version, d[0], d[1]) })
			}
		}
	}
	for _, version := range w.versions {
		t.Run("partition/v"+version, func(t *testing.T) { partition(t, w, version) })
		for _, d := range [][2]*side{{w.ours, w.theirs}, {w.theirs, w.ours}} {
			t.Run("restart/v"+version+"/"+d[0].kind+" hosts", func(t *testing.T) { restarts(t, version, d[0], d[1]) })
			t.Run("outage/v"+version+"/"+d[0].kind+" is away", func(t *testing.T) { outage(t, version, d[0], d[1]) })
		}
	}
}
