// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	_ "unsafe" // go:linkname

	envoycluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/xds/endpoints"
)

//go:linkname buildClusters istio.io/istio/pilot/pkg/networking/core.(*ConfigGeneratorImpl).buildClusters
func buildClusters(
	g *core.ConfigGeneratorImpl, proxy *model.Proxy, req *model.PushRequest, services []*model.Service,
	patches *model.MergedEnvoyFilterWrapper,
) ([]*discovery.Resource, model.XdsLogDetails)

// clustersOf is every outbound cluster by name: from CDS, and for EDS clusters with what EDS sends. The crash is what a real
// istiod would have died of instead; the clusters that it comes from say so, the others are told all the same.
func (s *istiod) clustersOf(proxy *model.Proxy, settings Settings) (told []Cluster, crash, err error) {
	var resources []*discovery.Resource
	crash = guarded(func() error {
		resources, _ = s.generator.BuildClusters(proxy, fullPush(s.push))
		return nil
	})
	told = []Cluster{}
	if crash != nil {
		resources, told = s.oneByOne(proxy)
	}
	for _, resource := range resources {
		if !strings.HasPrefix(resource.Name, "outbound|") {
			continue
		}
		sent := &envoycluster.Cluster{}
		if err := resource.Resource.UnmarshalTo(sent); err != nil {
			return nil, crash, fmt.Errorf("cluster %s: %w", resource.Name, err)
		}
		described, err := describe(sent, settings)
		if err != nil {
			return nil, crash, fmt.Errorf("cluster %s: %w", resource.Name, err)
		}
		assignment := sent.LoadAssignment
		if sent.GetType() == envoycluster.Cluster_EDS {
			name := sent.GetEdsClusterConfig().GetServiceName()
			if name == "" {
				name = sent.Name
			}
			if failed := guarded(func() error {
				builder := endpoints.NewEndpointBuilder(name, proxy, s.push)
				assignment = builder.BuildClusterLoadAssignment(s.env.EndpointIndex)
				return nil
			}); failed != nil {
				described.Panic = failed.Error()
				if crash == nil {
					crash = failed
				}
			}
		}
		described.Groups = groupsOf(assignment)
		told = append(told, described)
	}
	sort.SliceStable(told, func(i, j int) bool { return told[i].Name < told[j].Name })
	return told, crash, nil
}

// oneByOne builds the clusters service by service, after building all of them has panicked. A service that panics gives one
// empty cluster a port.
func (s *istiod) oneByOne(proxy *model.Proxy) (resources []*discovery.Resource, broken []Cluster) {
	for _, service := range proxy.SidecarScope.Services() {
		var made []*discovery.Resource
		failed := guarded(func() error {
			made, _ = buildClusters(
				s.generator, proxy, fullPush(s.push), []*model.Service{service}, s.push.EnvoyFilters(proxy))
			return nil
		})
		if failed == nil {
			resources = append(resources, made...)
			continue
		}
		for _, port := range service.Ports {
			broken = append(broken, Cluster{
				Name:             model.BuildSubsetKey(model.TrafficDirectionOutbound, "", service.Hostname, port.Port),
				ZoneAware:        json.RawMessage("null"),
				OutlierDetection: json.RawMessage("null"),
				Groups:           []Group{},
				Panic:            failed.Error(),
			})
		}
	}
	return resources, broken
}
