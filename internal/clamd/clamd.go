// Package clamd speaks to ClamAV's daemon: it sends a stream and reads the verdict. It makes no connection by itself.
package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Client scans files. Each scan opens a connection of its own; scans may run concurrently.
type Client struct {
	// Dial opens a connection to the daemon.
	Dial func(ctx context.Context) (net.Conn, error)
	// Timeout bounds one scan; 0 means five minutes.
	Timeout time.Duration
}

const (
	usualTimeout = 5 * time.Minute
	chunkSize    = 64 << 10
	longestReply = 4 << 10
)

// ErrVerdict says that the daemon gave no verdict.
var ErrVerdict = errors.New("clamd: no verdict")

// Scan sends a file by INSTREAM and reports whether it is clean. Spec: clamd(8), INSTREAM
func (c *Client) Scan(ctx context.Context, file io.Reader) (bool, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = usualTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := c.Dial(ctx)
	if err != nil {
		return false, fmt.Errorf("clamd: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent, err := send(conn, file)
	if err != nil {
		return false, fmt.Errorf("clamd: read file: %w", err)
	}
	reply, err := bufio.NewReader(io.LimitReader(conn, longestReply)).ReadString(0)
	if err != nil && reply == "" { // Why the reply first: the daemon answers and closes before it has taken all of a long file
		return false, fmt.Errorf("clamd: %w", errors.Join(sent, err))
	}
	return verdict(strings.TrimRight(reply, "\x00\n"))
}

// send writes the command, then chunks with their lengths in front, and a length of zero. A file that cannot be read to
// its end is an error of its own: what was sent of it says nothing about the whole.
func send(w io.Writer, file io.Reader) (sent, unread error) {
	if _, err := io.WriteString(w, "zINSTREAM\x00"); err != nil {
		return err, nil
	}
	chunk := make([]byte, 4+chunkSize)
	for {
		n, err := io.ReadFull(file, chunk[4:])
		if n > 0 {
			binary.BigEndian.PutUint32(chunk, uint32(n))
			if _, err := w.Write(chunk[:4+n]); err != nil {
				return err, nil
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			_, err := w.Write([]byte{0, 0, 0, 0})
			return err, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// verdict reads "stream: OK", "stream: NAME FOUND" or an error.
func verdict(reply string) (bool, error) {
	switch {
	case reply == "stream: OK":
		return true, nil
	case strings.HasPrefix(reply, "stream: ") && strings.HasSuffix(reply, " FOUND"):
		return false, nil
	}
	return false, fmt.Errorf("%w: %q", ErrVerdict, reply)
}
