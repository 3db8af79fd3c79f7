// Package search finds events by their words in the rooms of whoever searches. It reads the index that rooms write with
// each event, and shows nothing that its reader could not see in the room itself: not even in a count.
//
// The client-server API calls it. It never writes.
package search
