// Copyright (c) 2026, meshops.locality contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"maps"
	_ "unsafe" // go:linkname

	envoycore "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/util"
	"istio.io/istio/pilot/pkg/xds"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config/constants"
	pm "istio.io/istio/pkg/model"
)

//go:linkname computeProxyState istio.io/istio/pilot/pkg/xds.(*DiscoveryServer).computeProxyState
func computeProxyState(s *xds.DiscoveryServer, proxy *model.Proxy, request *model.PushRequest)

// answer is what istiod tells one client.
func (s *istiod) answer(asked Client, settings Settings) (told ClientAnswer) {
	told = ClientAnswer{Name: asked.Name}
	err := guarded(func() error {
		proxy, err := s.connect(asked)
		if err != nil {
			return err
		}
		told.Locality = util.LocalityToString(proxy.Locality)
		told.Labels = proxy.Labels
		var crash error
		if told.Clusters, crash, err = s.clustersOf(proxy, settings); err != nil {
			return err
		}
		if settings.Routes {
			if told.Retries, err = s.retriesOf(proxy); err != nil {
				return err
			}
			if told.Routes, told.Chains, err = s.routesOf(proxy); err != nil {
				return err
			}
		}
		return crash
	})
	if err != nil {
		told.Error = err.Error()
	}
	return told
}

// connect does what istiod does when a proxy connects, with the node that pilot-agent would write for this client.
func (s *istiod) connect(asked Client) (*model.Proxy, error) {
	kind := asked.Type
	if kind == "" {
		kind = string(model.SidecarProxy)
	}
	metadata := map[string]any{
		"CLUSTER_ID":    constants.DefaultClusterName,
		"ISTIO_VERSION": istioVersion,
		"NAMESPACE":     asked.Namespace,
		"NAME":          asked.Name,
	}
	if id, told := asked.Metadata["CLUSTER_ID"].(string); told {
		metadata["CLUSTER_ID"] = id
	}
	address, workload, locality := asked.Address, asked.Name, asked.Locality
	if asked.Pod != "" {
		home, known := s.clusters[cluster.ID(metadata["CLUSTER_ID"].(string))]
		if !known {
			return nil, fmt.Errorf("client %s: there is no cluster %v", asked.Name, metadata["CLUSTER_ID"])
		}
		pod := home.pod(asked.Namespace, asked.Pod)
		if pod == nil {
			return nil, fmt.Errorf("client %s: there is no pod %s/%s", asked.Name, asked.Namespace, asked.Pod)
		}
		workload = pod.Name
		metadata["NAME"] = pod.Name
		if pod.Spec.NodeName != "" {
			metadata["NODE_NAME"] = pod.Spec.NodeName
		}
		labels := map[string]any{}
		for name, value := range pod.Labels {
			if name != "pod-template-hash" {
				labels[name] = value
			}
		}
		metadata["LABELS"] = labels
		if address == "" {
			address = pod.Status.PodIP
		}
		if locality == "" {
			locality = pm.SanitizeLocalityLabel(pm.GetLocalityLabel(pod.Labels))
		}
	}
	if address == "" {
		address = "127.0.0.254"
	}
	metadata["INSTANCE_IPS"] = address
	maps.Copy(metadata, asked.Metadata)
	for name, value := range metadata {
		if value == nil {
			delete(metadata, name)
		}
	}
	written, err := structpb.NewStruct(metadata)
	if err != nil {
		return nil, fmt.Errorf("client %s: metadata: %w", asked.Name, err)
	}
	node := &envoycore.Node{
		Id: fmt.Sprintf("%s~%s~%s.%s~%s.svc.%s", kind, address, workload, asked.Namespace, asked.Namespace,
			constants.DefaultClusterLocalDomain),
		Metadata: written,
		Locality: util.ConvertLocality(locality),
	}
	parsed, err := model.ParseMetadata(node.Metadata)
	if err != nil {
		return nil, fmt.Errorf("client %s: metadata: %w", asked.Name, err)
	}
	proxy, err := model.ParseServiceNodeWithMetadata(node.Id, parsed)
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", asked.Name, err)
	}
	proxy.ConfigNamespace = model.GetProxyConfigNamespace(proxy)
	proxy.XdsNode = node
	proxy.LastPushContext = s.push
	computeProxyState(s.discovery, proxy, nil)
	proxy.DiscoverIPMode()
	proxy.WatchedResources = map[string]*model.WatchedResource{}
	return proxy, nil
}
