package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rempart/internal/egress"
	"rempart/internal/matrix"
)

// File is content of another server on its way here. Whoever gets it closes Content, whose reads end at the size that was
// allowed with an error.
type File struct {
	Type, Name string
	Content    io.ReadCloser
}

// Bounds of media.
const (
	mediaTime = 10 * time.Minute
	mediaMore = 1 << 20 // what may surround the content
)

// Download fetches media of at most limit bytes. Servers from before v1.11 are asked by the old operation.
// Spec: server-server-api/#get_matrixfederationv1mediadownloadmediaid
func (c *Client) Download(ctx context.Context, from, to matrix.ServerName, id string, limit int64) (*File, error) {
	f, err := c.media(ctx, from, to, path(v1+"media/download", id), limit)
	if e, ok := AsRemote(err); ok && unknownOperation(e) {
		q := get(path("/_matrix/media/v3/download", string(to), id) + "?allow_remote=false")
		q.unsigned = true
		return c.plainMedia(ctx, to, q, limit)
	}
	return f, err
}

// Thumbnail fetches a small picture of media. Spec: server-server-api/#get_matrixfederationv1mediathumbnailmediaid
func (c *Client) Thumbnail(ctx context.Context, from, to matrix.ServerName, id string, width, height int, method string, limit int64) (*File, error) {
	q := url.Values{"width": {strconv.Itoa(width)}, "height": {strconv.Itoa(height)}, "method": {method}}
	return c.media(ctx, from, to, path(v1+"media/thumbnail", id)+"?"+q.Encode(), limit)
}

// media makes a request whose answer is in parts.
func (c *Client) media(ctx context.Context, from, to matrix.ServerName, uri string, limit int64) (*File, error) {
	ctx, cancel := context.WithTimeout(ctx, mediaTime)
	res, err := c.send(ctx, from, to, get(uri))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("ask %s for media: %w", to, err)
	}
	body := &stream{r: res.Body, left: limit + mediaMore, close: func() error { defer cancel(); return res.Body.Close() }}
	f, location, err := openParts(res.Header.Get("Content-Type"), body)
	if err == nil && location != "" {
		_ = body.Close() // Why no error: nothing of it is read any more
		return c.elsewhere(egress.For(ctx, from), to, location, limit)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask %s for media: %w", to, err), body.Close())
	}
	return f, nil
}

// plainMedia makes a request whose answer is the content itself.
func (c *Client) plainMedia(ctx context.Context, to matrix.ServerName, q request, limit int64) (*File, error) {
	ctx, cancel := context.WithTimeout(ctx, mediaTime)
	res, err := c.send(ctx, "", to, q)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("ask %s for media: %w", to, err)
	}
	return plainFile(res, cancel, limit), nil
}

func plainFile(res *http.Response, cancel context.CancelFunc, limit int64) *File {
	return &File{
		Type: res.Header.Get("Content-Type"), Name: fileName(res.Header.Get("Content-Disposition")),
		Content: &stream{r: res.Body, left: limit + 1, close: func() error { defer cancel(); return res.Body.Close() }},
	}
}

// elsewhere fetches content that a server keeps at another address. It is judged as if it were that server's own, and leads nowhere further.
func (c *Client) elsewhere(ctx context.Context, server matrix.ServerName, location string, limit int64) (*File, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("ask %s for media: it is said to be at no https address", server)
	}
	ctx, cancel := context.WithTimeout(egress.About(context.WithoutCancel(ctx), server), mediaTime)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.cdn.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer cancel()
		return nil, errors.Join(remoteError(server, res), res.Body.Close())
	}
	return plainFile(res, cancel, limit), nil
}

// errParts says that an answer is not in the two parts that it should have.
var errParts = errors.New("the answer is not the multipart content that it should be")

// openParts reads up to the content of an answer in two parts, the first of which is JSON about it. location is where the
// content is instead.
func openParts(contentType string, body io.ReadCloser) (f *File, location string, err error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/mixed" || params["boundary"] == "" {
		return nil, "", errParts
	}
	parts := multipart.NewReader(body, params["boundary"])
	if _, err := parts.NextRawPart(); err != nil {
		return nil, "", errors.Join(errParts, err)
	}
	p, err := parts.NextRawPart()
	if err != nil {
		return nil, "", errors.Join(errParts, err)
	}
	if at := p.Header.Get("Location"); at != "" {
		return nil, at, nil
	}
	f = &File{Type: p.Header.Get("Content-Type"), Name: fileName(p.Header.Get("Content-Disposition"))}
	f.Content = &stream{r: p, left: 1<<63 - 1, close: body.Close}
	return f, "", nil
}

// fileName is the name in a Content-Disposition, "" when there is none.
func fileName(disposition string) string {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		return ""
	}
	return params["filename"]
}

// stream reads at most so many bytes; more is an error, not an end.
type stream struct {
	r     io.Reader
	left  int64
	close func() error
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > s.left {
		p = p[:s.left]
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	return n, err
}

// Close ends the request.
func (s *stream) Close() error { return s.close() }
