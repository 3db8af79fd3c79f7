// Package calls makes calls through the real binary: participants with real media over loopback, what ends their connections,
// and the end of the media process in the middle of a call.
package calls
