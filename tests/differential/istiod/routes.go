// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"sort"
	"strings"

	envoyroute "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
)

// retriesOf is the retry policy of every route of the client's RDS that leads to an outbound cluster.
func (s *istiod) retriesOf(proxy *model.Proxy) ([]Retry, error) {
	names := core.ExtractRoutesFromListeners(s.generator.BuildListeners(proxy, s.push))
	resources, _ := s.generator.BuildHTTPRoutes(proxy, fullPush(s.push), names)
	told := []Retry{}
	for _, resource := range resources {
		configuration := &envoyroute.RouteConfiguration{}
		if err := resource.Resource.UnmarshalTo(configuration); err != nil {
			return nil, fmt.Errorf("route %s: %w", resource.Name, err)
		}
		for _, host := range configuration.GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				policy := route.GetRoute().GetRetryPolicy()
				if policy == nil {
					policy = host.GetRetryPolicy()
				}
				for _, name := range destinations(route.GetRoute()) {
					told = append(told, retryOf(configuration.GetName(), host.GetName(), route.GetName(), name, policy))
				}
			}
		}
	}
	sort.SliceStable(told, func(i, j int) bool {
		a, b := told[i], told[j]
		if a.Route != b.Route {
			return a.Route < b.Route
		}
		return a.VirtualHost < b.VirtualHost
	})
	return told, nil
}

func destinations(action *envoyroute.RouteAction) []string {
	names := []string{action.GetCluster()}
	for _, weighted := range action.GetWeightedClusters().GetClusters() {
		names = append(names, weighted.GetName())
	}
	found := []string{}
	for _, name := range names {
		if strings.HasPrefix(name, "outbound|") {
			found = append(found, name)
		}
	}
	return found
}

func retryOf(configuration, host, route, destination string, policy *envoyroute.RetryPolicy) Retry {
	told := Retry{
		Route:              configuration,
		VirtualHost:        host,
		Name:               route,
		Cluster:            destination,
		NumRetries:         number(policy.GetNumRetries()),
		RetryOn:            policy.GetRetryOn(),
		RetryHostPredicate: []string{},
	}
	if priority := policy.GetRetryPriority(); priority != nil {
		told.RetryPriority = &priority.Name
	}
	for _, predicate := range policy.GetRetryHostPredicate() {
		told.RetryHostPredicate = append(told.RetryHostPredicate, predicate.GetName())
	}
	return told
}
