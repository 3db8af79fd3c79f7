// Package media is the media server: LiveKit, wired by hand from its parts, and a TURN server, both in a process of their own
// of the same binary, so that whatever happens to them never touches chat.
//
// Two processes meet here. [Process] is the parent's side: it starts the child, gives it its [Settings] on standard input,
// starts it again when it ends, and speaks with it over a unix socket in the data folder. [Run] is the child: it ends
// when its standard input does, that is with its parent. [External] is a media server that somebody else runs. Nothing above
// knows which of them it has: they are all sfu.Backend. No other package knows LiveKit or pion.
package media
