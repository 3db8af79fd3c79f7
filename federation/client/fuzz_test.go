package client

import (
	"io"
	"strings"
	"testing"
)

// Whatever an answer in parts looks like, it is read without panic, and its content is no larger than the answer.
func FuzzParts(f *testing.F) {
	f.Add("multipart/mixed; boundary=b", "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: image/png\r\n\r\nxyz\r\n--b--\r\n")
	f.Add("multipart/mixed; boundary=b", "--b\n\n{}\n--b\nLocation: https://x/\n\n\n--b--")
	f.Add("multipart/form-data; boundary=\"\"", "--")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		file, location, err := openParts(contentType, io.NopCloser(strings.NewReader(body)))
		if err != nil || location != "" {
			return
		}
		content, _ := io.ReadAll(file.Content)
		if len(content) > len(body) {
			t.Errorf("%d bytes out of %d", len(content), len(body))
		}
	})
}
