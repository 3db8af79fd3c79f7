// Package clock is a clock for tests: it stands still and is moved by hand.
package clock

import (
	"sync/atomic"
	"time"
)

// Clock shows a time to the millisecond, at first 1970. Its methods may be called concurrently.
type Clock struct{ ms atomic.Int64 }

// Set moves it to a time.
func (c *Clock) Set(to time.Time) { c.ms.Store(to.UnixMilli()) }

// Advance moves it on.
func (c *Clock) Advance(by time.Duration) { c.ms.Add(by.Milliseconds()) }

// Now is what it shows.
func (c *Clock) Now() time.Time { return time.UnixMilli(c.ms.Load()) }
