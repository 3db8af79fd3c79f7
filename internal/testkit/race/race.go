// Package race tells tests whether they are built with the race detector, under which everything takes ten times as long. What is
// repeated for other reasons than races may then be repeated less often.
package race
