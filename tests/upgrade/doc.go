// Package upgrade starts the server on data that an older one has left, on both engines, and asks whether everything is still there.
//
// What an older server left is in testdata, a data folder in a tar for each engine, with what its clients had been told (told.json). Another one is
// made by the server of that time, and committed with its first release:
//
//	REMPART_OLD=/path/to/the/older/rempart REMPART_OLD_NAME=0.2.0 go test ./tests/upgrade -run TestMakeOldData
package upgrade
