package media

import (
	"fmt"
	"io"
	"net/http"

	"rempart/internal/matrix"
)

// bounded reads an upload up to its largest size, and keeps the sender's failures apart from those of the disk.
type bounded struct {
	r    io.Reader
	left int64
	max  int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.err = tooLarge(b.max)
		return 0, b.err
	}
	if err != nil && err != io.EOF { //nolint:errorlint // Why: only the plain end of file ends a stream well
		b.err = matrix.NewError(http.StatusBadRequest, matrix.CodeUnknown, "The upload ended before it was complete.").Wrap(err)
		return n, b.err
	}
	return n, err
}

// tooLarge is 413 M_TOO_LARGE. Spec: client-server-api/#content-repo-security-considerations
func tooLarge(limit int64) *matrix.Error {
	return matrix.TooLarge(fmt.Sprintf("The file is larger than %d bytes, the most that this server takes.", limit))
}
