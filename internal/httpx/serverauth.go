package httpx

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// admitServer finds which server asks, by its signature, and takes one request from its rate limit and that of
// its address. The address comes first: it bounds what signatures and keys cost us. Spec: server-server-api/#request-authentication
func (r *Router) admitServer(x *exchange, req *http.Request) error {
	if r.options.ServerAuth == nil {
		return errors.New("route needs a signature but no authenticator was handed in")
	}
	limits := r.options.Limits
	if limits != nil {
		if err := limits.TakeAddr("federation", x.info.addr); err != nil {
			return err
		}
	}
	// Why here: the signature covers the body. Handlers find it in the request as if it had not been read.
	body, err := readBody(x, req, x.endpoint.MaxBody)
	if err != nil {
		return err
	}
	if x.caller, err = r.options.ServerAuth.AuthenticateServer(x.ctx, req, body); err != nil {
		return err
	}
	if body == nil {
		req.Body = http.NoBody
	} else {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	req.ContentLength = int64(len(body))
	if limits != nil {
		return limits.TakeName("federation", string(x.caller.Server))
	}
	return nil
}
