package adminapi

import (
	"context"
	"strconv"

	"rempart/core/admin"
	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// handle declares a route for administrators.
func handle[In, Out any](r *httpx.Router, method, path string, fn func(context.Context, matrix.Caller, httpx.Path, In) (Out, error)) {
	httpx.Handle(r, method, prefix+path, httpx.Route{Access: httpx.Admin}, fn)
}

// ofUser declares a route about the user that its path names.
func ofUser[In, Out any](r *httpx.Router, method, path string, fn func(context.Context, matrix.Caller, matrix.UserID, httpx.Path, In) (Out, error)) {
	handle(r, method, path, func(ctx context.Context, c matrix.Caller, p httpx.Path, in In) (out Out, err error) {
		id, err := p.UserID()
		if err != nil {
			return out, err
		}
		return fn(ctx, c, id, p, in)
	})
}

// ofRoom declares a route about the room that its path names by id.
func ofRoom[In, Out any](r *httpx.Router, method, path string, fn func(context.Context, matrix.Caller, matrix.RoomID, httpx.Path, In) (Out, error)) {
	handle(r, method, path, func(ctx context.Context, c matrix.Caller, p httpx.Path, in In) (out Out, err error) {
		id, err := p.RoomID()
		if err != nil {
			return out, err
		}
		return fn(ctx, c, id, p, in)
	})
}

// usualLimit is how long a page is that says nothing, longestPage the longest one.
const (
	usualLimit  = 100
	longestPage = 1000
)

// page reads where a page of a list starts, how long it is and in what order: one of those that known knows.
func page(p httpx.Path, order string, known func(string) bool) (out admin.Page, err error) {
	if out.From, err = natural(p, "from", 0); err != nil {
		return out, err
	}
	if out.Limit, err = natural(p, "limit", usualLimit); err != nil {
		return out, err
	}
	out.Limit = min(out.Limit, longestPage)
	if out.Order = p.Query().Get("order_by"); out.Order == "" {
		out.Order = order
	}
	if !known(out.Order) {
		return out, matrix.InvalidParam("Unknown value for order_by: " + strconv.Quote(out.Order))
	}
	switch p.Query().Get("dir") {
	case "", "f":
	case "b":
		out.Backward = true
	default:
		return out, matrix.InvalidParam("dir must be f or b.")
	}
	return out, nil
}

// natural is a number from the query that is not below 0.
func natural(p httpx.Path, name string, def int64) (int64, error) {
	text := p.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, matrix.InvalidParam("Query parameter " + name + " must be a whole number, not below 0.")
	}
	return n, nil
}

// needed is natural for a parameter that must be there.
func needed(p httpx.Path, name string) (int64, error) {
	if p.Query().Get(name) == "" {
		return 0, matrix.MissingParam("Missing required integer query parameter " + name)
	}
	return natural(p, name, 0)
}

// choice is true, false or, when it is absent, nil.
func choice(p httpx.Path, name string) (*bool, error) {
	if p.Query().Get(name) == "" {
		return nil, nil
	}
	on, err := p.QueryBool(name, false)
	return &on, err
}

// next is where the next page starts; nil when there is none.
func next(p admin.Page, got int, total int64) *int64 {
	end := p.From + int64(got)
	if end >= total || got == 0 {
		return nil
	}
	return &end
}

// nullable is a text, or null when it is empty.
func nullable[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}
