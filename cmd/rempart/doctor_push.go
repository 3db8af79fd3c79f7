package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"rempart/config"
	"rempart/core"
	"rempart/gateway/pushgateway"
)

// nothing is a notification for nobody.
const nothing = `{"notification":{"devices":[],"counts":{}}}`

// examineGateways hands a notification for nobody to every push gateway that phones have named, by the way that notifications go: asked
// of the policy, and recorded.
func examineGateways(ctx context.Context, cfg *config.Config, c console) error {
	return withGround(ctx, cfg, func(g *ground) error {
		list, err := g.db.ListActivePushers(ctx, 0)
		if err != nil {
			return err
		}
		phones := map[string]int{}
		for i := range list {
			phones[list[i].URL]++
		}
		if len(phones) == 0 {
			c.say("ok       no phone has named a push gateway yet")
			return nil
		}
		gateways := namedGateways{pushgateway.New(g.egress, "Rempart/"+version()), g.judge}
		problems := 0
		for _, address := range slices.Sorted(maps.Keys(phones)) {
			said, err := examineGateway(ctx, gateways, address)
			if err != nil {
				problems++
				c.say("problem  push gateway %s (%d pushers): %v", gatewayHost(address), phones[address], err)
				continue
			}
			c.say("ok       push gateway %s (%d pushers): %s", gatewayHost(address), phones[address], said)
		}
		if problems > 0 {
			return fmt.Errorf("%d of %d push gateways cannot be used", problems, len(phones))
		}
		return nil
	})
}

// gatewayHost is the host of an address: what else it says is a person's.
func gatewayHost(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(no address)"
	}
	return u.Host
}

func examineGateway(ctx context.Context, g core.PushGateway, address string) (string, error) {
	if err := g.Admit(ctx, address); err != nil {
		return "", fmt.Errorf("the policy refuses it, so that its phones hear of nothing: %w", err)
	}
	_, err := g.Notify(ctx, address, []byte(nothing))
	var answer *core.GatewayError
	switch {
	case err == nil:
		return "it takes notifications", nil
	case errors.As(err, &answer) && answer.Status == http.StatusBadRequest:
		return "it is there, and does not take a notification for nobody, as is its right", nil
	case errors.As(err, &answer):
		return "", fmt.Errorf("it answers %d: is it a push gateway, and is the address that apps name its own?", answer.Status)
	}
	return "", fmt.Errorf("it cannot be reached: %w", err)
}
