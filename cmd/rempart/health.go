package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"rempart/internal/httpx"
	"rempart/internal/matrix"
)

// health answers /health (the process lives) and /ready (send it requests).
type health struct {
	draining atomic.Bool
	// checks say what keeps the server from working, such as a database that does not answer. Set before serving.
	checks []func(ctx context.Context) error
}

// checkTime is how long a check may take.
const checkTime = 3 * time.Second

type healthAnswer struct {
	Status string `json:"status"`
}

// routes adds both paths. A load balancer needs no token and meets no rate limit worth naming.
func (h *health) routes(r *httpx.Router) {
	httpx.Handle(r, "GET", "/health", httpx.Route{}, alive)
	httpx.Handle(r, "GET", "/ready", httpx.Route{}, h.ready)
}

func alive(context.Context, matrix.Caller, httpx.Path, httpx.Empty) (healthAnswer, error) {
	return healthAnswer{Status: "ok"}, nil
}

func (h *health) ready(ctx context.Context, _ matrix.Caller, _ httpx.Path, _ httpx.Empty) (healthAnswer, error) {
	if h.draining.Load() {
		return healthAnswer{}, matrix.NewError(http.StatusServiceUnavailable, "M_UNKNOWN", "The server is stopping.")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	for _, check := range h.checks {
		if err := check(ctx); err != nil {
			return healthAnswer{}, matrix.NewError(http.StatusServiceUnavailable, "M_UNKNOWN", "The server is not ready.").Wrap(err)
		}
	}
	return healthAnswer{Status: "ready"}, nil
}
