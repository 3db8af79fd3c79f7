// Package users owns accounts: who exists, how he proves it, his sessions, profile, account data and filters.
//
// It is called by the entrances. It answers refusals as *matrix.Error, never reveals which part of a log-in was wrong,
// and keeps of a token only its hash. It knows nothing of routes or configuration; rooms hear of a changed profile
// through core/rooms.
package users
