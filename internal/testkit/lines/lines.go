// Package lines keeps what a process or a logger writes, while a test reads it.
package lines

import (
	"bytes"
	"strings"
	"sync"
)

// Buffer takes what is written. Its zero value is empty; its methods may be called concurrently.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write takes more.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Tail is the end of it, n bytes at most.
func (b *Buffer) Tail(n int) string {
	text := b.String()
	return text[max(0, len(text)-n):]
}

// Say reports whether a text was written.
func (b *Buffer) Say(what string) bool { return strings.Contains(b.String(), what) }
